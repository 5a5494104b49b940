"""The first paragraph of a comparison: which of two models is better, where, and how sure it is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lcnet.metrics.bootstrap import LEVEL, Interval
from lcnet.reporting.summary import FEWEST_HERE

NAMED = 3
"""Labels that are named, of each side."""
DEARER = 1.2
"""Times the other's time from which on it is said."""
MORE_WORK = 1.3
"""Times the other's operations that must stand behind it: time alone is a machine's noise too."""


@dataclass(frozen=True)
class LabelDifference:
    """A label's AP of ours minus theirs."""

    label: str
    difference: Interval
    positives: int
    """Measured pictures that show it."""

    @property
    def is_beyond(self) -> bool:
        """Whether the label has enough pictures, and its interval leaves out 0."""
        away = self.difference.low > 0 or self.difference.high < 0
        return away and self.positives >= FEWEST_HERE


@dataclass(frozen=True)
class ComparisonFacts:
    """What the paragraph is made of."""

    ours: str
    theirs: str
    split: str
    pictures: int
    our_ap: float
    their_ap: float
    difference: Interval
    """Of the mAP, ours minus theirs."""
    labels: Sequence[LabelDifference]
    """The labels that can be measured."""
    our_milliseconds: float
    """Per picture."""
    their_milliseconds: float
    our_operations: float
    """Per picture."""
    their_operations: float


def comparison_words(facts: ComparisonFacts) -> tuple[str, ...]:
    """What the facts say, a sentence each."""
    parts = (_which(facts), _where(facts), _cost(facts), _seeds())
    return tuple(sentence for part in parts for sentence in part)


def _which(facts: ComparisonFacts) -> Iterator[str]:
    found = facts.difference
    yield (
        f"On the {facts.pictures:,} pictures of {facts.split}, {facts.ours} has mAP "
        f"{facts.our_ap:.1f} and {facts.theirs} {facts.their_ap:.1f}."
    )
    interval = f"{LEVEL} % interval over the same pictures {found.low:+.1f} to {found.high:+.1f}"
    if found.low > 0 or found.high < 0:
        better = facts.ours if found.low > 0 else facts.theirs
        yield f"{better} is better, by {abs(found.value):.1f} points ({interval})."
    else:
        yield (
            f"These pictures do not show which is better: the difference is {found.value:+.1f} "
            f"points ({interval})."
        )


def _where(facts: ComparisonFacts) -> Iterator[str]:
    beyond = [label for label in facts.labels if label.is_beyond]
    if not beyond:
        yield "No single label differs by more than these pictures leave open."
        return
    gains = sorted(beyond, key=lambda label: -label.difference.value)
    sides = (
        (facts.ours, [label for label in gains if label.difference.value > 0]),
        (facts.theirs, [label for label in reversed(gains) if label.difference.value < 0]),
    )
    for name, labels in sides:
        if labels:
            yield f"{name} is better at {_named(labels)}."
    by_chance = (100 - LEVEL) / 100 * len(facts.labels)
    if by_chance >= 1:
        yield f"Of {len(facts.labels):,} labels, about {by_chance:.0f} would seem so by chance."


def _named(labels: Sequence[LabelDifference]) -> str:
    first = [f"{one.label} ({one.difference.value:+.1f})" for one in labels[:NAMED]]
    more = len(labels) - len(first)
    return ", ".join(first) + (f" and {more:,} more label{'s' * (more > 1)}" if more else "")


def _cost(facts: ComparisonFacts) -> Iterator[str]:
    """Which one is slower; nothing if its operations do not say so too."""
    ours, theirs = facts.our_milliseconds, facts.their_milliseconds
    our_work, their_work = facts.our_operations, facts.their_operations
    if our_work >= MORE_WORK * their_work and ours >= DEARER * theirs:
        yield f"{facts.ours} takes {ours / theirs:.1f} times as long for a picture here."
    elif their_work >= MORE_WORK * our_work and theirs >= DEARER * ours:
        yield f"{facts.theirs} takes {theirs / ours:.1f} times as long for a picture here."


def _seeds() -> Iterator[str]:
    yield (
        "Training again with another seed moves mAP too, and the interval does not show that: "
        "lcnet compare trains both from several seeds."
    )
