"""Intervals by resampling images: how much a number depends on which images were tested."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from lcnet.errors import DataError
from lcnet.metrics.ap import ApFormula, average_precision, resampled_precision
from lcnet.metrics.array_checks import Floats, Targets, check_probabilities, check_shapes
from lcnet.metrics.blocks import row_blocks, spans
from lcnet.metrics.decisions import Decisions, no_positives, predict_at, rates_of
from lcnet.metrics.label_rules import IndexedRules

LEVEL = 95
"""The confidence level of every interval, in percent."""
RESAMPLES = 1000
"""How many test sets are drawn."""
DRAWN_AT_ONCE = 250_000_000
"""Images of resamples that are counted at a time, a byte each."""


@dataclass(frozen=True)
class Interval:
    """A number, and the range in which it lies for 95 % of the resampled test sets."""

    value: float
    low: float
    high: float

    @property
    def as_difference(self) -> str:
        """A difference and its range, with signs, such as `+1.23 (-0.45 to +2.10)`."""
        return f"{self.value:+.2f} ({self.low:+.2f} to {self.high:+.2f})"


@dataclass(frozen=True)
class ApDifferences:
    """How two models' APs on the same images differ, 0 to 100; `ap_differences` makes it."""

    mean_ap: Interval
    by_label: tuple[Interval | None, ...]
    """None for a label without a present or without an absent entry."""


def mean_ap(probabilities: Floats, targets: Targets, *, formula: ApFormula = "step") -> float:
    """The mAP, 0 to 100, over labels with both classes; NaN if there is none."""
    return _mean(average_precision(probabilities, targets, formula=formula))


def _mean(ap: NDArray[np.float64]) -> float:
    known = ap[~np.isnan(ap)]
    return float(100 * known.mean()) if known.size else float("nan")


def intervals(
    probabilities: Floats,
    targets: Targets,
    *,
    threshold: float | Floats = 0.5,
    formula: ApFormula = "step",
    resamples: int = RESAMPLES,
    seed: int = 0,
    rules: IndexedRules | None = None,
) -> dict[str, Interval]:
    """The mAP, CF1 and OF1 of one model, 0 to 100, each with its 95 % interval.

    Every resample draws as many images as there are, with replacement. The interval runs from the
    2.5th to the 97.5th percentile (Efron and Tibshirani 1993, chapter 13). It shows how much
    depends on the tested images, and nothing about the seed of training. Resamples in which no
    label has both a present and an absent entry are left out; if none has in all images, there are
    no intervals. Raises DataError if no label has a positive in all images.
    """
    count = len(targets)
    every = np.ones((1, count), dtype=np.uint8)
    measure = partial(
        _measured, probabilities, targets, threshold=threshold, formula=formula, rules=rules
    )
    check_shapes(probabilities, targets)
    check_probabilities(probabilities)
    wholes = measure(every)
    if not wholes:
        raise no_positives(*targets.shape)
    (whole,) = wholes
    if np.isnan(whole[0]):
        return {}
    rng, drawn = np.random.default_rng(seed), list[tuple[float, float, float]]()
    for group in spans(resamples, count, values=DRAWN_AT_ONCE):
        drawn += measure(_draws(rng, group.stop - group.start, count))
    half = (100 - LEVEL) / 2
    lows, highs = np.nanpercentile(drawn, [half, 100 - half], axis=0)
    return {
        name: Interval(float(value), float(low), float(high))
        for name, value, low, high in zip(("mAP", "CF1", "OF1"), whole, lows, highs, strict=True)
    }


def _draws(rng: np.random.Generator, resamples: int, images: int) -> NDArray[np.unsignedinteger]:
    """How often each image is in each resample, R x N."""
    draws = np.empty((resamples, images), dtype=np.uint8)
    for number in range(resamples):
        times = np.bincount(rng.integers(images, size=images), minlength=images)
        if times.max() > np.iinfo(draws.dtype).max:
            draws = draws.astype(np.uint32)
        draws[number] = times
    return draws


def _measured(
    probabilities: Floats,
    targets: Targets,
    draws: NDArray[np.unsignedinteger],
    *,
    threshold: float | Floats,
    formula: ApFormula,
    rules: IndexedRules | None,
) -> list[tuple[float, float, float]]:
    """The mAP, CF1 and OF1 of each resample that has a positive, by how often images are drawn."""
    ap = resampled_precision(probabilities, targets, draws, formula=formula)
    labels = targets.shape[1]
    counts = np.zeros((len(draws), 4 * labels))
    for rows, (values, marks) in zip(
        spans(*targets.shape), row_blocks(probabilities, targets), strict=True
    ):
        predicted = predict_at(values, threshold, rules)
        flags = predicted & (marks == 1), predicted & (marks >= 0), marks == 1, marks == 0
        # Sums of a block stay below 2^24, up to which float32 is exact.
        counts += draws[:, rows].astype(np.float32) @ np.hstack(flags).astype(np.float32)
    found = []
    for of_labels, each in zip(ap, counts, strict=True):
        hits, calls, positives, absent = np.split(each, 4)
        if positives.any():
            at = rates_of(Decisions(hits, calls, positives), absent > 0, images=len(targets))
            found.append((_mean(of_labels), at.CF1, at.OF1))
    return found


def paired_difference(
    ours: Sequence[Floats],
    theirs: Sequence[Floats],
    targets: Targets | Sequence[Targets],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    statistic: Callable[[Floats, Targets], float] = mean_ap,
) -> Interval:
    """The difference of two models' mean statistic (ours minus theirs), on the same images.

    Each model is a sequence of predictions (N x L), one per seed, and its statistic is the mean
    over the seeds. Targets (N x L) are the same for all seeds, or one array for each. Every
    resample draws N images with replacement, the same for both models and all seeds. The interval
    runs from the 2.5th to the 97.5th percentile (Efron and Tibshirani 1993, chapter 13). It shows
    how much depends on the test images, and nothing about the seeds. Resamples in which no label
    has both a present and an absent entry are left out.
    """
    rng = np.random.default_rng(seed)
    of_ours, of_theirs = (
        [targets] * len(model) if isinstance(targets, np.ndarray) else targets
        for model in (ours, theirs)
    )

    def difference(rows: NDArray[np.intp]) -> float:
        our_values = map(partial(_at, statistic, rows), ours, of_ours)
        their_values = map(partial(_at, statistic, rows), theirs, of_theirs)
        return float(np.mean(list(our_values)) - np.mean(list(their_values)))

    count = len(of_ours[0])
    drawn = [difference(rng.integers(count, size=count)) for _ in range(resamples)]
    half = (100 - LEVEL) / 2
    low, high = np.nanpercentile(drawn, [half, 100 - half])
    return Interval(difference(np.arange(count)), float(low), float(high))


def ap_differences(
    ours: Floats,
    theirs: Floats,
    targets: Targets,
    *,
    formula: ApFormula = "step",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> ApDifferences:
    """The differences in mAP and in the AP of each label (ours minus theirs), on the same images.

    Predictions and targets are N x L. The resamples and the interval of the mAP are those of
    `paired_difference`; a label's interval is from the resamples that have both a present and an
    absent image of it. Raises DataError if no label has both in all images.
    """
    rng = np.random.default_rng(seed)

    def differences(rows: NDArray[np.intp]) -> NDArray[np.float64]:
        by_label = [
            100 * average_precision(model[rows], targets[rows], formula=formula)
            for model in (ours, theirs)
        ]
        # Summed before they are subtracted, as the difference of two means is.
        known = ~np.isnan(by_label[0])
        means = [float(ap[known].mean()) if known.any() else float("nan") for ap in by_label]
        return np.array([means[0] - means[1], *(by_label[0] - by_label[1])])

    count = len(targets)
    whole = differences(np.arange(count))
    if np.isnan(whole[0]):
        raise DataError(
            "no label has both present and absent pictures, so nothing can be compared. Mark "
            "absent labels with 0."
        )
    measurable = ~np.isnan(whole)
    drawn = np.array(
        [differences(rng.integers(count, size=count))[measurable] for _ in range(resamples)]
    )
    half = (100 - LEVEL) / 2
    low, high = np.full_like(whole, np.nan), np.full_like(whole, np.nan)
    low[measurable], high[measurable] = np.nanpercentile(drawn, [half, 100 - half], axis=0)
    found = [
        Interval(float(value), float(least), float(most)) if is_known else None
        for value, least, most, is_known in zip(whole, low, high, measurable, strict=True)
    ]
    assert found[0] is not None
    return ApDifferences(found[0], tuple(found[1:]))


def _at(
    statistic: Callable[[Floats, Targets], float],
    rows: NDArray[np.intp],
    predictions: Floats,
    targets: Targets,
) -> float:
    return statistic(predictions[rows], targets[rows])
