"""ECE, Brier and the reliability curve against scikit-learn and the plain formulas."""

import numpy as np
import pytest
from hypothesis import given, settings
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss
from tests.drawn import Split, measured, splits

from lcnet.metrics import calibration_scores


@settings(deadline=None, max_examples=200)
@given(splits())
def test_scores_equal_a_plain_loop(split: Split) -> None:
    pairs = [
        (float(value), target)
        for value, target in zip(
            split[0].ravel().tolist(), measured(split[1]).ravel().tolist(), strict=True
        )
        if target >= 0
    ]
    ours = calibration_scores(*split, bins=10)
    if not pairs:
        assert np.isnan([ours.ECE, ours.Brier]).all()
        assert ours.reliability == ()
        return
    edges = np.linspace(0, 1, 11)
    error, rows = 0.0, []
    for low, high in zip([-1.0, *edges[1:-1]], edges[1:], strict=True):
        inside = [pair for pair in pairs if low < pair[0] <= high]
        if inside:
            mean, share = np.mean(inside, axis=0)
            error += len(inside) / len(pairs) * abs(mean - share)
            rows.append((mean, share, len(inside)))
    assert pytest.approx(100 * error) == ours.ECE
    assert ours.Brier == pytest.approx(np.mean([(p - t) ** 2 for p, t in pairs]))
    found = [(one.probability, one.present, one.entries) for one in ours.reliability]
    np.testing.assert_allclose(found, rows, atol=1e-12)


@settings(deadline=None, max_examples=100)
@given(splits())
def test_scores_equal_scikit_learn(split: Split) -> None:
    probabilities, targets = split[0], measured(split[1])
    known = targets >= 0
    if len(set(targets[known])) == 2:
        values = probabilities[known].astype(np.float64)
        ours = calibration_scores(probabilities, targets)
        share, mean = calibration_curve(targets[known], values, n_bins=15)
        np.testing.assert_allclose([one.present for one in ours.reliability], share)
        np.testing.assert_allclose([one.probability for one in ours.reliability], mean, atol=1e-12)
        assert ours.Brier == pytest.approx(brier_score_loss(targets[known], values))


def test_the_error_equals_its_formula_where_no_probability_is_on_an_edge() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.uniform(0.001, 0.999, size=(400, 5)).astype(np.float32)
    targets = (rng.random((400, 5)) < probabilities**2).astype(np.int8)
    # sum over bins of n/N |mean probability - share present| is, since n cancels, the sum of
    # |sum of (probability - present)| / N. Numbers of bins follow from a product, not from edges.
    bins = np.floor(15 * probabilities.astype(np.float64)).astype(int).ravel()
    gaps = np.bincount(bins, weights=(probabilities - targets).ravel(), minlength=15)
    ours = calibration_scores(probabilities, targets).ECE
    assert ours == pytest.approx(100 * np.abs(gaps).sum() / probabilities.size, abs=1e-4)
    assert ours > 10


def test_calibrated_probabilities_have_a_small_error() -> None:
    rng = np.random.default_rng(1)
    probabilities = rng.random((50_000, 2))
    targets = (rng.random((50_000, 2)) < probabilities).astype(np.int8)
    ours = calibration_scores(probabilities, targets)
    assert ours.ECE < 1
    assert pytest.approx(1 / 6, abs=0.01) == ours.Brier  # the integral of p (1 - p)
