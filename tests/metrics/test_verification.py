import json
import random
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_fscore_support
from tests.drawn import Split, splits

from lcnet.errors import DataError
from lcnet.metrics import (
    ApFormula,
    average_precision,
    predict_at,
    predict_top,
    rates,
    verify,
)

REFERENCE = Path(__file__).parent.parent / "reference"
EXPECTED = json.loads((REFERENCE / "losses_and_metrics.json").read_text())["metrics"]

NUMBERS = np.load(REFERENCE / "metrics.npz")
PROBABILITIES, TARGETS = NUMBERS["probabilities"], NUMBERS["targets"]
"""500 images x 20 labels; the last label has no positive."""

FORMULAS: tuple[ApFormula, ...] = get_args(ApFormula)


# Average precision


@settings(deadline=None, max_examples=150)
@given(splits())
def test_average_precision_equals_scikit_learn(split: Split) -> None:
    probabilities, targets = split
    ap = average_precision(probabilities, targets)
    for label, value in enumerate(ap):
        known = targets[:, label] >= 0
        truth = targets[known, label]
        if truth.any() and not truth.all():
            expected = average_precision_score(truth, probabilities[known, label])
            assert value == pytest.approx(expected, abs=1e-12)
        else:
            assert np.isnan(value)


def plain_average_precision(
    probabilities: list[float], targets: list[int], formula: ApFormula
) -> Fraction:
    """The definition, exactly: precision and recall at every threshold, of known images only."""
    known = [pair for pair in zip(probabilities, targets, strict=True) if pair[1] >= 0]
    positives = sum(target for _, target in known)
    curve = []  # recall and precision, from the highest threshold down
    for threshold in sorted({probability for probability, _ in known}, reverse=True):
        taken = [target for probability, target in known if probability >= threshold]
        curve.append((Fraction(sum(taken), positives), Fraction(sum(taken), len(taken))))

    def largest_from(recall: Fraction) -> Fraction:
        return max(precision for reached, precision in curve if reached >= recall)

    if formula == "11-point":
        return sum((largest_from(Fraction(tenths, 10)) for tenths in range(11)), Fraction(0)) / 11
    area, before = Fraction(0), Fraction(0)
    for recall, precision in curve:
        height = largest_from(recall) if formula == "envelope" else precision
        area += (recall - before) * height
        before = recall
    return area


@pytest.mark.parametrize("formula", FORMULAS)
@settings(deadline=None, max_examples=150)
@given(split=splits())
def test_average_precision_is_its_definition(formula: ApFormula, split: Split) -> None:
    probabilities, targets = split
    for label, value in enumerate(average_precision(probabilities, targets, formula=formula)):
        column = targets[:, label].tolist()
        if {0, 1} <= set(column):
            expected = plain_average_precision(probabilities[:, label].tolist(), column, formula)
            assert value == pytest.approx(float(expected), abs=1e-12)
        else:
            assert np.isnan(value)


@pytest.mark.parametrize("formula", FORMULAS)
@settings(deadline=None, max_examples=50)
@given(marks=st.lists(st.sampled_from([1, 0]), min_size=2, max_size=40))
def test_average_precision_without_ties_is_that_of_the_ranks(
    formula: ApFormula, marks: list[int]
) -> None:
    """With all scores different it is what code that goes down the ranking gives."""
    if len(set(marks)) == 1:
        return
    hits = np.cumsum(marks)
    precision, recall = hits / np.arange(1, len(marks) + 1), [Fraction(n, hits[-1]) for n in hits]
    from_here = np.maximum.accumulate(precision[::-1])[::-1]
    if formula == "11-point":
        points = [
            next(rank for rank, reached in enumerate(recall) if reached >= Fraction(tenths, 10))
            for tenths in range(11)
        ]
        expected = from_here[points].mean()
    else:
        expected = (precision if formula == "step" else from_here)[np.array(marks) == 1].mean()
    scores = np.linspace(0.9, 0.1, len(marks))[:, None]
    ours = average_precision(scores, np.array(marks)[:, None], formula=formula)
    assert ours == pytest.approx(expected, abs=1e-12)


@settings(deadline=None, max_examples=100)
@given(splits())
def test_the_envelope_is_never_below_the_steps(split: Split) -> None:
    step, envelope = (average_precision(*split, formula=name) for name in ("step", "envelope"))
    assert ((envelope >= step) | np.isnan(step)).all()


def ranked(marks: str) -> Split:
    """One label whose images stand in the order of their probability: 1, 0 and ? for unknown."""
    targets = np.array([[{"1": 1, "0": 0, "?": -1}[mark]] for mark in marks])
    return np.linspace(1, 0, len(marks))[:, None], targets


@pytest.mark.parametrize(
    ("marks", "step", "envelope", "eleven"),
    [
        # Precision 1, 2/3 and 1/2 at recall 1/3, 2/3 and 1: recall 0 to 0.3, 0.4 to 0.6, 0.7 to 1.
        ("101001", (1 + 2 / 3 + 1 / 2) / 3, (1 + 2 / 3 + 1 / 2) / 3, (4 + 3 * 2 / 3 + 4 / 2) / 11),
        # Precision 1/2 and 2/3: the larger one is at the higher recall.
        ("011", (1 / 2 + 2 / 3) / 2, 2 / 3, 2 / 3),
        # Unknown images are not there.
        ("?0?11?", (1 / 2 + 2 / 3) / 2, 2 / 3, 2 / 3),
    ],
)
def test_average_precision_by_hand(marks: str, step: float, envelope: float, eleven: float) -> None:
    values = [average_precision(*ranked(marks), formula=formula)[0] for formula in FORMULAS]
    assert values == pytest.approx([step, envelope, eleven], abs=1e-12)


@pytest.mark.parametrize("tenths", range(1, 10))
def test_a_recall_of_exactly_so_many_tenths_counts(tenths: int) -> None:
    # In floating point 3/10 is below 3 * 0.1. So many positives lead, the others come last.
    ap = average_precision(
        *ranked("1" * tenths + "0" * 10 + "1" * (10 - tenths)), formula="11-point"
    )
    assert ap == pytest.approx(((tenths + 1) * 1 + (10 - tenths) * 10 / 20) / 11)


@pytest.mark.parametrize("formula", FORMULAS)
@settings(deadline=None, max_examples=50)
@given(split=splits(), shuffle=st.randoms(use_true_random=False))
def test_average_precision_does_not_depend_on_the_order_of_images(
    formula: ApFormula, split: Split, shuffle: random.Random
) -> None:
    probabilities, targets = split
    order = shuffle.sample(range(len(targets)), len(targets))
    np.testing.assert_array_equal(
        average_precision(probabilities, targets, formula=formula),
        average_precision(probabilities[order], targets[order], formula=formula),
    )


@pytest.mark.parametrize("formula", FORMULAS)
@settings(deadline=None, max_examples=50)
@given(split=splits())
def test_unknown_images_do_not_count_whatever_their_probability(
    formula: ApFormula, split: Split
) -> None:
    probabilities, targets = split
    for value in (0, 1):
        np.testing.assert_array_equal(
            average_precision(probabilities, targets, formula=formula),
            average_precision(
                np.where(targets < 0, value, probabilities), targets, formula=formula
            ),
        )


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("spread", [0.01, 1, 30])
def test_average_precision_of_many_images_equals_scikit_learn(dtype: type, spread: float) -> None:
    """So many that probabilities share their first 16 bits, in narrow and in wide ranges."""
    rng = np.random.default_rng(0)
    targets = (rng.random((5000, 3)) < [0.3, 0.01, 0.9]).astype(np.int8)
    logits = spread * (rng.normal(size=targets.shape) + targets)
    probabilities = (1 / (1 + np.exp(-logits))).astype(dtype)
    probabilities[::7] = probabilities[0]
    probabilities[::11] = -0.0
    expected = average_precision_score(targets, probabilities.astype(np.float64), average=None)
    np.testing.assert_allclose(average_precision(probabilities, targets), expected, atol=1e-12)


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_constant_probability_has_the_base_rate_as_average_precision(formula: ApFormula) -> None:
    targets = np.array([[1], [0], [0], [1], [0]])
    ap = average_precision(np.full((5, 1), 0.3), targets, formula=formula)
    assert ap == pytest.approx(2 / 5)


def test_an_unknown_formula_is_named() -> None:
    with pytest.raises(ValueError, match="expected formula step, envelope, 11-point, got 'voc'"):
        average_precision(np.array([[0.5]]), np.array([[1]]), formula="voc")  # type: ignore[arg-type]


def test_average_precision_agrees_with_the_released_code() -> None:
    ap = average_precision(PROBABILITIES, TARGETS)
    # The release adds 1e-8 to a denominator; and a label without a positive is 0 there.
    np.testing.assert_allclose(ap[:19], EXPECTED["ap"][:19], rtol=0, atol=1e-9)
    assert np.isnan(ap[19])
    assert EXPECTED["ap"][19] == 0


@pytest.mark.parametrize("formula", FORMULAS)
def test_an_unknown_column_and_no_images_have_no_average_precision(formula: ApFormula) -> None:
    for targets in (np.full((3, 1), -1), np.empty((0, 2), dtype=int)):
        ap = average_precision(np.full(targets.shape, 0.5), targets, formula=formula)
        assert np.isnan(ap).all()


# Which labels count as predicted


def test_a_probability_at_the_threshold_is_not_predicted() -> None:
    probabilities = np.array([[0.84, 0.85, 0.86]], dtype=np.float32)
    for threshold in (0.85, np.full(3, 0.85), np.full(3, 0.85, dtype=np.float32)):
        assert predict_at(probabilities, threshold).tolist() == [[False, False, True]]


def test_a_threshold_per_label_applies_to_its_label() -> None:
    predicted = predict_at(np.full((2, 3), 0.5), np.array([0.4, 0.5, 0.6]))
    assert predicted.tolist() == [[True, False, False]] * 2
    with pytest.raises(ValueError, match="one for each of 3 labels"):
        predict_at(np.full((2, 3), 0.5), np.array([0.4, 0.5]))


def test_top_labels_are_exactly_k_and_the_first_of_equal_ones() -> None:
    probabilities = np.array([[0.1, 0.9, 0.1, 0.1], [0.0, 0.0, 0.0, 0.0], [0.1, 0.2, 0.3, 0.4]])
    assert predict_top(probabilities, 2).astype(int).tolist() == [
        [1, 1, 0, 0],
        [1, 1, 0, 0],
        [0, 0, 1, 1],
    ]
    assert predict_top(probabilities, 9).all()
    with pytest.raises(ValueError, match="at least 1, got 0"):
        predict_top(probabilities, 0)


@settings(deadline=None, max_examples=50)
@given(splits(), st.integers(1, 5))
def test_no_label_outside_the_top_is_more_probable_than_one_inside(split: Split, k: int) -> None:
    probabilities, _ = split
    for row, top in zip(probabilities, predict_top(probabilities, k), strict=True):
        assert top.sum() == min(k, len(row))
        assert row[~top].max(initial=0) <= row[top].min()


# Precision, recall and F1


@settings(deadline=None, max_examples=100)
@given(splits(values=(1, 0)))
def test_rates_equal_scikit_learn(split: Split) -> None:
    absent = (split[1] == 0).any(axis=0)
    probabilities, targets = (part[:, absent] for part in split)
    predicted = predict_at(probabilities, 0.5)
    counted = np.flatnonzero(targets.any(axis=0))
    if not counted.size:
        return
    assert rates(predicted, targets) == rates(predict_at(split[0], 0.5), split[1])
    per_label = [binary_scores(targets[:, label], predicted[:, label]) for label in counted]
    precision, recall, label_f1 = np.mean(per_label, axis=0)
    overall = binary_scores(targets.ravel(), predicted.ravel())
    assert asdict(rates(predicted, targets)) == pytest.approx(
        {
            "CP": precision,
            "CR": recall,
            "CF1": 2 * precision * recall / max(precision + recall, 1e-9),
            "OP": overall[0],
            "OR": overall[1],
            "OF1": overall[2],
            "mean_label_F1": label_f1,
        }
    )


def binary_scores(targets: np.ndarray, predicted: np.ndarray) -> list[float]:
    """Scikit-learn's precision, recall and F1, in percent."""
    scores = precision_recall_fscore_support(targets, predicted, average="binary", zero_division=0)
    return [100 * score for score in scores[:3]]


@settings(deadline=None, max_examples=50)
@given(splits())
def test_unknown_entries_do_not_count_whatever_is_predicted(split: Split) -> None:
    probabilities, targets = split
    predicted = predict_at(probabilities, 0.5)
    if (targets == 1).any():
        ours, others = (rates(flags, targets) for flags in (predicted, predicted ^ (targets < 0)))
        np.testing.assert_equal(vars(ours), vars(others))


@pytest.mark.parametrize("threshold", ["0.5", "0.85"])
def test_rates_agree_with_the_released_code(threshold: str) -> None:
    ours = rates(predict_at(PROBABILITIES.astype(np.float64), float(threshold)), TARGETS)
    expected = EXPECTED[threshold]
    # The release counts the label without a positive as 0 and divides by all 20.
    for name in ("CP", "CR", "CF1", "mean_label_F1"):
        assert getattr(ours, name) * 19 / 20 == pytest.approx(expected[name], rel=1e-12)
    # Over all entries together nothing is left out: its false alarms count in both.
    for name in ("OP", "OR", "OF1"):
        assert getattr(ours, name) == pytest.approx(expected[name], rel=1e-12)


def test_a_label_never_predicted_has_precision_zero() -> None:
    ours = rates(np.array([[True, False], [False, False]]), np.array([[1, 1], [0, 0]]))
    assert (ours.CP, ours.CR, ours.mean_label_F1) == (50, 50, 50)
    nothing = rates(np.zeros((2, 2), dtype=bool), np.array([[1, 1], [0, 0]]))
    assert set(vars(nothing).values()) == {0}


def test_the_two_class_f1_differ() -> None:
    predicted = np.array([[True, True], [False, True], [False, True], [False, True], [False] * 2])
    targets = np.array([[1, 1], [1, 0], [1, 0], [1, 0], [0, 0]])
    ours = rates(predicted, targets)
    assert (ours.CF1, ours.mean_label_F1) == pytest.approx((62.5, 40))


# All of it together


def test_verification_holds_the_parts_in_percent() -> None:
    labels = [f"label {n}" for n in range(20)]
    result = verify(PROBABILITIES, TARGETS, labels, threshold=0.85)
    assert result.mAP == pytest.approx(100 * np.mean(EXPECTED["ap"][:19]), abs=1e-7)
    assert result.mAP * 19 / 20 == pytest.approx(EXPECTED["mAP_all"], abs=1e-7)
    assert result.ap[0] == pytest.approx(100 * EXPECTED["ap"][0], abs=1e-7)
    assert result.ap[19] is None
    assert result.without_positive == ("label 19",)
    assert (result.images, result.labels, result.top_k) == (500, tuple(labels), 3)
    assert result.at_threshold == rates(predict_at(PROBABILITIES, 0.85), TARGETS)
    assert result.at_top == rates(predict_top(PROBABILITIES, 3), TARGETS)


RELIABILITY = [
    [0.1, 0.0, 2],
    [0.2, 0.0, 1],
    [0.3, 0.0, 1],
    [0.7, 1.0, 2],
    [0.8, 1.0, 1],
    [0.9, 0.0, 1],
]


def test_verification_as_json() -> None:
    probabilities = np.array([[0.9, 0.2, 0.7], [0.8, 0.6, 0.1], [0.7, 0.1, 0.3]], dtype=np.float32)
    targets = np.array([[0, 0, 1], [1, -1, 0], [1, 0, 0]], dtype=np.int8)
    result = verify(probabilities, targets, ("bus", "cat", "dog"), top_k=1)
    assert json.loads(json.dumps(result.to_dict())) == {
        "mAP": 79.1667,  # bus (1/2 + 2/3) / 2, dog 1
        "ap_formula": "step",
        "images": 3,
        "labels": 3,
        "labels_without_positive": ["cat"],
        "labels_without_absent": [],
        "threshold": 0.5,
        "CP": 83.3333,
        "CR": 100.0,
        "CF1": 90.9091,
        "OP": 75.0,
        "OR": 100.0,
        "OF1": 85.7143,
        "mean_label_F1": 90.0,
        # {bus, dog} for {dog}: 2/3; then twice {bus} for {bus}, where cat is unknown once.
        "example_F1": 88.8889,
        "hamming_loss": 12.5,
        # Bus stands above dog in the first image; the others are in order.
        "ranking_loss": 16.6667,
        "coverage_error": 1.3333,
        "ECE": 30.0,
        "Brier": 0.1475,
        "top1": {
            "CP": 33.3333,
            "CR": 50.0,
            "CF1": 40.0,
            "OP": 66.6667,
            "OR": 66.6667,
            "OF1": 66.6667,
            "mean_label_F1": 40.0,
        },
        "AP": {"bus": 58.3333, "cat": None, "dog": 100.0},
        "reliability": RELIABILITY,
    }


def test_verification_by_another_formula_says_so() -> None:
    result = verify(*ranked("011"), ["bus"], formula="envelope")
    assert result.ap == pytest.approx((200 / 3,))
    assert result.ap_formula == result.to_dict()["ap_formula"] == "envelope"
    assert verify(*ranked("011"), ["bus"]).at_threshold == result.at_threshold


def test_thresholds_per_label_are_kept_as_given_and_top_k_is_lowered() -> None:
    thresholds = np.array([0.123456, 0.5])
    probabilities, targets = np.array([[0.3, 0.4], [0.1, 0.1]]), np.array([[1, 0], [0, 0]])
    result = verify(probabilities, targets, ["a", "b"], threshold=thresholds)
    assert result.top_k == 2
    assert result.to_dict()["threshold"] == [0.123456, 0.5]
    assert "top2" in result.to_dict()
    assert result.at_threshold.OP == 100


def test_probabilities_that_are_not_finite_are_named() -> None:
    for value in (np.nan, np.inf):
        probabilities = np.array([[0.1, 0.2], [0.3, value]])
        with pytest.raises(DataError, match=r"for image 1, label 1 .*, the first of 1") as error:
            verify(probabilities, np.array([[1, 0], [0, 1]]), ["a", "b"])
        assert "\n" not in str(error.value)


def test_a_split_without_any_positive_is_refused() -> None:
    with pytest.raises(DataError, match="got none in 2 images x 1 labels") as error:
        verify(np.array([[0.1], [0.2]]), np.array([[0], [-1]]), ["a"])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        (np.array([[3.0, -2.0]]), ["a", "b"], r"in \[0, 1\], got -2.0 to 3.0"),
        (np.array([[0.5, 0.5]]), ["a"], "got 1 names and 2 columns"),
        (np.array([[0.5]]), ["a"], r"got \(1, 1\) and \(1, 2\)"),
        (np.array([0.5, 0.5]), ["a", "b"], r"got \(2,\) and \(1, 2\)"),
    ],
)
def test_wrong_arguments_are_named(
    probabilities: np.ndarray, labels: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        verify(probabilities, np.array([[1, 0]]), labels)
