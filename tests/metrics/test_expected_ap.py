"""The expected mAP, against the mean over drawn targets."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from lcnet.metrics.expected_ap import expected_mean_ap


def test_of_certain_targets_it_is_the_mean_ap():
    rng = np.random.default_rng(0)
    scores, targets = rng.normal(size=(60, 3)), (rng.random((60, 3)) < 0.3).astype(float)
    expected = [average_precision_score(targets[:, k], scores[:, k]) for k in range(3)]
    assert expected_mean_ap(scores, targets) == pytest.approx(100 * np.mean(expected))


def test_of_uncertain_targets_it_is_about_the_mean_over_what_may_be():
    rng = np.random.default_rng(0)
    scores, probabilities = rng.normal(size=(400, 2)), rng.random((400, 2)) ** 3
    drawn = [
        expected_mean_ap(scores, (rng.random(probabilities.shape) < probabilities).astype(float))
        for _ in range(200)
    ]
    assert expected_mean_ap(scores, probabilities) == pytest.approx(np.mean(drawn), abs=0.3)


def test_the_ranking_by_the_probabilities_is_the_best():
    rng = np.random.default_rng(0)
    probabilities = rng.random((200, 4)) ** 4
    best = expected_mean_ap(probabilities, probabilities)
    for noise in (0.1, 0.5):
        moved = probabilities + noise * rng.normal(size=probabilities.shape)
        assert expected_mean_ap(moved, probabilities) < best
