"""Thresholds against a search of every threshold, one after the other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from tests.drawn import Split, splits

from lcnet.errors import ConfigError
from lcnet.metrics import predict_at
from lcnet.metrics.thresholds import Goal, fit_thresholds

GOALS = [Goal(), Goal("precision", 0.75), Goal("recall", 0.6), Goal("precision", 1.0)]


def counts(predicted: np.ndarray, targets: np.ndarray) -> tuple[int, int, int]:
    """How many are predicted rightly, predicted, and present, of the known."""
    known = targets >= 0
    shown, present = predicted[known], targets[known] == 1
    return int((shown & present).sum()), int(shown.sum()), int(present.sum())


def worth(found: tuple[int, int, int], goal: Goal) -> tuple[float, ...]:
    """What a goal looks at first and next, of hits, calls and positives; larger is better."""
    hits, calls, positives = found
    precision, recall = hits / max(calls, 1), hits / positives
    if goal.name == "f1":
        return (round(2 * hits / (calls + positives), 12),)
    if goal.name == "recall":
        return (recall >= goal.at_least, round(precision if recall >= goal.at_least else 0, 12))
    if precision >= goal.at_least:
        return (True, recall, round(precision, 12))
    return (False, round(precision, 12))


@pytest.mark.parametrize("goal", GOALS, ids=str)
@settings(deadline=None, max_examples=70)
@given(split=splits())
def test_no_threshold_is_better_than_a_label_s_own(goal: Goal, split: Split) -> None:
    probabilities, targets = split
    # In tenths, so that a cut lies between two; a probability of 0 is above no threshold.
    probabilities = np.clip(np.round(probabilities, 1), 0.1, 0.9)
    found = fit_thresholds(probabilities, targets, goal, shrinkage=0)
    for label, value in enumerate(found.values):
        scores, truth = probabilities[:, label], targets[:, label]
        if not (truth == 1).any() or not (truth == 0).any():
            one_class = found.without_absent if (truth == 1).any() else found.without_positive
            assert label in one_class
            assert value == pytest.approx(found.common)
            continue
        ours = worth(counts(scores > value, truth), goal)
        # A cut that predicts nothing has no precision, so it is none to choose.
        others = [
            worth(counts(scores > cut, truth), goal)
            for cut in np.arange(0.05, 1, 0.1)
            if counts(scores > cut, truth)[1]
        ]
        assert ours == max(others)
        if goal.name != "f1":
            assert (label in found.unreachable) == (not max(others)[0])


def test_the_threshold_lies_in_the_middle_on_the_logit_scale() -> None:
    probabilities = expit(np.array([[3.0], [1.0], [-2.0]]))
    found = fit_thresholds(probabilities, np.array([[1], [1], [0]]), Goal(), shrinkage=0)
    assert found.values[0] == pytest.approx(expit(-0.5))


def test_rare_labels_are_drawn_to_the_common_threshold() -> None:
    rng = np.random.default_rng(0)
    targets = (rng.random((400, 3)) < [0.5, 0.05, 0.0]).astype(np.int8)
    probabilities = expit(rng.normal(size=targets.shape) + 3 * targets - [0, 2, 1])
    own = fit_thresholds(probabilities, targets, Goal(), shrinkage=0)
    shrunk = fit_thresholds(probabilities, targets, Goal(), shrinkage=10)
    assert own.common == shrunk.common
    for label, count in enumerate(targets.sum(axis=0)[:2]):
        weight = count / (count + 10)
        expected = weight * logit(own.values[label]) + (1 - weight) * logit(own.common)
        assert logit(shrunk.values[label]) == pytest.approx(expected)
    assert shrunk.without_positive == (2,)
    assert shrunk.values[2] == shrunk.common


@settings(deadline=None, max_examples=50)
@given(split=splits(), value=st.sampled_from([0.0, 0.3, 1.0]))
def test_unknown_entries_do_not_count(split: Split, value: float) -> None:
    probabilities, targets = split
    other = np.where(targets < 0, value, probabilities)
    for goal in GOALS:
        assert fit_thresholds(other, targets, goal, shrinkage=1) == fit_thresholds(
            probabilities, targets, goal, shrinkage=1
        )


def test_a_precision_that_no_threshold_reaches_is_named_and_the_nearest_taken() -> None:
    probabilities = np.array([[0.9], [0.8], [0.7], [0.6]])
    targets = np.array([[0], [1], [1], [0]])
    found = fit_thresholds(probabilities, targets, Goal("precision", 0.9), shrinkage=0)
    assert found.unreachable == (0,)
    assert predict_at(probabilities, found.values[0]).ravel().tolist() == [True, True, True, False]


def test_without_any_positive_every_threshold_is_one_half() -> None:
    found = fit_thresholds(np.array([[0.2, 0.9]]), np.array([[0, -1]]), Goal(), shrinkage=1)
    assert found.values == (0.5, 0.5)


@pytest.mark.parametrize(
    ("name", "at_least", "message"),
    [
        ("f1", 0.9, "goes with --goal precision or recall"),
        ("precision", None, "--at_least: expected a precision above 0"),
        ("recall", 1.5, "at most 1 with --goal recall, got 1.5"),
        ("recall", 0.0, "above 0"),
    ],
)
def test_a_goal_that_cannot_be_is_refused(name, at_least, message) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        Goal(name, at_least)
    assert "\n" not in str(error.value)
