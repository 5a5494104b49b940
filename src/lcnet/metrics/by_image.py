"""Metrics that are computed image by image: example F1, Hamming and ranking loss, coverage."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

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
    return joined_images([image_part(predicted, targets, with_absent(targets))])


class ImagePart(NamedTuple):
    """What a block of images adds to `ImageScores`."""

    f1: NDArray[np.float64]
    """Of each image with a known label."""
    wrong: int
    known: int
    """Entries."""


def image_part(predicted: Flags, targets: Targets, has_absent: Flags) -> ImagePart:
    """A block of images; `has_absent` (L) says which labels have an absent entry in all images."""
    known = (targets >= 0) & has_absent
    shown, present = predicted & known, (targets == 1) & known
    hits = (shown & present).sum(axis=1, dtype=np.float64)
    sizes = shown.sum(axis=1, dtype=np.float64) + present.sum(axis=1)
    f1 = np.where(sizes > 0, 2 * hits / np.maximum(sizes, 1), 1.0)
    return ImagePart(f1[known.any(axis=1)], int((shown != present).sum()), int(known.sum()))


def joined_images(parts: Sequence[ImagePart]) -> ImageScores:
    """The scores of all images together."""
    known = sum(part.known for part in parts)
    if not known:
        return ImageScores(float("nan"), float("nan"))
    return ImageScores(
        example_F1=100 * float(np.concatenate([part.f1 for part in parts]).mean()),
        hamming_loss=100 * (sum(part.wrong for part in parts) / known),
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
    return joined_ranking([ranking_part(probabilities, targets)])


class RankingPart(NamedTuple):
    """What a block of images adds to `RankingScores`."""

    losses: NDArray[np.float64]
    """Of each image with a pair."""
    depths: NDArray[np.integer]
    """Of each image that has a coverage."""


def ranking_part(probabilities: Floats, targets: Targets) -> RankingPart:
    """A block of images; probabilities are from 0 to 1."""
    present, absent = targets == 1, targets == 0
    # The bits of floats from +0 up have their order, and those up to 1 leave two bits free. So a
    # sort of integers ranks the labels, among equals the absent above, as they count.
    keys = np.add(probabilities, 0, order="C").view(f"u{probabilities.itemsize}")
    keys <<= 2
    keys |= np.where(absent, _ABSENT, np.where(present, _PRESENT, _UNKNOWN)).astype(keys.dtype)
    keys.sort(axis=1)
    ranked = keys[:, ::-1] & 3
    present_ranked = ranked == _PRESENT
    absent_above = (ranked == _ABSENT).cumsum(axis=1)
    wrong = (absent_above * present_ranked).sum(axis=1)
    positives = present.sum(axis=1)
    pairs = positives * absent.sum(axis=1)
    # Above the lowest present label are all other present ones and the absent ones before it.
    depth = positives + (absent_above * present_ranked).max(axis=1, initial=0)
    has_pair = pairs > 0
    return RankingPart(wrong[has_pair] / pairs[has_pair], depth[has_pair | present.all(axis=1)])


def joined_ranking(parts: Sequence[RankingPart]) -> RankingScores:
    """The scores of all images together."""
    loss = _mean(np.concatenate([part.losses for part in parts]))
    return RankingScores(
        ranking_loss=None if loss is None else 100 * loss,
        coverage_error=_mean(np.concatenate([part.depths for part in parts])),
    )


_PRESENT, _UNKNOWN, _ABSENT = 0, 1, 2


def _mean(values: NDArray[np.generic]) -> float | None:
    return float(values.mean()) if values.size else None
