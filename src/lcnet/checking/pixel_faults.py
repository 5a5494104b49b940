"""Pictures that show nothing, splits that use few grey levels, and splits stored in another way."""

from collections import Counter
from collections.abc import Iterator, Sequence

from lcnet.checking.findings import CheckedSplit, Finding, finding

NARROW = 64
"""Grey levels of 255: a split that uses fewer was probably stored with more bits than it says."""
FEWEST = 4
"""Readable pictures of a split below which its grey levels say nothing."""
RARE = 10
"""A way of storing pictures counts if at least one in so many pictures of a split has it."""


def flat_pictures(checked: CheckedSplit) -> Iterator[Finding]:
    """A finding for each picture whose pixels are all the same."""
    for index, facts in enumerate(checked.facts):
        if not facts.fault and facts.range[0] == facts.range[1]:
            detail = f"every pixel is {facts.range[0]} of 255, so it shows nothing"
            yield finding("flat-image", checked.place(index), detail)


def unused_range(checked: CheckedSplit) -> Iterator[Finding]:
    """A finding if all pictures of a split together use few of the 256 grey levels."""
    ranges = [facts.range for facts in checked.facts if not facts.fault]
    if len(ranges) < FEWEST:
        return
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    if high - low < NARROW:
        detail = (
            f"all {len(ranges):,} readable pictures use only {low} to {high} of 255. Were they "
            "stored with another number of bits than their files say? Save them with the full range"
        )
        yield finding("unused-range", checked.split.name, detail)


def other_depths(splits: Sequence[CheckedSplit], *, has_range: bool) -> Iterator[Finding]:
    """A finding for each way of storing pictures that a later split has and the first has not.

    Another kind of numbers is unsafe, unless the user has said which are black and white.
    """
    if not splits:
        return
    first, *others = splits
    usual = _stored(first)
    for checked in others:
        stored = _stored(checked)
        for way, count in stored.items():
            if way in usual or not usual or RARE * count < stored.total():
                continue
            detail = (
                f"{count:,} of {stored.total():,} pictures are {_in_words(*way)}, and none of "
                f"{first.split.name} is, so a model may not know what it sees"
            )
            is_deeper = way[1] not in {kind for _, kind in usual}
            unsafe = is_deeper and not has_range
            yield finding("other-depth", checked.split.name, detail, unsafe=unsafe)


def _stored(checked: CheckedSplit) -> Counter[tuple[int, str]]:
    """How many pictures have a number of bands and a kind of numbers."""
    return Counter((facts.stored, facts.kind) for facts in checked.facts if not facts.fault)


def _in_words(bands: int, kind: str) -> str:
    colours = {1: "grey", 3: "colour"}.get(bands, f"{bands} bands")
    return f"{colours} with {kind} values"
