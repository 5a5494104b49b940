"""Intervals by resampling."""

import numpy as np
import pytest

from lcnet.bootstrap import mean_ap, paired_difference


def predictions(quality: float, seed: int, targets: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(seed).random(targets.shape)
    return quality * targets + (1 - quality) * noise


@pytest.fixture
def targets() -> np.ndarray:
    return (np.random.default_rng(0).random((300, 5)) < 0.3).astype(np.int8)


def test_equal_models_differ_by_nothing(targets):
    same = [predictions(0.3, 1, targets)]
    found = paired_difference(same, same, targets, resamples=50)
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_a_better_model_is_found_better(targets):
    ours = [predictions(0.45, seed, targets) for seed in (1, 2)]
    theirs = [predictions(0.25, seed, targets) for seed in (3, 4)]
    found = paired_difference(ours, theirs, targets, resamples=100)
    expected = np.mean([mean_ap(one, targets) for one in ours])
    expected -= np.mean([mean_ap(one, targets) for one in theirs])
    assert found.value == pytest.approx(expected)
    assert 0 < found.low < found.value < found.high


def test_more_images_make_the_interval_narrower():
    widths = []
    for count in (100, 1600):
        targets = (np.random.default_rng(0).random((count, 5)) < 0.3).astype(np.int8)
        ours, theirs = predictions(0.3, 1, targets), predictions(0.3, 2, targets)
        found = paired_difference([ours], [theirs], targets, resamples=200)
        widths.append(found.high - found.low)
    assert 2.5 < widths[0] / widths[1] < 6.5  # the root of 16 is 4


def test_resamples_follow_from_the_seed(targets):
    ours, theirs = [predictions(0.3, 1, targets)], [predictions(0.3, 2, targets)]
    first, again = (paired_difference(ours, theirs, targets, resamples=30) for _ in range(2))
    assert first == again
    assert first != paired_difference(ours, theirs, targets, resamples=30, seed=1)


def test_a_label_that_a_resample_misses_does_not_break_it():
    targets = np.zeros((20, 2), dtype=np.int8)
    targets[0, 0] = targets[1:10, 1] = 1
    ours, theirs = predictions(0.3, 1, targets), predictions(0.3, 2, targets)
    found = paired_difference([ours], [theirs], targets, resamples=100)
    assert np.isfinite([found.value, found.low, found.high]).all()
