"""How good predictions are: average precision, and precision, recall and F1 under named protocols.

All functions take NumPy arrays with one row per image and one column per label: probabilities in
[0, 1], and targets that are 1 (present), 0 (absent) or -1 (unknown). Unknown entries are left out
everywhere. A label without a known positive has no recall and no AP: it is left out of every mean
over labels, and counted. (Much published code counts it as 0 there, which lowers those means.)
"""

from dataclasses import asdict, dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lcnet.errors import DataError

Floats = NDArray[np.floating]
Targets = NDArray[np.integer]
Flags = NDArray[np.bool_]
ApFormula = Literal["step", "envelope", "11-point"]
"""How average precision is taken from precision and recall; `average_precision` has the formulas.

step: as scikit-learn, ML-GCN, CSRA, ASL, ML-Decoder and LCNet have it. envelope: as the VOC
challenge from 2010 on and Query2Label. 11-point: as the VOC challenge up to 2009.
"""


# Average precision


def average_precision(
    probabilities: Floats, targets: Targets, *, formula: ApFormula = "step"
) -> NDArray[np.float64]:
    """The average precision of each label, L values in [0, 1]; NaN where a label has no positive.

    At a positive, precision is the share of positives among all images scored at least as high, and
    recall the share of all positives that are scored at least as high. AP is

    - step: the mean over positives of the precision at each;
    - envelope: the same, with the largest precision at each one's recall or any higher;
    - 11-point: the mean over r = 0, 0.1, ..., 1 of the largest precision at recall r or higher.

    Images of equal probability thus count together, and their order does not matter: the ranking
    alone decides. step equals sklearn.metrics.average_precision_score; envelope is never below it.

    Raises DataError if a probability is not finite.
    """
    if formula not in get_args(ApFormula):
        raise ValueError(
            f"average_precision: expected formula {', '.join(get_args(ApFormula))}, "
            f"got {formula!r}."
        )
    _check_shapes(probabilities, targets)
    _check_probabilities(probabilities)
    columns = zip(probabilities.T, targets.T, strict=True)
    return np.array(
        [_label_average_precision(*column, formula) for column in columns], dtype=np.float64
    )


def _label_average_precision(probabilities: Floats, targets: Targets, formula: ApFormula) -> float:
    everyone = np.sort(probabilities[targets >= 0])
    positives = np.sort(probabilities[targets == 1])
    if not positives.size:
        return float("nan")
    # From the lowest positive, where recall is 1, to the highest.
    positives_at_least = positives.size - np.searchsorted(positives, positives)
    everyone_at_least = everyone.size - np.searchsorted(everyone, positives)
    precision = positives_at_least / everyone_at_least
    if formula == "envelope":
        precision = np.maximum.accumulate(precision)
    elif formula == "11-point":
        # Recall as counts: in floating point 3 of 10 positives may fall short of 0.3.
        reached = [10 * positives_at_least >= tenths * positives.size for tenths in range(11)]
        precision = np.array([precision[at_least].max() for at_least in reached])
    return float(precision.mean())


# Which labels count as predicted


def predict_at(probabilities: Floats, threshold: float | Floats) -> Flags:
    """True where a probability is strictly above the threshold, N x L.

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
    return np.asarray(probabilities > thresholds)


def predict_top(probabilities: Floats, k: int) -> Flags:
    """True for the k most probable labels of each image, N x L; of equal ones the first labels.

    Exactly k per image, or all labels if there are fewer, however improbable they are. (The top-3
    code of ML-GCN's line then drops those under probability 0.5: higher precision, lower recall.)
    Unknown entries take part in the choice, as at prediction; `rates` leaves them out.
    """
    if k < 1:
        raise ValueError(f"predict_top: expected k of at least 1, got {k}.")
    # A stable sort of the negated values keeps equal labels in their order.
    top = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    predicted = np.zeros(probabilities.shape, dtype=np.bool_)
    np.put_along_axis(predicted, top, True, axis=1)
    return predicted


# Precision, recall and F1


@dataclass(frozen=True)
class Rates:
    """Precision, recall and F1 of the labels predicted, in percent (0 to 100).

    Two numbers go by the name of "CF1": here CF1 and mean_label_F1.
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


def rates(predicted: Flags, targets: Targets) -> Rates:
    """Precision, recall and F1 of the predicted labels (N x L) against the targets, in percent.

    CP, CR and mean_label_F1 average over the labels with a positive. Code that counts the others as
    0 and divides by all L gives (L - others) / L of these values, and of CF1. OP, OR and OF1 count
    every known entry, also the false alarms of labels without a positive. A label with positives
    that is never predicted has precision 0, and if nothing at all is predicted OP is 0.

    Raises DataError if no label has a positive.
    """
    _check_shapes(predicted, targets)
    # Counts are float64, exact to 2^53, so that the divisions below are too.
    hits = (predicted & (targets == 1)).sum(axis=0, dtype=np.float64)
    calls = (predicted & (targets >= 0)).sum(axis=0, dtype=np.float64)
    positives = (targets == 1).sum(axis=0, dtype=np.float64)
    counted = positives > 0
    if not counted.any():
        raise DataError(
            f"targets: expected at least one positive, got none in {len(targets)} images x "
            f"{targets.shape[1]} labels. Take a split in which some label is marked present."
        )
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


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Count by count, part / whole, and 0 where both are 0."""
    return np.asarray(part / np.maximum(whole, 1))


def _harmonic_mean(precision: float, recall: float) -> float:
    total = precision + recall
    return 2 * precision * recall / total if total else 0.0


# All of it together


@dataclass(frozen=True)
class Verification:
    """What a model's predictions are worth on one split; `verify` makes it."""

    mAP: float
    """Mean of `ap` over the labels with a positive, 0 to 100."""
    ap: tuple[float | None, ...]
    """Average precision of each label, 0 to 100; None for a label without a positive."""
    labels: tuple[str, ...]
    images: int
    without_positive: tuple[str, ...]
    """The labels left out of all means over labels, having no known positive."""
    ap_formula: ApFormula
    """How `ap` was taken from precision and recall."""
    threshold: float | tuple[float, ...]
    """Above this a label counts as predicted: one for all, or one per label."""
    at_threshold: Rates
    top_k: int
    """How many labels per image `at_top` takes."""
    at_top: Rates

    def to_dict(self) -> dict[str, object]:
        """The same as plain JSON values, results rounded to 4 digits, the threshold as given.

        "labels" is their number (the names are the keys of "AP"), an AP of None is null, and the
        rates of the top 3 stand under "top3".
        """
        threshold = self.threshold
        return {
            "mAP": round(self.mAP, 4),
            "ap_formula": self.ap_formula,
            "images": self.images,
            "labels": len(self.labels),
            "labels_without_positive": list(self.without_positive),
            "threshold": list(threshold) if isinstance(threshold, tuple) else threshold,
            **_rounded(self.at_threshold),
            f"top{self.top_k}": _rounded(self.at_top),
            "AP": {
                label: None if ap is None else round(ap, 4)
                for label, ap in zip(self.labels, self.ap, strict=True)
            },
        }


def verify(
    probabilities: Floats,
    targets: Targets,
    labels: tuple[str, ...] | list[str],
    *,
    threshold: float | Floats = 0.5,
    top_k: int = 3,
    formula: ApFormula = "step",
) -> Verification:
    """The mAP, the AP of each label, and the rates at a threshold and of the top labels.

    Args:
        probabilities: N x L, in [0, 1].
        targets: N x L, of 1, 0 and -1 (unknown).
        labels: the L names, in column order.
        threshold: one number or one per label; strictly above it a label counts as predicted.
        top_k: how many labels per image the second set of rates takes; lowered to L.
        formula: how the AP is taken from precision and recall, see `average_precision`.

    Raises DataError if a probability is not finite or no label has a positive.
    """
    ap = 100 * average_precision(probabilities, targets, formula=formula)
    if len(labels) != len(ap):
        raise ValueError(
            "verify: expected a name for each column of probabilities, "
            f"got {len(labels)} names and {len(ap)} columns."
        )
    empty = np.isnan(ap)
    top_k = min(top_k, len(labels))
    # Before the mean: it raises where no label has a positive.
    at_threshold = rates(predict_at(probabilities, threshold), targets)
    return Verification(
        mAP=float(ap[~empty].mean()),
        ap=tuple(None if np.isnan(value) else float(value) for value in ap),
        labels=tuple(labels),
        images=len(probabilities),
        without_positive=tuple(labels[index] for index in np.flatnonzero(empty)),
        ap_formula=formula,
        threshold=_plain(threshold),
        at_threshold=at_threshold,
        top_k=top_k,
        at_top=rates(predict_top(probabilities, top_k), targets),
    )


def _rounded(rates: Rates) -> dict[str, float]:
    return {name: round(value, 4) for name, value in asdict(rates).items()}


def _plain(threshold: float | Floats) -> float | tuple[float, ...]:
    values = np.asarray(threshold)
    return float(values) if values.ndim == 0 else tuple(float(value) for value in values)


# Checks


def _check_shapes(predictions: NDArray[np.generic], targets: Targets) -> None:
    if predictions.ndim != 2 or predictions.shape != targets.shape:
        raise ValueError(
            "metrics: expected predictions and targets of one shape, images x labels, "
            f"got {predictions.shape} and {targets.shape}."
        )


def _check_probabilities(probabilities: Floats) -> None:
    finite = np.isfinite(probabilities)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise DataError(
            f"probabilities: expected finite numbers, got {probabilities[row, column]} for image "
            f"{row}, label {column} (from 0), the first of {int((~finite).sum())}. The model has "
            "diverged: go back to an earlier checkpoint or train with a lower learning rate."
        )
    if ((probabilities < 0) | (probabilities > 1)).any():
        raise ValueError(
            "probabilities: expected values in [0, 1], "
            f"got {probabilities.min()} to {probabilities.max()}. Logits need a sigmoid first."
        )
