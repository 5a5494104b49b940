"""Metrics that are computed image by image: example F1, Hamming and ranking loss, coverage."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lcnet.metrics.array_checks import (
    Flags,
    Floats,
    Targets,
    check_probabilities,
    check_shapes,
    with_absent,
)


@dataclass(frozen=True)
class ImageScores:
    """How well images are labelled, in percent (0 to 100)."""

    example_F1: float
    """Mean over images of the F1 of their labels; higher is better."""
    hamming_loss: float
    """Share of all entries that are predicted wrongly; lower is better."""


def image_scores(predicted: Flags, targets: Targets) -> ImageScores:
    """Example F1 and Hamming loss of the predicted labels (N x L); NaN if nothing is known.

    Labels without an absent entry are left out: every prediction of them would be right.
    Of an image's known labels let Y be the present and Z the predicted ones. Then
    F1 = 2 |Y and Z| / (|Y| + |Z|), and 1 if both are empty (scikit-learn: zero_division=1). Images
    without a known label are left out.

    Source: Godbole and Sarawagi 2004; Zhang and Zhou 2014, equations 5 to 8 (a review).
    """
    check_shapes(predicted, targets)
    known = (targets >= 0) & with_absent(targets)
    shown, present = predicted & known, (targets == 1) & known
    if not known.any():
        return ImageScores(float("nan"), float("nan"))
    hits = (shown & present).sum(axis=1, dtype=np.float64)
    sizes = shown.sum(axis=1, dtype=np.float64) + present.sum(axis=1)
    f1 = np.where(sizes > 0, 2 * hits / np.maximum(sizes, 1), 1.0)
    wrong = (shown != present).sum(dtype=np.float64)
    return ImageScores(
        example_F1=100 * float(f1[known.any(axis=1)].mean()),
        hamming_loss=100 * float(wrong / known.sum()),
    )


@dataclass(frozen=True)
class RankingScores:
    """How well the labels of an image are ordered; lower is better."""

    ranking_loss: float | None
    """Mean share of an image's pairs of a present and an absent label that are in the wrong order,
    in percent (0 to 100); None if no image has such a pair."""
    coverage_error: float | None
    """Mean number of labels to go down the ranking until all present ones are found, 1 to L; None
    if no image has a present label among others that are known."""


def ranking_scores(probabilities: Floats, targets: Targets) -> RankingScores:
    """Ranking loss and coverage error of each image's known labels, averaged over images.

    Labels of equal probability count as wrongly ordered, as in scikit-learn's label_ranking_loss
    and coverage_error. Unlike there, an image without a pair, or without a present label, is left
    out of the mean and does not count as 0. An image of which only present labels are known has no
    coverage either.

    Source: Schapire and Singer 2000; Tsoumakas et al. 2010, section 34.3.2 (a review).
    Raises DataError if a probability is not finite.
    """
    check_shapes(probabilities, targets)
    check_probabilities(probabilities)
    present, absent = targets == 1, targets == 0
    # Down the ranking, and among equals the absent first, so that they count as above the present.
    order = np.lexsort((present, -probabilities), axis=1)
    present_ranked = np.take_along_axis(present, order, axis=1)
    absent_above = np.take_along_axis(absent, order, axis=1).cumsum(axis=1)
    wrong = (absent_above * present_ranked).sum(axis=1)
    positives = present.sum(axis=1)
    pairs = positives * absent.sum(axis=1)
    # Above the lowest present label are all other present ones and the absent ones before it.
    depth = positives + (absent_above * present_ranked).max(axis=1, initial=0)
    loss = _mean(wrong[pairs > 0] / pairs[pairs > 0])
    return RankingScores(
        ranking_loss=None if loss is None else 100 * loss,
        coverage_error=_mean(depth[(pairs > 0) | present.all(axis=1)]),
    )


def _mean(values: NDArray[np.generic]) -> float | None:
    return float(values.mean()) if values.size else None
