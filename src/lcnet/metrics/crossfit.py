"""Fits calibration and thresholds to a split, and says honestly what they are worth."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lcnet.errors import DataError
from lcnet.metrics import Flags, Rates, Targets, predict_at, rates
from lcnet.metrics.calibration import Calibration, Method, fit_calibration, to_probabilities
from lcnet.metrics.thresholds import Goal, Thresholds, fit_thresholds

FEWEST_FOLDS, MOST_FOLDS = 5, 20
"""Parts that the images are divided into, each predicted with what the others gave."""
FITTED_IMAGES = 20_000
"""As many are fitted in all folds together: of few images there are more folds, since what a fold
leaves out is missed there most, and with rare labels makes the estimate too low."""
MARGINS = tuple(tenths / 10 for tenths in range(10))
"""How much stricter than the goal thresholds are fitted: shares of the way from it to 1."""


@dataclass(frozen=True)
class Fitted:
    """Calibration and thresholds of a model, fitted to all images, and what to expect of them."""

    calibration: Calibration
    thresholds: Thresholds
    aim: Goal
    """What the thresholds were fitted to: the goal, or a stricter one so that it holds."""
    reached: bool
    """Whether the goal holds for images that were not fitted to: mean precision CP, or recall CR,
    of `expected`. Always true for the best F1."""
    expected: Rates
    """The cross-fitted estimate: each image is predicted with what the other folds gave. It tends
    to be a little low, since those have fewer images."""
    expected_probabilities: NDArray[np.float32]
    """The probabilities behind it, N x L."""
    folds: int
    """Parts that the images were divided into for it."""


def fit(
    logits: NDArray[np.floating],
    targets: Targets,
    *,
    method: Method,
    goal: Goal,
    shrinkage: float,
    folds: int | None = None,
    seed: int = 0,
) -> Fitted:
    """What `fit_calibration` and `fit_thresholds` give for logits and targets (N x L each).

    A threshold at which the fitted images have just a precision of p gives new images less. So with
    a goal of precision or recall p, thresholds are fitted to p + m (1 - p) with the smallest m of
    `MARGINS` at which the cross-fitted mean over labels is p or more, or with the one that comes
    nearest. The images are divided into `folds`, by default `usual_folds`, by chance, from `seed`.
    Raises DataError for fewer than two images, or if no label has a positive.
    """
    if len(logits) < 2:
        raise DataError(f"calibrate: expected two pictures or more, got {len(logits)}. Add some.")
    aims = _aims(goal)
    folds = min(folds or usual_folds(len(logits)), len(logits))
    part = np.random.default_rng(seed).permutation(len(logits)) % folds
    values = np.empty(logits.shape, dtype=np.float32)
    predicted: list[Flags] = [np.empty(logits.shape, dtype=np.bool_) for _ in aims]
    for number in range(folds):
        out = part == number
        calibration = fit_calibration(logits[~out], targets[~out], method)
        found = to_probabilities(logits, calibration)
        values[out] = found[out]
        for flags, aim in zip(predicted, aims, strict=True):
            fitted = fit_thresholds(found[~out], targets[~out], aim, shrinkage=shrinkage)
            flags[out] = predict_at(values[out], np.array(fitted.values))
    place, reached = _choose(goal, expected := [rates(flags, targets) for flags in predicted])
    calibration = fit_calibration(logits, targets, method)
    return Fitted(
        calibration=calibration,
        thresholds=fit_thresholds(
            to_probabilities(logits, calibration), targets, aims[place], shrinkage=shrinkage
        ),
        aim=aims[place],
        reached=reached,
        expected=expected[place],
        expected_probabilities=values,
        folds=folds,
    )


def usual_folds(images: int) -> int:
    """How many folds so many images are divided into: 20 of up to 1,000, 5 from 4,000 on."""
    return int(np.clip(FITTED_IMAGES // images, FEWEST_FOLDS, MOST_FOLDS))


def _aims(goal: Goal) -> list[Goal]:
    if goal.at_least is None:
        return [goal]
    levels = {goal.at_least + margin * (1 - goal.at_least) for margin in MARGINS}
    return [replace(goal, at_least=min(level, 1.0)) for level in sorted(levels)]


def _choose(goal: Goal, expected: list[Rates]) -> tuple[int, bool]:
    """Which aim to take by what is expected of each, and whether the goal is reached."""
    if goal.at_least is None:
        return 0, True
    found = [one.CP if goal.name == "precision" else one.CR for one in expected]
    good = [place for place, value in enumerate(found) if value >= 100 * goal.at_least]
    return (good[0], True) if good else (int(np.argmax(found)), False)
