"""Intervals by resampling images: how far a number depends on which images were tested."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lcnet.errors import DataError
from lcnet.metrics import (
    ApFormula,
    Floats,
    Targets,
    average_precision,
    predict_at,
    rates,
)

LEVEL = 95
"""Of all intervals, in percent."""
RESAMPLES = 1000
"""So many times images are drawn anew."""


@dataclass(frozen=True)
class Interval:
    """A number and the range that 95 % of resampled test sets give."""

    value: float
    low: float
    high: float


def mean_ap(probabilities: Floats, targets: Targets) -> float:
    """The mAP, 0 to 100, over labels with a positive."""
    return float(100 * np.nanmean(average_precision(probabilities, targets)))


def intervals(
    probabilities: Floats,
    targets: Targets,
    *,
    threshold: float | Floats,
    formula: ApFormula = "step",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Interval]:
    """The mAP, CF1 and OF1 of one model, 0 to 100, each with its 95 % interval.

    Every resample draws as many images with replacement; the interval is that of its percentiles
    (Efron and Tibshirani 1993, chapter 13). It says how far the tested images decide, not the seed
    of training. Resamples in which no label has a positive are left out. Raises DataError if no
    label of all images has one.
    """
    rng = np.random.default_rng(seed)
    predicted = predict_at(probabilities, threshold)

    def measure(rows: NDArray[np.intp]) -> tuple[float, float, float]:
        found = rates(predicted[rows], targets[rows])
        ap = average_precision(probabilities[rows], targets[rows], formula=formula)
        return float(100 * np.nanmean(ap)), found.CF1, found.OF1

    count = len(targets)
    whole, drawn = measure(np.arange(count)), []
    for _ in range(resamples):
        try:
            drawn.append(measure(rng.integers(count, size=count)))
        except DataError:
            continue
    half = (100 - LEVEL) / 2
    lows, highs = np.percentile(drawn, [half, 100 - half], axis=0)
    return {
        name: Interval(float(value), float(low), float(high))
        for name, value, low, high in zip(("mAP", "CF1", "OF1"), whole, lows, highs, strict=True)
    }


def paired_difference(
    ours: Sequence[Floats],
    theirs: Sequence[Floats],
    targets: Targets,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    statistic: Callable[[Floats, Targets], float] = mean_ap,
) -> Interval:
    """The difference of two models' mean statistic (ours minus theirs), on the same images.

    Each model is a sequence of predictions, N x L, one per seed; a statistic is averaged over them.
    Every resample draws N images with replacement, the same for both models and all seeds, and the
    interval is that of its percentiles (Efron and Tibshirani 1993, chapter 13). It says how far the
    test images decide, not the seeds. Resamples in which no label has a positive are left out.
    """
    rng = np.random.default_rng(seed)

    def difference(rows: NDArray[np.intp]) -> float:
        chosen = targets[rows]
        own = [statistic(one[rows], chosen) for one in ours]
        other = [statistic(one[rows], chosen) for one in theirs]
        return float(np.mean(own) - np.mean(other))

    count = len(targets)
    drawn = [difference(rng.integers(count, size=count)) for _ in range(resamples)]
    half = (100 - LEVEL) / 2
    low, high = np.nanpercentile(drawn, [half, 100 - half])
    return Interval(difference(np.arange(count)), float(low), float(high))
