"""Curves, pairs and errors against plain loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from tests.drawn import Split, splits

from lcnet.metrics import average_precision, predict_at
from lcnet.reporting.curves import POINTS, curves
from lcnet.reporting.mistakes import DAMPING, company, strongest_pairs, worst_mistakes


@given(splits())
@settings(max_examples=60, deadline=None)
def test_rates_by_threshold_are_those_of_predicting_at_it(split: Split):
    probabilities, targets = split
    probabilities = probabilities.astype(np.float64)
    found = curves(probabilities, targets)
    if found is None:
        assert not ((targets == 1).any() and (targets == 0).any())
        return
    best = 0.0
    for place, threshold in enumerate(found.thresholds):
        predicted = predict_at(probabilities, threshold) & (targets >= 0)
        hits, calls = (predicted & (targets == 1)).sum(), predicted.sum()
        if calls:
            assert found.precision_at[place] == pytest.approx(hits / calls)
        else:
            assert np.isnan(found.precision_at[place])
        assert found.recall_at[place] == pytest.approx(hits / (targets == 1).sum())
        F1 = 2 * hits / (calls + (targets == 1).sum())
        assert found.F1_at[place] == pytest.approx(F1)
        best = max(best, F1)
    # The best threshold may lie between two of the grid, or below 0 if all are to be taken.
    assert found.best_F1 >= best - 1e-9


@given(splits())
@settings(max_examples=60, deadline=None)
def test_the_area_below_the_curve_is_the_ap(split: Split):
    probabilities, targets = (one[:, :1] for one in split)
    found = curves(probabilities, targets)
    if found is not None:
        area = float(np.diff(found.recall, prepend=0) @ found.precision)
        assert area == pytest.approx(average_precision(probabilities, targets)[0])


def test_long_curves_keep_their_ends_and_few_points():
    rng = np.random.default_rng(0)
    targets = (rng.random((5000, 1)) < 0.3).astype(np.int8)
    probabilities = 1 / (1 + np.exp(-rng.normal(3.0 * targets)))
    found = curves(probabilities, targets)
    assert found is not None
    assert len(found.recall) == POINTS
    assert found.recall[-1] == 1
    assert found.recall[0] < 0.01
    assert (np.diff(found.recall) > 0).all()


@given(splits())
@settings(max_examples=60, deadline=None)
def test_company_counts_known_pairs(split: Split):
    probabilities, targets = split
    predicted = predict_at(probabilities, 0.5)
    found = company(predicted, targets)
    for given_, label in np.ndindex(found.pictures.shape):
        rows = (targets[:, given_] == 1) & (targets[:, label] >= 0)
        assert found.pictures[given_, label] == rows.sum()
        assert found.present[given_, label] == (targets[rows, label] == 1).sum()
        assert found.predicted[given_, label] == predicted[rows, label].sum()
    often, seldom = strongest_pairs(found, 5)
    assert all(pair.difference > 0 and pair.given != pair.label for pair in often)
    assert all(pair.difference < 0 and pair.given != pair.label for pair in seldom)
    strength = [
        (pair.predicted - pair.present) / (pair.pictures + DAMPING) for pair in (*often, *seldom)
    ]
    assert np.abs(strength[: len(often)]).tolist() == sorted(strength[: len(often)], reverse=True)
    assert strength[len(often) :] == sorted(strength[len(often) :])


def test_pairs_of_a_handful_of_pictures_are_not_listed():
    targets = np.zeros((30, 3), np.int8)
    targets[:4, 0] = targets[10:15, 2] = 1  # 4 and 5 pictures
    predicted = np.zeros((30, 3), bool)
    predicted[:4, 1] = predicted[10:12, 1] = True
    often, seldom = strongest_pairs(company(predicted, targets), 5)
    assert [(pair.given, pair.label, pair.pictures) for pair in often] == [(2, 1, 5)]
    assert seldom == []


@given(splits())
@settings(max_examples=60, deadline=None)
def test_the_worst_errors_have_the_largest_loss(split: Split):
    probabilities, targets = split
    predicted = predict_at(probabilities, 0.5)
    for found, wrong, loss in zip(
        worst_mistakes(probabilities, predicted, targets, 3),
        (predicted & (targets == 0), ~predicted & (targets == 1)),
        (probabilities, 1 - probabilities),
        strict=True,
    ):
        assert all(wrong[entry.picture, entry.label] for entry in found)
        expected = np.sort(loss[wrong])[::-1][:3]
        assert [loss[entry.picture, entry.label] for entry in found] == expected.tolist()
        assert all(
            entry.probability == probabilities[entry.picture, entry.label] for entry in found
        )
