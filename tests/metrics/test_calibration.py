"""Calibration recovers what was drawn, and leaves the order of images alone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from tests.drawn import Split, splits

from lcnet.metrics import average_precision, calibration_scores
from lcnet.metrics.calibration import Calibration, fit_calibration, probabilities, softened


def drawn(slope, bias, *, images=20_000, seed=0):
    """Logits, and targets that are present with probability sigmoid(slope * logit + bias)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1, 2, size=(images, len(slope))).astype(np.float32)
    targets = rng.random(logits.shape) < expit(np.array(slope) * logits + bias)
    return logits, targets.astype(np.int8)


def test_a_known_temperature_is_recovered() -> None:
    logits, targets = drawn([0.4, 0.4, 0.4], 0)
    found = fit_calibration(logits, targets, "temperature")
    assert found.slope == pytest.approx([0.4] * 3, rel=0.03)
    assert len(set(found.slope)) == 1
    assert found.bias == (0, 0, 0)


def test_a_known_slope_and_bias_of_each_label_are_recovered() -> None:
    slope, bias = [0.5, 1.0, 2.0], np.array([1.0, -1.0, 0.5])
    found = fit_calibration(*drawn(slope, bias), "platt")
    assert found.slope == pytest.approx(slope, rel=0.1)
    assert found.bias == pytest.approx(bias, abs=0.1)


def test_with_many_images_it_is_a_logistic_regression() -> None:
    logits, targets = drawn([0.7], -0.5)
    found = fit_calibration(logits, targets, "platt")
    expected = LogisticRegression(C=np.inf).fit(logits, targets[:, 0])
    assert found.slope[0] == pytest.approx(expected.coef_[0, 0], rel=1e-3)
    assert found.bias[0] == pytest.approx(expected.intercept_[0], abs=1e-3)


@pytest.mark.parametrize("method", ["platt", "temperature", "none"])
@settings(deadline=None, max_examples=25)
@given(split=splits())
def test_slopes_are_positive_and_unknown_entries_do_not_count(method: str, split: Split) -> None:
    values, targets = split
    logits = (10 * values - 5).astype(np.float32)
    found = fit_calibration(logits, targets, method)
    assert all(0 < slope < 1000 for slope in found.slope)
    assert np.isfinite(found.bias).all()
    assert fit_calibration(np.where(targets < 0, 77, logits), targets, method) == found


def test_a_rare_label_is_drawn_to_the_common_calibration_and_an_empty_one_takes_it() -> None:
    logits, targets = drawn([1.0, 1.0, 1.0], np.array([0.0, 0.0, 3.0]), images=2000)
    targets[:, 1] = 0
    targets[20:, 2] = -1
    found = fit_calibration(logits, targets, "platt")
    full = fit_calibration(*drawn([1.0, 1.0, 1.0], np.array([0.0, 0.0, 3.0]), images=2000), "platt")
    assert abs(found.bias[2] - found.bias[1]) < abs(full.bias[2] - full.bias[0]) / 2
    values = np.concatenate([logits[:, :2].ravel(), logits[:20, 2]])[:, None]
    truth = np.concatenate([targets[:, :2].ravel(), targets[:20, 2]])
    # A target between 0 and 1 is an entry that is present and absent, each with its weight.
    soft = softened(truth == 1)
    both = np.concatenate([values, values]), np.repeat([1, 0], len(truth))
    common = LogisticRegression(C=np.inf).fit(*both, np.concatenate([soft, 1 - soft]))
    assert found.bias[1] == pytest.approx(common.intercept_[0], abs=1e-3)
    assert found.slope[1] == pytest.approx(common.coef_[0, 0], rel=1e-3)


@pytest.mark.parametrize("method", ["platt", "temperature"])
@pytest.mark.parametrize("images", [10, 60, 500])
def test_what_is_separated_is_not_made_certain(method: str, images: int) -> None:
    rng = np.random.default_rng(images)

    def separated(count: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
        targets = rng.integers(0, 2, (count, 2)).astype(np.int8)
        return (6 * targets - 3 + rng.normal(0, spread, targets.shape)).astype(np.float32), targets

    found = fit_calibration(*separated(images, 0.7), method)
    assert min(found.slope) > 0.3 and max(found.slope) < 4
    logits, targets = separated(2_000, 2.5)  # new pictures are harder
    before, after = (probabilities(torch.from_numpy(logits), one).numpy() for one in (None, found))
    np.testing.assert_allclose(
        average_precision(before, targets), average_precision(after, targets), atol=1e-4
    )


def test_softened_targets_are_those_of_platt() -> None:
    present = np.array([True, True, False, True, False])
    np.testing.assert_allclose(softened(present), [4 / 5, 4 / 5, 1 / 4, 4 / 5, 1 / 4])


def test_calibration_lowers_the_error_of_new_images_and_keeps_the_average_precision() -> None:
    slope, bias = [0.4, 0.6], np.array([-1.0, -2.0])
    found = fit_calibration(*drawn(slope, bias), "platt")
    logits, targets = drawn(slope, bias, seed=1)
    before, after = (probabilities(torch.from_numpy(logits), one).numpy() for one in (None, found))
    assert calibration_scores(before, targets).ECE > 15
    assert calibration_scores(after, targets).ECE < 2
    np.testing.assert_allclose(
        average_precision(before, targets), average_precision(after, targets), atol=1e-4
    )


def test_probabilities_are_float32_sigmoids_of_the_line() -> None:
    logits = torch.tensor([[1.0, -2.0]], dtype=torch.bfloat16)
    plain = probabilities(logits)
    assert plain.dtype == torch.float32
    torch.testing.assert_close(plain, logits.float().sigmoid(), rtol=0, atol=0)
    made = probabilities(logits, Calibration((0.5, 2.0), (0.0, 3.0)))
    torch.testing.assert_close(made, torch.tensor([[0.5, -1.0]]).sigmoid())


def test_a_calibration_is_stored_and_a_falling_one_refused() -> None:
    made = Calibration((0.5, 2.0), (0.0, 3.0), "somewhere")
    assert Calibration.from_dict(made.to_dict()) == made
    for slope in ([0.5, 0.0], [1.0]):
        with pytest.raises(ValueError, match=r"positive slope|expected 1 numbers"):
            Calibration.from_dict({**made.to_dict(), "slope": slope})
