"""The cross-fitted estimate, against images that nothing was fitted to."""

import numpy as np
import pytest
from scipy.special import expit

from lcnet.errors import DataError
from lcnet.metrics import Rates, predict_at, rates
from lcnet.metrics.calibration import to_probabilities
from lcnet.metrics.crossfit import Fitted, fit, usual_folds
from lcnet.metrics.thresholds import Goal

SHARES = np.array([0.4, 0.2, 0.1, 0.05])


def drawn(images: int, seed: int, *, shift: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Logits of a fair model that says too much, as one trained by the asymmetric loss."""
    rng = np.random.default_rng(seed)
    targets = (rng.random((images, 4)) < SHARES).astype(np.int8)
    logits = rng.normal(0, 1.2, size=targets.shape) + 3 * targets - 3 + shift
    return logits.astype(np.float32), targets


def on(fitted: Fitted, logits: np.ndarray, targets: np.ndarray) -> Rates:
    probabilities = to_probabilities(logits, fitted.calibration)
    return rates(predict_at(probabilities, np.array(fitted.thresholds.values)), targets)


@pytest.mark.parametrize("method", ["platt", "temperature", "none"])
def test_thresholds_for_f1_beat_one_half_on_new_images(method: str) -> None:
    fitted = fit(*drawn(2000, 0), method=method, goal=Goal(), shrinkage=1)
    logits, targets = drawn(4000, 1)
    at_half = rates(predict_at(expit(logits), 0.5), targets)
    found = on(fitted, logits, targets)
    assert found.CF1 > at_half.CF1 + 3
    assert found.mean_label_F1 > at_half.mean_label_F1 + 3
    assert pytest.approx(found.CF1, abs=2) == fitted.expected.CF1
    assert fitted.reached


@pytest.mark.parametrize(("goal", "name"), [("precision", "CP"), ("recall", "CR")])
def test_a_goal_holds_cross_fitted_and_about_so_on_new_images(goal: str, name: str) -> None:
    reached = []  # on new images, where one fit differs from the next by about 2
    for seed in range(4):
        fitted = fit(*drawn(1500, seed), method="platt", goal=Goal(goal, 0.85), shrinkage=1)
        assert fitted.reached
        assert fitted.aim.at_least >= 0.85
        assert getattr(fitted.expected, name) >= 85
        reached.append(getattr(on(fitted, *drawn(6000, 100)), name))
    assert np.mean(reached) > 84


def test_thresholds_fitted_to_just_the_goal_would_miss_it() -> None:
    """Why a stricter aim is taken: the best of many thresholds is one that chance has favoured."""
    missed = 0
    for seed in range(12):
        logits, targets = drawn(150, seed)
        plain = fit(logits, targets, method="none", goal=Goal("precision", 0.8), shrinkage=0)
        missed += plain.aim.at_least > 0.8
    assert missed >= 6


def test_a_goal_out_of_reach_is_said() -> None:
    rng = np.random.default_rng(0)
    targets = (rng.random((300, 2)) < 0.2).astype(np.int8)
    logits = rng.normal(size=targets.shape).astype(np.float32)
    fitted = fit(logits, targets, method="platt", goal=Goal("precision", 0.95), shrinkage=1)
    assert not fitted.reached
    assert fitted.expected.CP < 95


def test_the_estimate_of_noise_is_honest() -> None:
    """Fitted to noise, thresholds look better where they were fitted than they are."""
    rng = np.random.default_rng(0)
    targets = (rng.random((60, 30)) < 0.1).astype(np.int8)
    logits = rng.normal(size=targets.shape).astype(np.float32)
    fitted = fit(logits, targets, method="none", goal=Goal(), shrinkage=0)
    assert on(fitted, logits, targets).mean_label_F1 > fitted.expected.mean_label_F1 + 5


def test_each_image_is_predicted_without_itself() -> None:
    logits, targets = drawn(40, 0)
    first = fit(logits, targets, method="platt", goal=Goal(), folds=40, shrinkage=1)
    changed = targets.copy()
    changed[7] = 1 - changed[7]
    again = fit(logits, changed, method="platt", goal=Goal(), folds=40, shrinkage=1)
    same = (first.expected_probabilities == again.expected_probabilities).all(axis=1)
    assert same.tolist() == [row == 7 for row in range(40)]


@pytest.mark.parametrize(
    ("images", "folds"), [(2, 20), (400, 20), (1_000, 20), (2_000, 10), (4_000, 5), (40_504, 5)]
)
def test_few_images_are_divided_into_more_folds(images: int, folds: int) -> None:
    assert usual_folds(images) == folds


def test_too_little_is_refused() -> None:
    with pytest.raises(DataError, match="two pictures or more, got 1"):
        fit(
            np.zeros((1, 2), np.float32),
            np.ones((1, 2), np.int8),
            method="platt",
            goal=Goal(),
            shrinkage=1,
        )
    with pytest.raises(DataError, match="at least one positive"):
        fit(
            np.zeros((9, 2), np.float32),
            np.zeros((9, 2), np.int8),
            method="none",
            goal=Goal(),
            shrinkage=1,
        )
