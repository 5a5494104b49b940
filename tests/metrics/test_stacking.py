"""Weights of several models are those under which the truth is likely."""

import numpy as np

from lcnet.metrics.stacking import HEAVIEST, cross_fitted, fit_stacking, log_loss


def seen(noises, *, images=3000, labels=3, seed=0):
    """The targets, and logits of models that see them through noise."""
    rng = np.random.default_rng(seed)
    targets = (rng.random((images, labels)) < 0.3).astype(np.int8)
    scores = [2 * targets - 1 + rng.normal(size=targets.shape) * noise for noise in noises]
    return np.stack(scores), targets


def test_weights_are_those_of_the_model_that_made_the_truth():
    """Logits of independent normal noise s have the best weights 2 / s^2."""
    scores, targets = seen([1.0, 2.0])
    stacking = fit_stacking(scores, targets)
    assert np.allclose(stacking.common, [2.0, 0.5], rtol=0.1)
    assert np.allclose(stacking.bias, np.log(3 / 7), atol=0.3)
    assert log_loss(stacking.logits(scores), targets) < log_loss(scores.mean(axis=0), targets)


def test_a_model_that_is_wrong_gets_no_weight():
    scores, targets = seen([1.0, 1.0])
    scores[1] *= -1
    stacking = fit_stacking(scores, targets)
    assert (stacking.weights[:, 1] == 0).all()
    assert (stacking.weights[:, 0] > 1).all()


def test_a_rare_label_keeps_near_the_common_weights_and_one_without_a_positive_has_them():
    scores, targets = seen([1.0, 2.0])
    targets[:, 1] = 0
    targets[:3, 2], targets[3:, 2] = 1, 0
    stacking = fit_stacking(scores, targets)
    assert np.allclose(stacking.weights[1], stacking.common)
    own = fit_stacking(scores[:, :, 2:], targets[:, 2:]).weights[0]
    assert (
        np.abs(stacking.weights[2] - stacking.common).sum() <= np.abs(own - stacking.common).sum()
    )


def test_unknown_entries_do_not_count():
    scores, targets = seen([1.0, 2.0])
    expected = fit_stacking(scores[:, 100:], targets[100:])
    targets[:100] = -1
    found = fit_stacking(scores, targets)
    assert np.allclose(found.weights, expected.weights, atol=0.05)
    nothing = fit_stacking(scores, np.full_like(targets, -1))
    assert np.array_equal(nothing.weights, np.full((3, 2), 0.5))


def test_separable_scores_give_finite_weights():
    targets = np.array([[1], [0], [1], [0]], dtype=np.int8)
    stacking = fit_stacking(np.stack([targets * 1e-3, targets * 1e-3]), targets)
    assert np.isfinite(stacking.weights).all()
    assert (stacking.weights <= 2000 * HEAVIEST).all()


def test_cross_fitted_logits_are_of_pictures_that_were_left_out():
    scores, targets = seen([1.0, 2.0], images=40, labels=1)
    wrong = targets.copy()
    joined = cross_fitted(scores, targets)
    wrong[0] = 1 - wrong[0]
    assert cross_fitted(scores, wrong)[0] == joined[0]
    assert (cross_fitted(scores, wrong)[1:] != joined[1:]).any()
