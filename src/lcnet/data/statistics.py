"""Counts of labels and label pairs, and the shares and probabilities that follow from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcnet.data.dataset import NEGATIVE, POSITIVE, UNKNOWN
from lcnet.data.pair_counts import PairCounts, count_pairs, no_pairs
from lcnet.errors import CheckpointError
from lcnet.schema import check_counts

ROWS_AT_ONCE = 2**21
"""Pairs of labels that are looked at together, at most, where only the likeliest are kept."""


@dataclass(frozen=True)
class Statistics:
    """Counts of labels and of pairs of labels over a split."""

    images: int
    """Pictures counted."""
    known: tuple[int, ...]
    """Per label, pictures in which it is known to be present or absent."""
    positives: tuple[int, ...]
    """Per label, pictures in which it is present."""
    pairs: PairCounts = field(compare=False)
    """Counts of pairs of labels; none (`no_pairs`) in what an exported file says of its model."""

    def shares(self) -> np.ndarray:
        """Per label, the share of its known pictures in which it is present.

        Shape (labels,), float64 in [0, 1]; 0 for a label that is never known.
        """
        known = np.array(self.known, dtype=np.float64)
        return np.array(self.positives, dtype=np.float64) / np.maximum(known, 1)

    @property
    def labels_a_picture(self) -> float:
        """How many labels a picture is known to show, on average; at least so many are there."""
        return sum(self.positives) / max(self.images, 1)

    @property
    def unknown_share(self) -> float:
        """The share of targets that are unknown, 0 to 1."""
        return 1 - sum(self.known) / max(self.images * len(self.known), 1)

    def positive_weights(self, power: float, unknown_weight: float = 0.0) -> np.ndarray:
        """Per label, (absent / present)^power: a weight for its present entries.

        Power 1 makes present and absent entries of a label weigh the same (as for pos_weight of
        torch's BCEWithLogitsLoss), 0.5 goes half the way, and 0 gives 1 for all. An unknown entry
        counts as `unknown_weight` absent ones. Shape (labels,), float64, finite and above 0; 1 for
        a label without a present or an absent entry, and for all if `power` is 0.
        """
        present = np.array(self.positives, dtype=np.float64)
        known = np.array(self.known, dtype=np.float64)
        absent = known - present + unknown_weight * (self.images - known)
        ratio = np.ones_like(present)
        np.divide(absent, present, out=ratio, where=(present > 0) & (absent > 0))
        return ratio**power

    def conditional_probability(self, smoothing: float = 1.0) -> np.ndarray:
        """P(column label | row label), estimated from the counts.

        ML-GCN (Chen et al. 2019, section 3.3) takes P_ij = M_ij / N_i with N_i the positives of
        label i. Here N_i is K_ij, so that unknown labels do not count as absent, and `smoothing`
        (0 or more) counts as that many further pictures in which j has its overall share:
        P_ij = (M_ij + smoothing * share_j) / (K_ij + smoothing).

        Shape (labels, labels), float64 in [0, 1] with ones on the diagonal, never NaN. The row of
        a label without positives is the shares.
        """
        together = self.pairs.cooccurrence.astype(np.float64) + smoothing * self.shares()
        pictures = self.pairs.known_with.astype(np.float64) + smoothing
        shares = np.broadcast_to(self.shares(), pictures.shape)
        probability: np.ndarray = shares.copy()
        np.divide(together, pictures, out=probability, where=pictures > 0)
        np.fill_diagonal(probability, 1.0)
        return probability

    def conditional_among(self, labels: list[int]) -> np.ndarray:
        """`conditional_probability` between some labels (K K), without smoothing."""
        together, pictures = self.pairs.among(labels)
        probability: np.ndarray = np.broadcast_to(self.shares()[labels], pictures.shape).copy()
        np.divide(together, pictures, out=probability, where=pictures > 0)
        np.fill_diagonal(probability, 1.0)
        return probability

    def most_probable(
        self, edges: int, smoothing: float = 1.0
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """For each label (row) itself and the labels that are most probable where it is present.

        Their places, the label itself first, and their `conditional_probability`: (labels, edges)
        each, the most probable first. Of equals that with more positives comes first. Nothing of
        labels x labels is in memory.
        """
        labels, shares = len(self.positives), self.shares()
        commonest = np.argsort(-np.array(self.positives), kind="stable")
        places = np.empty((labels, edges), np.int64)
        probabilities = np.empty((labels, edges))
        step = max(1, ROWS_AT_ONCE // labels)
        for first in range(0, labels, step):
            rows = slice(first, min(first + step, labels))
            known = self._conditional(rows, shares, smoothing)
            ranked = known.copy()
            ranked[np.arange(len(ranked)), np.arange(labels)[rows]] = np.inf
            places[rows] = commonest[_largest(ranked[:, commonest], edges)]
            probabilities[rows] = np.take_along_axis(known, places[rows], axis=1)
        return places, probabilities

    def _conditional(self, rows: slice, shares: np.ndarray, smoothing: float) -> np.ndarray:
        """Some rows of `conditional_probability`."""
        together, known, _ = self.pairs.rows(rows)
        pictures = known.astype(np.float64) + smoothing
        probability: np.ndarray = np.broadcast_to(shares, pictures.shape).copy()
        np.divide(together + smoothing * shares, pictures, out=probability, where=pictures > 0)
        probability[np.arange(len(probability)), np.arange(len(shares))[rows]] = 1.0
        return probability

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists, for JSON; without the pairs, which are many."""
        return {
            "images": self.images,
            "known": list(self.known),
            "positives": list(self.positives),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any], pairs: PairCounts | None = None) -> "Statistics":
        """The statistics that `to_dict` stored, with their pairs.

        Without `pairs` they are those that older lcnets stored in the same place, or empty. Raises
        CheckpointError for anything else.
        """
        try:
            statistics = cls(
                images=check_counts([stored["images"]], "images", count=1)[0],
                known=_counts(stored["known"]),
                positives=_counts(stored["positives"]),
                pairs=pairs or _older_pairs(stored),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise CheckpointError(
                f"statistics: expected counts as training stores them, got {error!r}. "
                "Train or export the model again."
            ) from None
        width = len(statistics.positives)
        if not len(statistics.known) == statistics.pairs.together.shape[0] == width:
            raise CheckpointError(
                f"statistics: expected counts of {width} labels throughout, got another number. "
                "Train or export the model again."
            )
        return statistics


def count_labels(targets: np.ndarray) -> Statistics:
    """The counts of `targets`, of shape (images, labels) with 1 present, 0 absent, -1 unknown."""
    return Statistics(
        images=len(targets),
        known=_row((targets != UNKNOWN).sum(axis=0)),
        positives=_row((targets == POSITIVE).sum(axis=0)),
        pairs=count_pairs(targets),
    )


def labels_without_absent(targets: np.ndarray) -> np.ndarray:
    """Indices of the labels that are present somewhere, unknown somewhere and absent nowhere."""
    present, unknown = (targets == POSITIVE).any(axis=0), (targets == UNKNOWN).any(axis=0)
    return np.flatnonzero(present & unknown & ~(targets == NEGATIVE).any(axis=0))


def assume_absent(targets: np.ndarray, *, everywhere: bool = False) -> np.ndarray:
    """The targets, with unknown entries set to absent for labels that are absent nowhere.

    From the known entries alone such a label would seem always present. Data with a single known
    label per picture has only such labels. `everywhere` does it for all labels.
    """
    chosen = np.full(targets.shape[1], everywhere)
    chosen[labels_without_absent(targets)] = True
    return np.where((targets == UNKNOWN) & chosen, np.int8(NEGATIVE), targets)


def repeat_factors(targets: np.ndarray, share: float) -> np.ndarray:
    """Per picture, how often to show it, 1 or more, so that rare labels are seen more often.

    Label l, present in the share f_l of its known pictures, asks for max(1, sqrt(share / f_l)), and
    a picture takes the largest number that any of its present labels asks for (repeat factor
    sampling, Gupta et al. 2019, arXiv 1908.03195, section 4.1). `targets` is (images, labels) with
    1, 0 and -1. Shape (images,), float64.
    """
    positive = targets == POSITIVE
    frequency = positive.sum(axis=0) / np.maximum((targets != UNKNOWN).sum(axis=0), 1)
    asked = np.sqrt(share / np.maximum(frequency, np.finfo(np.float64).tiny))
    factors: np.ndarray = np.where(positive, np.maximum(asked, 1), 1).max(axis=1, initial=1)
    return factors


def _largest(values: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """The columns of the `most` largest values of each row, the largest first; equals in order."""
    least = np.partition(values, -most, axis=1)[:, [-most]]
    above, equal = values > least, values == least
    wanted = most - above.sum(axis=1, keepdims=True)
    chosen = above | (equal & (equal.cumsum(axis=1) <= wanted))
    columns = np.nonzero(chosen)[1].reshape(len(values), most)
    order = np.argsort(-np.take_along_axis(values, columns, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1)


def _row(values: Any) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


def _older_pairs(stored: Mapping[str, Any]) -> PairCounts:
    """The pairs that older lcnets stored as lists; none if there are no lists."""
    if "cooccurrence" not in stored:
        return no_pairs(len(stored["positives"]))
    tables = ([_counts(row) for row in stored[name]] for name in ("cooccurrence", "known_with"))
    return PairCounts.from_tables(*(np.array(table) for table in tables))


def _counts(stored: object) -> tuple[int, ...]:
    return check_counts(stored, "counts", count=len(stored))  # type: ignore[arg-type]
