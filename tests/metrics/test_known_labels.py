import numpy as np
import pytest

from lcnet.errors import ConfigError
from lcnet.metrics.known_labels import drawn, parse_known, states_of, with_errors

TARGETS = np.random.default_rng(0).choice([-1, 0, 1], (200, 20), p=[0.2, 0.6, 0.2]).astype(np.int8)


def test_states_are_signs_and_unknown_stays_unknown():
    assert states_of(np.array([[1, 0, -1]])).tolist() == [[1, -1, 0]]


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.25, 5), (0.5, 10), (0.33, 7)])
def test_a_share_of_the_labels_of_each_picture_is_drawn(share, count):
    known = np.where(TARGETS < 0, 0, TARGETS)  # without unknown ones, to count them
    states = drawn(known, share, 0)
    assert ((states != 0).sum(axis=1) == count).all()
    assert (states[states != 0] == states_of(known)[states != 0]).all()


def test_labels_that_nobody_knows_are_never_known():
    for known in (0.9, "one", "others"):
        assert (drawn(TARGETS, known, 0)[TARGETS < 0] == 0).all()


def test_one_present_label_is_known_of_each_picture_that_has_one():
    states = drawn(TARGETS, "one", 3)
    assert ((states == 1).sum(axis=1) == (TARGETS == 1).any(axis=1)).all()
    assert not (states == -1).any()


def test_each_seed_draws_others_and_the_same_seed_the_same():
    assert (drawn(TARGETS, 0.5, 1) == drawn(TARGETS, 0.5, 1)).all()
    assert (drawn(TARGETS, 0.5, 1) != drawn(TARGETS, 0.5, 2)).any()


def test_what_is_known_is_named_as_on_the_command_line():
    assert parse_known([0, 0.5, "0.25", "one", "others"]) == [0, 0.5, 0.25, "one", "others"]


@pytest.mark.parametrize("value", ["two", 1, -0.5, "1.5", "nan"])
def test_other_kinds_are_refused(value):
    with pytest.raises(ConfigError, match="--known: expected shares from 0 to below 1"):
        parse_known([value])


def test_errors_turn_a_share_of_the_known_labels():
    states = drawn(TARGETS, 0.5, 0)
    said = with_errors(states, 0.1, 7)
    assert ((said == 0) == (states == 0)).all()
    wrong = (said != states)[states != 0].mean()
    assert wrong == pytest.approx(0.1, abs=0.02)
    assert (with_errors(states, 0.0, 7) == states).all()
