"""Labels of which no absent entry is known: no number can tell a good model from a bad one."""

import json

import numpy as np
import pytest

from lcnet.errors import DataError
from lcnet.metrics import intervals, verify
from lcnet.metrics.bootstrap import mean_ap
from lcnet.metrics.crossfit import fit
from lcnet.metrics.thresholds import Goal, fit_thresholds

LABELS = ("cat", "dog", "sofa")


@pytest.fixture
def probabilities() -> np.ndarray:
    return np.random.default_rng(0).random((40, 3))


@pytest.fixture
def targets() -> np.ndarray:
    return (np.random.default_rng(1).random((40, 3)) < 0.5).astype(np.int8)


@pytest.mark.parametrize("absent", [-1, 1])
def test_nothing_is_measured_where_no_label_is_absent(probabilities, targets, absent):
    targets[targets == 0] = absent
    measured = verify(probabilities, targets, LABELS)
    assert (measured.without_positive, measured.without_absent) == ((), LABELS)
    written = json.loads(json.dumps(measured.to_dict(), allow_nan=False))
    numbers = [*written["AP"].values(), *written["top3"].values(), written["mAP"]]
    for name in ("CP", "CF1", "OP", "OF1", "mean_label_F1", "example_F1", "hamming_loss"):
        numbers.append(written[name])
    assert {*numbers, written["ECE"], written["Brier"], written["ranking_loss"]} == {None}
    assert written["reliability"] == []
    assert np.isnan(mean_ap(probabilities, targets))
    assert intervals(probabilities, targets, resamples=5) == {}


def test_a_label_without_an_absent_entry_changes_no_number(probabilities, targets):
    alone = verify(probabilities[:, :2], targets[:, :2], LABELS[:2])
    for others in (1, -1):
        targets[:, 2] = others
        targets[0, 2] = 1
        measured = verify(probabilities, targets, LABELS)
        assert measured.without_absent == ("sofa",)
        assert measured.ap == (*alone.ap, None)
        assert measured.mAP == alone.mAP
        for part in ("at_threshold", "by_image", "calibration"):
            assert getattr(measured, part) == getattr(alone, part)
    assert intervals(probabilities, targets, resamples=5).keys() == {"mAP", "CF1", "OF1"}


def test_coverage_needs_a_label_that_is_known_to_be_absent(probabilities, targets):
    targets[targets == 0] = -1
    targets[1:, 2] = -1
    targets[0] = 1, 0, -1
    assert verify(probabilities, targets, LABELS).ranking.coverage_error in (1, 2)


def test_a_label_of_one_class_takes_the_common_threshold_and_does_not_move_it(
    probabilities, targets
):
    alone = fit_thresholds(probabilities[:, :2], targets[:, :2], Goal(), shrinkage=1)
    targets[:, 2] = 1
    found = fit_thresholds(probabilities, targets, Goal(), shrinkage=1)
    assert (found.without_absent, found.without_positive) == ((2,), ())
    assert found.values == (*alone.values, alone.common)


def test_a_label_of_one_class_takes_the_common_calibration_and_does_not_move_it(targets):
    logits = np.random.default_rng(2).normal(size=targets.shape).astype(np.float32)
    targets[:, 2] = -1
    targets[:5, 2] = 1
    given = {"method": "platt", "goal": Goal(), "shrinkage": 1.0, "folds": 4}
    both = fit(logits, targets, **given)
    alone = fit(logits[:, :2], targets[:, :2], **given)
    assert both.calibration.slope[:2] == alone.calibration.slope
    assert both.expected == alone.expected


def test_nothing_is_fitted_where_no_label_is_absent(targets):
    logits = np.zeros(targets.shape, np.float32)
    with pytest.raises(DataError, match="no label has both present and absent") as error:
        fit(logits, np.abs(targets - 1) * 2 - 1, method="platt", goal=Goal(), shrinkage=1)
    assert "\n" not in str(error.value)
