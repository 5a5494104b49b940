"""Intervals by resampling."""

import numpy as np
import pytest

from lcnet.metrics import predict_at, rates
from lcnet.metrics.bootstrap import intervals, mean_ap, paired_difference


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


def test_intervals_of_one_model_hold_what_it_measures(targets):
    ours = predictions(0.35, 1, targets)
    found = intervals(ours, targets, threshold=0.5, resamples=200)
    at_half = rates(predict_at(ours, 0.5), targets)
    assert list(found) == ["mAP", "CF1", "OF1"]
    whole = [found[name].value for name in found]
    assert whole == pytest.approx([mean_ap(ours, targets), at_half.CF1, at_half.OF1])
    for one in found.values():
        assert one.low < one.value < one.high
    assert found == intervals(ours, targets, threshold=0.5, resamples=200)


def test_an_interval_holds_19_of_20_other_splits():
    # With 0.3 * target + 0.7 * noise above 0.5 for 5 of 7 present and 2 of 7 absent entries.
    hits, calls = 0.4 * 5 / 7, 0.4 * 5 / 7 + 0.6 * 2 / 7
    truth, inside = 100 * 2 * hits / (calls + 0.4), 0
    for seed in range(40):
        targets = (np.random.default_rng(seed).random((150, 4)) < 0.4).astype(np.int8)
        ours = predictions(0.3, 100 + seed, targets)
        one = intervals(ours, targets, threshold=0.5, resamples=100)["OF1"]
        inside += one.low <= truth <= one.high
    assert 34 <= inside <= 40  # 38 expected


def test_a_resample_without_a_positive_is_left_out():
    targets = np.zeros((12, 1), dtype=np.int8)
    targets[0] = 1
    found = intervals(predictions(0.3, 1, targets), targets, threshold=0.5, resamples=50)
    assert np.isfinite([found["mAP"].low, found["mAP"].high]).all()
