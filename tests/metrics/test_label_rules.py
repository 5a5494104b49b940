"""Decisions that keep rules between labels, and rules that cannot be kept."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcnet.metrics import predict_at, rates, verify
from lcnet.metrics.bootstrap import intervals
from lcnet.metrics.crossfit import fit
from lcnet.metrics.label_rules import LabelRules
from lcnet.metrics.thresholds import Goal

LABELS = ("Day", "Night", "Cat", "Dog", "Bird", "Sparrow", "Animal", "Car")
RULES = {
    "exclusive": [["Cat", "Dog", "Bird"]],
    "one_of": [["Day", "Night"]],
    "implies": {"Sparrow": "Bird", "Bird": ["Animal"], "Cat": ["Animal"], "Dog": ["Animal"]},
}


def rules(stored=RULES, labels=LABELS):
    return LabelRules.from_dict(stored, labels)


def kept(stored=RULES, **probabilities):
    """The names that a picture gets at a threshold of 0.5."""
    values = [probabilities.get(name, 0.0) for name in LABELS]
    above = [place for place, value in enumerate(values) if value > 0.5]
    return {LABELS[place] for place in rules(stored).on(LABELS).keep(above, values)}


@pytest.mark.parametrize(
    ("probabilities", "shown"),
    [
        ({"Day": 0.9, "Night": 0.8, "Car": 0.7}, {"Day", "Car"}),
        ({"Day": 0.8, "Night": 0.9}, {"Night"}),
        ({"Day": 0.2, "Night": 0.1}, {"Day"}),  # exactly one
        ({"Day": 0.9, "Sparrow": 0.6}, {"Day", "Sparrow", "Bird", "Animal"}),
        ({"Day": 0.9, "Cat": 0.9, "Sparrow": 0.6}, {"Day", "Cat", "Animal"}),
        ({"Day": 0.9, "Cat": 0.6, "Sparrow": 0.9}, {"Day", "Sparrow", "Bird", "Animal"}),
        ({"Day": 0.9, "Cat": 0.7, "Dog": 0.8, "Bird": 0.6}, {"Day", "Dog", "Animal"}),
        ({"Day": 0.9, "Animal": 0.6}, {"Day", "Animal"}),
    ],
)
def test_the_most_probable_label_of_a_group_is_shown_with_what_it_implies(probabilities, shown):
    assert kept(**probabilities) == shown


def test_a_group_that_is_exclusive_alone_can_be_empty():
    assert kept({"exclusive": [["Day", "Night"]]}, Day=0.4) == set()
    assert kept({"exclusive": [["Day", "Night"]]}, Day=0.6, Night=0.6) == {"Day"}


@given(st.lists(st.floats(0, 1), min_size=8, max_size=8), st.integers(0, 2**8 - 1))
@settings(max_examples=200, deadline=None)
def test_decisions_keep_every_rule_and_arrays_are_decided_alike(values, bits):
    above = [place for place in range(8) if bits >> place & 1]
    on = rules().on(LABELS)
    shown = on.keep(above, values)
    for group in on.exclusive:
        assert len({*group} & {*shown}) <= 1
    for group in on.one_of:
        assert len({*group} & {*shown}) == 1
    for label, implied in on.implies.items():
        assert label not in shown or {*implied} <= {*shown}
    assert {7} & {*above} == {7} & {*shown}  # a label without a rule
    flags, probabilities = np.zeros((2, 8), bool), np.array([values, values])
    flags[0, above] = True
    decided = on.decide(flags, probabilities)
    assert np.flatnonzero(decided[0]).tolist() == shown
    assert np.flatnonzero(decided[1]).tolist() == on.keep([], values)
    assert (on.decide(decided, probabilities) == decided).all()


def test_rules_come_back_as_they_were_stored():
    assert rules(rules().to_dict()) == rules()
    assert str(rules()) == "1 exclusive group, 1 group with exactly one, 4 implications"
    assert not rules({}) and not rules({"exclusive": None, "implies": None})


@pytest.mark.parametrize(
    ("stored", "says"),
    [
        ([], "rules: expected an object, got list"),
        ({"excludes": []}, "expected exclusive, one_of, implies, got 'excludes'"),
        ({"exclusive": "Day"}, "exclusive: expected a list of groups"),
        ({"exclusive": ["Day"]}, "exclusive: group 1: expected a list, got 'Day'"),
        ({"exclusive": [["Day"]]}, "group 1: expected two labels or more, got Day"),
        ({"exclusive": [["Day", "Day"]]}, "expected each name once, got 'Day' twice"),
        ({"exclusive": [["Day", True]]}, "expected names, got True"),
        ({"exclusive": [["Day", "Nigth"]]}, "no label is called 'Nigth', .* is 'Night'"),
        ({"implies": {"Hen": "Bird"}}, "implies: no label is called 'Hen'"),
        ({"implies": {"Cat": "Cat"}}, "'Cat' implies itself"),
        ({"implies": {"Cat": "Dog", "Dog": "Animal", "Animal": "Cat"}}, "imply each other, so"),
        (
            {"exclusive": [["Cat", "Bird"]], "implies": {"Sparrow": ["Cat", "Bird"]}},
            "'Sparrow' implies 'Cat' and 'Bird', which exclude each other",
        ),
        (
            {
                "exclusive": [["Sparrow", "Animal"]],
                "implies": {"Sparrow": "Bird", "Bird": "Animal"},
            },
            "'Sparrow' implies 'Animal', which exclude each other",
        ),
        (
            {"one_of": [["Day", "Night"]], "exclusive": [["Day", "Car"]]},
            "one_of: 'Car' and 'Day' exclude each other, so a picture could have no label of",
        ),
    ],
)
def test_rules_that_cannot_be_kept_are_refused_in_one_line(stored, says):
    with pytest.raises(ValueError, match=says) as error:
        rules(stored)
    assert "\n" not in str(error.value)


def test_rules_of_thousands_of_labels_are_quick():
    labels = [f"label {number}" for number in range(4_000)]
    stored = {
        "implies": {labels[n]: labels[n // 2] for n in range(1, 4_000) if n // 2 > 0},
        "exclusive": [labels[2_000 + 2 * n : 2_002 + 2 * n] for n in range(500)],
    }
    on = rules(stored, labels).on(labels)
    probabilities = np.random.default_rng(0).random((200, 4_000))
    decided = on.decide(probabilities > 0.99, probabilities)
    assert decided[:, 1].all() and not decided[:, 0].all()


def measured():
    rng = np.random.default_rng(0)
    day = rng.random(200) < 0.5
    targets = np.stack([day, ~day, rng.random(200) < 0.3], 1).astype(np.int8)
    logits = (2.0 * targets - 1 + rng.normal(0, 1.5, targets.shape)).astype(np.float32)
    return logits, targets, rules({"one_of": [["Day", "Night"]]}, LABELS[:3]).on(LABELS[:3])


def test_rates_are_of_decisions_that_keep_the_rules_and_map_is_not():
    logits, targets, on = measured()
    probabilities = 1 / (1 + np.exp(-logits))
    plain = verify(probabilities, targets, LABELS[:3])
    ruled = verify(probabilities, targets, LABELS[:3], rules=on)
    decided = on.decide(predict_at(probabilities, 0.5), probabilities)
    assert (decided[:, :2].sum(axis=1) == 1).all()
    assert ruled.at_threshold == rates(decided, targets) != plain.at_threshold
    assert ruled.at_threshold.CF1 > plain.at_threshold.CF1  # the rule is true of these pictures
    assert (ruled.mAP, ruled.at_top, ruled.calibration) == (
        plain.mAP,
        plain.at_top,
        plain.calibration,
    )
    ranges = intervals(probabilities, targets, resamples=20, rules=on)
    assert ranges["CF1"].value == pytest.approx(ruled.at_threshold.CF1)


def test_cross_fitted_rates_keep_the_rules():
    logits, targets, on = measured()
    options = {"method": "none", "goal": Goal(), "shrinkage": 1.0}
    plain, ruled = fit(logits, targets, **options), fit(logits, targets, rules=on, **options)
    assert plain.thresholds == ruled.thresholds
    assert ruled.expected.CF1 > plain.expected.CF1
