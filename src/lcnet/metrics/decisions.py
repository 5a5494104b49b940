"""Which labels count as predicted, and their precision, recall and F1."""

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcnet.errors import DataError
from lcnet.metrics.array_checks import Flags, Floats, Targets, check_shapes, with_absent
from lcnet.metrics.label_rules import IndexedRules

MOST_SEARCHED = 8
"""Labels up to which the most probable are searched one after the other."""


def predict_at(
    probabilities: Floats, threshold: float | Floats, rules: IndexedRules | None = None
) -> Flags:
    """True where a probability is strictly above the threshold, N x L; with `rules`, as they allow.

    `threshold` is one number or one per label (L). It is rounded to the probabilities' own
    precision first, so that one number and L times that number predict the same.
    """
    thresholds = np.asarray(threshold, dtype=probabilities.dtype)
    labels = probabilities.shape[1]
    if thresholds.shape not in ((), (labels,)):
        raise ValueError(
            f"predict_at: expected one threshold or one for each of {labels} labels, "
            f"got an array of shape {thresholds.shape}."
        )
    above = np.asarray(probabilities > thresholds)
    return above if rules is None else rules.decide(above, probabilities)


def predict_top(probabilities: Floats, k: int) -> Flags:
    """True for the k most probable labels of each image, N x L; among equals the first ones.

    Exactly k per image, or all labels if there are fewer, however improbable they are. (The top-3
    code of ML-GCN and its followers then drops those under probability 0.5, which raises precision
    and lowers recall.) Unknown entries take part in the choice, since a prediction does not know
    what is unknown; `rates` leaves them out.
    """
    if k < 1:
        raise ValueError(f"predict_top: expected k of at least 1, got {k}.")
    predicted = np.zeros(probabilities.shape, dtype=np.bool_)
    if k <= MOST_SEARCHED and k <= probabilities.shape[1] and not np.isnan(probabilities).any():
        # A search for the largest takes the first of equal ones, and is quicker than a sort.
        rest, rows = np.array(probabilities), np.arange(len(probabilities))
        for _ in range(k):
            largest = rest.argmax(axis=1)
            predicted[rows, largest], rest[rows, largest] = True, -np.inf
        return predicted
    # A stable sort of the negated values keeps equal labels in their order.
    top = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    np.put_along_axis(predicted, top, True, axis=1)
    return predicted


@dataclass(frozen=True)
class Rates:
    """Precision, recall and F1 of the labels predicted, in percent (0 to 100).

    All are NaN if no label has both a present and an absent entry.
    Papers call two different numbers "CF1"; here they are CF1 and mean_label_F1.
    """

    CP: float
    """Mean over labels of their precision."""
    CR: float
    """Mean over labels of their recall."""
    CF1: float
    """2 CP CR / (CP + CR), as in ML-GCN and CSRA."""
    OP: float
    """Precision over all entries together."""
    OR: float
    """Recall over all entries together."""
    OF1: float
    """2 OP OR / (OP + OR)."""
    mean_label_F1: float
    """Mean over labels of their F1, as in ASL, ML-Decoder and LCNet."""


class Decisions(NamedTuple):
    """How often each label is rightly predicted (hits), predicted (calls) and present: L each.

    Only known entries count. The counts are float64, ready to be divided and exact up to 2^53.
    """

    hits: NDArray[np.float64]
    calls: NDArray[np.float64]
    positives: NDArray[np.float64]

    def plus(self, other: "Decisions") -> "Decisions":
        """The counts of both."""
        return Decisions(*(ours + theirs for ours, theirs in zip(self, other, strict=True)))


def count_decisions(predicted: Flags, targets: Targets) -> Decisions:
    """The counts of the predicted labels (N x L) against the targets."""
    check_shapes(predicted, targets)
    return Decisions(
        (predicted & (targets == 1)).sum(axis=0, dtype=np.float64),
        (predicted & (targets >= 0)).sum(axis=0, dtype=np.float64),
        (targets == 1).sum(axis=0, dtype=np.float64),
    )


def rates(predicted: Flags, targets: Targets) -> Rates:
    """Precision, recall and F1 of the predicted labels (N x L) against the targets, in percent.

    A label without an absent entry is left out of all of them: every prediction of it would be
    right. CP, CR and mean_label_F1 are means over the other labels with a positive. Code that
    counts labels without a positive as 0 and divides by all L gets (L - others) / L times these
    values, and times CF1. OP, OR and OF1 count every known entry, also the false alarms of labels
    without a positive. A label with positives that is never predicted has precision 0. If nothing
    at all is predicted, OP is 0. If no label has both a present and an absent entry, all are NaN.

    Raises DataError if no label has a positive.
    """
    counts = count_decisions(predicted, targets)
    return rates_of(counts, with_absent(targets), images=len(targets))


def rates_of(counts: Decisions, has_absent: Flags, *, images: int) -> Rates:
    """What `rates` says of counts, if it is known which labels have an absent entry (L)."""
    if not counts.positives.any():
        raise no_positives(images, len(has_absent))
    hits, calls, positives = (each[has_absent] for each in counts)
    counted = positives > 0
    if not counted.any():
        return Rates(*[float("nan")] * len(fields(Rates)))
    cp = float(_ratio(hits, calls)[counted].mean())
    cr = float(_ratio(hits, positives)[counted].mean())
    op = float(_ratio(hits.sum(), calls.sum()))
    or_ = float(_ratio(hits.sum(), positives.sum()))
    label_f1 = _ratio(2 * hits, calls + positives)[counted]
    return Rates(
        CP=100 * cp,
        CR=100 * cr,
        CF1=100 * _harmonic_mean(cp, cr),
        OP=100 * op,
        OR=100 * or_,
        OF1=100 * _harmonic_mean(op, or_),
        mean_label_F1=100 * float(label_f1.mean()),
    )


def no_positives(images: int, labels: int) -> DataError:
    """The error for targets without any present entry."""
    return DataError(
        f"targets: expected at least one positive, got none in {images} images x "
        f"{labels} labels. Take a split in which some label is marked present."
    )


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each count as a share, part / whole; 0 where both are 0."""
    return np.asarray(part / np.maximum(whole, 1))


def _harmonic_mean(precision: float, recall: float) -> float:
    total = precision + recall
    return 2 * precision * recall / total if total else 0.0
