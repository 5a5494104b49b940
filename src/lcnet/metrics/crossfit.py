"""Fits calibration and thresholds to a split, and estimates their rates on other images."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lcnet.errors import DataError
from lcnet.metrics import Flags, Rates, Targets, predict_at, rates
from lcnet.metrics.array_checks import with_both
from lcnet.metrics.calibration import Calibration, Method, fit_calibration, to_probabilities
from lcnet.metrics.label_rules import IndexedRules
from lcnet.metrics.thresholds import Goal, Thresholds, fit_thresholds

FEWEST_FOLDS, MOST_FOLDS = 5, 20
"""Bounds on the number of folds. Each fold is predicted with what was fitted to the others."""
FITTED_IMAGES = 20_000
"""About how many images are fitted over all folds together. Few images get more folds: there the
images that a fold leaves out are missed most, and with rare labels the estimate gets too low."""
MARGINS = tuple(tenths / 10 for tenths in range(10))
"""How much stricter than the goal thresholds are fitted, as shares of the way from it to 1."""


@dataclass(frozen=True)
class Fitted:
    """Calibration and thresholds of a model, fitted to all images, and what to expect of them."""

    calibration: Calibration
    thresholds: Thresholds
    aim: Goal
    """What the thresholds were fitted to: the goal, or a stricter one so that the goal holds."""
    reached: bool
    """Whether the goal holds for images that were not fitted to: mean precision CP, or recall CR,
    of `expected`. Always true for the best F1."""
    expected: Rates
    """The cross-fitted estimate: each image is predicted with what was fitted to the other folds.
    It tends to be a little low, since they have fewer images."""
    expected_probabilities: NDArray[np.float32]
    """The probabilities behind `expected`, N x L."""
    folds: int
    """How many folds `expected` was made with."""


def fit(
    logits: NDArray[np.floating],
    targets: Targets,
    *,
    method: Method,
    goal: Goal,
    shrinkage: float,
    folds: int | None = None,
    seed: int = 0,
    rules: IndexedRules | None = None,
) -> Fitted:
    """Calibration and thresholds for logits and targets (N x L each), and what to expect of them.

    A threshold that just reaches a precision of p on the fitted images gives less on new ones. So
    with a goal of precision or recall p, thresholds are fitted to p + m (1 - p). Here m is the
    smallest of `MARGINS` at which the cross-fitted mean over labels is p or more, or else the one
    that comes nearest. Images are divided into `folds` (default: `usual_folds`) at random, from
    `seed`. Thresholds are fitted label by label; the rates are of decisions that keep `rules`.
    Raises DataError for fewer than two images, or if no label has both a present and an absent
    entry.
    """
    if len(logits) < 2:
        raise DataError(f"calibrate: expected two pictures or more, got {len(logits)}. Add some.")
    if (targets == 1).any() and not with_both(targets).any():
        raise DataError(
            f"calibrate: no label has both present and absent pictures among these {len(logits):,},"
            " so nothing can be fitted. Mark absent labels with 0, or choose another split."
        )
    aims = _aims(goal)
    folds = min(folds or usual_folds(len(logits)), len(logits))
    fold_of = np.random.default_rng(seed).permutation(len(logits)) % folds
    values = np.empty(logits.shape, dtype=np.float32)
    predicted: list[Flags] = [np.empty(logits.shape, dtype=np.bool_) for _ in aims]
    for fold in range(folds):
        held_out = fold_of == fold
        calibration = fit_calibration(logits[~held_out], targets[~held_out], method)
        calibrated = to_probabilities(logits, calibration)
        values[held_out] = calibrated[held_out]
        for flags, aim in zip(predicted, aims, strict=True):
            fitted = fit_thresholds(
                calibrated[~held_out], targets[~held_out], aim, shrinkage=shrinkage
            )
            flags[held_out] = predict_at(values[held_out], np.array(fitted.values), rules)
    expected = [rates(flags, targets) for flags in predicted]
    chosen, reached = _choose(goal, expected)
    calibration = fit_calibration(logits, targets, method)
    return Fitted(
        calibration=calibration,
        thresholds=fit_thresholds(
            to_probabilities(logits, calibration), targets, aims[chosen], shrinkage=shrinkage
        ),
        aim=aims[chosen],
        reached=reached,
        expected=expected[chosen],
        expected_probabilities=values,
        folds=folds,
    )


def usual_folds(images: int) -> int:
    """The number of folds for this many images: 20 up to 1,000 images, 5 from 4,000 on."""
    return int(np.clip(FITTED_IMAGES // images, FEWEST_FOLDS, MOST_FOLDS))


def _aims(goal: Goal) -> list[Goal]:
    if goal.at_least is None:
        return [goal]
    levels = {goal.at_least + margin * (1 - goal.at_least) for margin in MARGINS}
    return [replace(goal, at_least=min(level, 1.0)) for level in sorted(levels)]


def _choose(goal: Goal, expected: list[Rates]) -> tuple[int, bool]:
    """The number of the aim to take, given the rates of each, and whether the goal is reached."""
    if goal.at_least is None:
        return 0, True
    values = [getattr(each, goal.mean) for each in expected]
    enough = [number for number, value in enumerate(values) if value >= 100 * goal.at_least]
    return (enough[0], True) if enough else (int(np.argmax(values)), False)
