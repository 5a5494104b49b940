"""Where predictions go wrong: labels that are predicted together, and the worst single entries."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcnet.metrics import Flags, Floats, Targets

DAMPING = 10
"""Pictures that are added to a rare label's, so that chance does not lead the list of pairs."""


@dataclass(frozen=True)
class Company:
    """Which labels are predicted where another is present, against which are present there.

    All L x L, the row's label being the one that is present. A picture counts where the column's
    label is known.
    """

    pictures: NDArray[np.int64]
    """In how many pictures the row's label is present and the column's known."""
    present: NDArray[np.int64]
    """In how many of them the column's is present."""
    predicted: NDArray[np.int64]
    """In how many of them the column's is predicted."""

    def difference(self, damping: float = 0) -> NDArray[np.float64]:
        """P(column predicted | row present) - P(column present | row present), -1 to 1.

        `damping` pictures are added to the denominator; 0 where there is no picture.
        """
        pictures = np.maximum(self.pictures + damping, 1)
        return np.asarray((self.predicted - self.present) / pictures, dtype=np.float64)


class Pair(NamedTuple):
    """Two labels that are predicted together more, or less, often than they are together."""

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
    """The counts of `Company`, of N x L predictions and targets (1, 0 and -1, unknown)."""
    # Matrix products of float64 are fast and, up to 2^53, exact.
    present = (targets == 1).astype(np.float64)
    known = (targets >= 0).astype(np.float64)
    called = (predicted & (targets >= 0)).astype(np.float64)
    return Company(*((present.T @ other).astype(np.int64) for other in (known, present, called)))


def strongest_pairs(found: Company, most: int) -> tuple[list[Pair], list[Pair]]:
    """The pairs that are predicted together too often, and too seldom, the strongest first.

    By the difference of the shares with `DAMPING` pictures added.
    """
    strength = found.difference(DAMPING)
    np.fill_diagonal(strength, 0)
    flat = np.argsort(strength, axis=None, kind="stable")

    def pair(place: int) -> Pair:
        given, label = divmod(int(place), len(strength))
        counts = (found.pictures, found.present, found.predicted)
        return Pair(given, label, *(int(count[given, label]) for count in counts))

    seldom = [pair(place) for place in flat[:most] if strength.flat[place] < 0]
    often = [pair(place) for place in flat[::-1][:most] if strength.flat[place] > 0]
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

    That is, the absent labels with the highest probability and the present ones with the lowest.
    """

    def worst(wrong: Flags, by: Floats) -> list[Mistake]:
        places = np.argwhere(wrong)
        order = np.argsort(by[wrong], kind="stable")[:most]
        return [Mistake(int(n), int(k), float(probabilities[n, k])) for n, k in places[order]]

    false_positives = worst(predicted & (targets == 0), -probabilities)
    return false_positives, worst(~predicted & (targets == 1), probabilities)
