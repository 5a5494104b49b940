import json
import random
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from lcnet.errors import DataError
from lcnet.metrics import average_precision, predict_at, predict_top, rates, verify

REFERENCE = Path(__file__).parent / "reference"
EXPECTED = json.loads((REFERENCE / "losses_and_metrics.json").read_text())["metrics"]

NUMBERS = np.load(REFERENCE / "metrics.npz")
PROBABILITIES, TARGETS = NUMBERS["probabilities"], NUMBERS["targets"]
"""500 images x 20 labels; the last label has no positive."""

Split = tuple[np.ndarray, np.ndarray]


@st.composite
def splits(draw: st.DrawFn, values: tuple[int, ...] = (1, 0, -1)) -> Split:
    """Probabilities and targets of few images; few different probabilities, so that many tie."""
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 4)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    few = st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0])
    elements = draw(st.sampled_from([few, st.floats(0, 1, width=32)]))
    probabilities = draw(nps.arrays(dtype, shape, elements=elements))
    values = draw(st.sampled_from([values, (1, 0), (1,)]))
    return probabilities, draw(nps.arrays(np.int8, shape, elements=st.sampled_from(values)))


# Average precision


@settings(deadline=None, max_examples=150)
@given(splits())
def test_average_precision_equals_scikit_learn(split: Split) -> None:
    probabilities, targets = split
    ap = average_precision(probabilities, targets)
    for label, value in enumerate(ap):
        known = targets[:, label] >= 0
        truth = targets[known, label]
        if truth.any():
            expected = average_precision_score(truth, probabilities[known, label])
            assert value == pytest.approx(expected, abs=1e-12)
        else:
            assert np.isnan(value)


@settings(deadline=None, max_examples=50)
@given(splits(), st.randoms(use_true_random=False))
def test_average_precision_does_not_depend_on_the_order_of_images(
    split: Split, shuffle: random.Random
) -> None:
    probabilities, targets = split
    order = shuffle.sample(range(len(targets)), len(targets))
    np.testing.assert_array_equal(
        average_precision(probabilities, targets),
        average_precision(probabilities[order], targets[order]),
    )


def test_a_constant_probability_has_the_base_rate_as_average_precision() -> None:
    targets = np.array([[1], [0], [0], [1], [0]])
    assert average_precision(np.full((5, 1), 0.3), targets) == pytest.approx(2 / 5)


def test_average_precision_agrees_with_the_released_code() -> None:
    ap = average_precision(PROBABILITIES, TARGETS)
    # The release adds 1e-8 to a denominator; and a label without a positive is 0 there.
    np.testing.assert_allclose(ap[:19], EXPECTED["ap"][:19], rtol=0, atol=1e-9)
    assert np.isnan(ap[19])
    assert EXPECTED["ap"][19] == 0


def test_an_unknown_column_and_no_images_have_no_average_precision() -> None:
    assert np.isnan(average_precision(np.full((3, 1), 0.5), np.full((3, 1), -1))).all()
    assert np.isnan(average_precision(np.empty((0, 2)), np.empty((0, 2), dtype=int))).all()


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
    probabilities, targets = split
    predicted = predict_at(probabilities, 0.5)
    counted = np.flatnonzero(targets.any(axis=0))
    if not counted.size:
        with pytest.raises(DataError):
            rates(predicted, targets)
        return
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
        assert rates(predicted, targets) == rates(predicted ^ (targets < 0), targets)


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
    ours = rates(np.array([[True, False], [True, False]]), np.array([[1, 1], [1, 0]]))
    assert (ours.CP, ours.CR, ours.mean_label_F1) == (50, 50, 50)
    nothing = rates(np.zeros((2, 2), dtype=bool), np.array([[1, 1], [1, 0]]))
    assert set(vars(nothing).values()) == {0}


def test_the_two_class_f1_differ() -> None:
    predicted = np.array([[True, True], [False, True], [False, True], [False, True]])
    targets = np.array([[1, 1], [1, 0], [1, 0], [1, 0]])
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


def test_verification_as_json() -> None:
    probabilities = np.array([[0.9, 0.2, 0.7], [0.8, 0.6, 0.1], [0.7, 0.1, 0.3]], dtype=np.float32)
    targets = np.array([[0, 0, 1], [1, -1, 0], [1, 0, 0]], dtype=np.int8)
    result = verify(probabilities, targets, ("bus", "cat", "dog"), top_k=1)
    assert json.loads(json.dumps(result.to_dict())) == {
        "mAP": 79.1667,  # bus (1/2 + 2/3) / 2, dog 1
        "images": 3,
        "labels": 3,
        "labels_without_positive": ["cat"],
        "threshold": 0.5,
        "CP": 83.3333,
        "CR": 100.0,
        "CF1": 90.9091,
        "OP": 75.0,
        "OR": 100.0,
        "OF1": 85.7143,
        "mean_label_F1": 90.0,
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
    }


def test_thresholds_per_label_are_kept_as_given_and_top_k_is_lowered() -> None:
    thresholds = np.array([0.123456, 0.5])
    result = verify(np.array([[0.3, 0.4]]), np.array([[1, 0]]), ["a", "b"], threshold=thresholds)
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
