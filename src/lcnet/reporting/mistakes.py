"""Where predictions go wrong: labels wrongly predicted together, and the worst single entries."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcnet.metrics import Flags, Floats, Targets

DAMPING = 10
"""Pictures added to each label's, so that pairs of rare labels do not lead the list by chance."""
FEWEST_TOGETHER = 5
"""Pictures that show the given label, below which a pair is not listed: one is 100 points."""


@dataclass(frozen=True)
class Company:
    """How often labels are predicted, and are present, in the pictures that show another label.

    All are counts, L x L. The row's label is the one that is present. A picture counts only if the
    column's label is known.
    """

    pictures: NDArray[np.int64]
    """In how many pictures the row's label is present and the column's known."""
    present: NDArray[np.int64]
    """In how many of them the column's label is present."""
    predicted: NDArray[np.int64]
    """In how many of them the column's label is predicted."""

    def difference(self, damping: float = 0) -> NDArray[np.float64]:
        """P(column predicted | row present) - P(column present | row present), -1 to 1.

        `damping` pictures are added to the denominator; 0 where there is no picture.
        """
        pictures = np.maximum(self.pictures + damping, 1)
        return np.asarray((self.predicted - self.present) / pictures, dtype=np.float64)


class Pair(NamedTuple):
    """Two labels that are predicted together more, or less, often than they occur together."""

    given: int
    label: int
    pictures: int
    present: int
    predicted: int

    @property
    def difference(self) -> float:
        """The share predicted minus the share present, -1 to 1."""
        return (self.predicted - self.present) / self.pictures


def company(predicted: Flags, targets: Targets) -> Company:
    """The counts of `Company` from predictions and targets (1, 0 and -1, unknown), N x L each."""
    # Matrix products of float64 are fast and, up to 2^53, exact.
    present = (targets == 1).astype(np.float64)
    known = (targets >= 0).astype(np.float64)
    called = (predicted & (targets >= 0)).astype(np.float64)
    return Company(*((present.T @ other).astype(np.int64) for other in (known, present, called)))


def strongest_pairs(together: Company, most: int) -> tuple[list[Pair], list[Pair]]:
    """The pairs that are predicted together too often, and too seldom, the strongest first.

    They are ordered by the difference of the shares with `DAMPING` pictures added. Pairs with fewer
    than `FEWEST_TOGETHER` pictures of the given label are left out.
    """
    strength = together.difference(DAMPING)
    np.fill_diagonal(strength, 0)
    strength[together.pictures < FEWEST_TOGETHER] = 0
    flat = np.argsort(strength, axis=None, kind="stable")

    def pair(entry: int) -> Pair:
        given, label = divmod(int(entry), len(strength))
        counts = (together.pictures, together.present, together.predicted)
        return Pair(given, label, *(int(count[given, label]) for count in counts))

    seldom = [pair(entry) for entry in flat[:most] if strength.flat[entry] < 0]
    often = [pair(entry) for entry in flat[::-1][:most] if strength.flat[entry] > 0]
    return often, seldom


class Mistake(NamedTuple):
    """One label of one picture that was predicted wrongly."""

    picture: int
    label: int
    probability: float


def worst_mistakes(
    probabilities: Floats, predicted: Flags, targets: Targets, most: int
) -> tuple[list[Mistake], list[Mistake]]:
    """The false positives and the false negatives with the largest cross-entropy.

    These are the absent labels with the highest probability and the present with the lowest.
    """

    def worst(wrong: Flags, by: Floats) -> list[Mistake]:
        entries = np.argwhere(wrong)
        order = np.argsort(by[wrong], kind="stable")[:most]
        return [Mistake(int(n), int(k), float(probabilities[n, k])) for n, k in entries[order]]

    false_positives = worst(predicted & (targets == 0), -probabilities)
    return false_positives, worst(~predicted & (targets == 1), probabilities)
