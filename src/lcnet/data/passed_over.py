"""Files that are no pictures by their suffix, in words: nobody should wonder where they are."""

from collections.abc import Mapping

SHOWN = 6
"""Most suffixes in a line."""


def in_words(passed: Mapping[str, int]) -> str:
    """Counts by suffix in words, the most first: `3 .txt, 1 .mp4, 2 without suffix`."""
    ranked = sorted(passed.items(), key=lambda entry: (-entry[1], entry[0]))
    parts = [f"{count:,} {suffix or 'without suffix'}" for suffix, count in ranked[:SHOWN]]
    if left := sum(count for _, count in ranked[SHOWN:]):
        parts.append(f"{left:,} others")
    return ", ".join(parts)
