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
GREY = {"1": 1, "L": 8, "LA": 8, "La": 8, "I": 32, "F": 32}
"""Pillow's modes without colour, and the bits of a pixel; `I;16` and its like have 16."""


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


def other_depths(splits: Sequence[CheckedSplit]) -> Iterator[Finding]:
    """A finding for each way of storing pictures that a later split has and the first has not."""
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
            is_deeper = way[1] not in {bits for _, bits in usual}
            yield finding("other-depth", checked.split.name, detail, unsafe=is_deeper)


def _stored(checked: CheckedSplit) -> Counter[tuple[bool, int]]:
    """How many pictures have colour or not, and how many bits a value."""
    modes = (facts.mode for facts in checked.facts if not facts.fault)
    return Counter(
        (False, 16) if mode.startswith("I;16") else (mode not in GREY, GREY.get(mode, 8))
        for mode in modes
    )


def _in_words(has_colour: bool, bits: int) -> str:
    return f"{'colour' if has_colour else 'grey'} with {bits} bit{'s' if bits > 1 else ''} a value"
