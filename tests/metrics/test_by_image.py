"""Example F1, Hamming loss, ranking loss and coverage error against scikit-learn and loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from sklearn import metrics as sklearn
from tests.drawn import Split, measured, splits

from lcnet.metrics import image_scores, predict_at, ranking_scores


@settings(deadline=None, max_examples=200)
@given(splits())
def test_example_f1_and_hamming_loss_equal_a_plain_loop(split: Split) -> None:
    probabilities, targets = split
    predicted = predict_at(probabilities, 0.5)
    ours = image_scores(predicted, targets)
    f1, wrong, entries = [], 0, 0
    for flags, row in zip(predicted.tolist(), measured(targets).tolist(), strict=True):
        shown = {place for place, flag in enumerate(flags) if flag and row[place] != -1}
        present = {place for place, target in enumerate(row) if target == 1}
        known = sum(target != -1 for target in row)
        wrong, entries = wrong + len(shown ^ present), entries + known
        if known:
            sizes = len(shown) + len(present)
            f1.append(2 * len(shown & present) / sizes if sizes else 1)
    if not entries:
        assert np.isnan([ours.example_F1, ours.hamming_loss]).all()
        return
    assert ours.example_F1 == pytest.approx(100 * np.mean(f1))
    assert ours.hamming_loss == pytest.approx(100 * wrong / entries)


@settings(deadline=None, max_examples=100)
@given(splits(values=(1, 0)))
def test_image_scores_equal_scikit_learn(split: Split) -> None:
    absent = (split[1] == 0).any(axis=0)
    probabilities, targets = (part[:, absent] for part in split)
    if not targets.size:
        return
    predicted = predict_at(probabilities, 0.5)
    ours = image_scores(predicted, targets)
    # With one column scikit-learn takes the targets as binary: a second, always right, is added,
    # which is known but never counts, since it is absent everywhere.
    both = [np.column_stack([part, np.zeros(len(part))]) for part in (targets, predicted)]
    f1 = sklearn.f1_score(*both, average="samples", zero_division=1)
    assert ours.example_F1 == pytest.approx(100 * f1)
    labels = targets.shape[1]
    loss = sklearn.hamming_loss(*both) * (labels + 1) / labels
    assert ours.hamming_loss == pytest.approx(100 * loss)


@settings(deadline=None, max_examples=200)
@given(splits())
def test_ranking_loss_and_coverage_equal_a_plain_loop(split: Split) -> None:
    losses, depths = [], []
    for scores, row in zip(*(part.tolist() for part in split), strict=True):
        entries = list(zip(scores, row, strict=True))
        present = [score for score, target in entries if target == 1]
        absent = [score for score, target in entries if target == 0]
        if present and (absent or len(present) == len(row)):
            depths.append(sum(score >= min(present) for score in present + absent))
        if present and absent:
            wrong = sum(one <= other for one in present for other in absent)
            losses.append(wrong / len(present) / len(absent))
    ours = ranking_scores(*split)
    assert ours.ranking_loss == (pytest.approx(100 * np.mean(losses)) if losses else None)
    assert ours.coverage_error == (pytest.approx(np.mean(depths)) if depths else None)


@settings(deadline=None, max_examples=100)
@given(splits(values=(1, 0)))
def test_ranking_scores_equal_scikit_learn(split: Split) -> None:
    probabilities, targets = split
    ours = ranking_scores(probabilities, targets)
    with_positive = targets.any(axis=1)
    with_pair = with_positive & ~targets.all(axis=1)
    if targets.shape[1] > 1 and with_pair.any():
        loss = sklearn.label_ranking_loss(targets[with_pair], probabilities[with_pair])
        assert ours.ranking_loss == pytest.approx(100 * loss)
    if targets.shape[1] > 1 and with_positive.any():
        depth = sklearn.coverage_error(targets[with_positive], probabilities[with_positive])
        assert ours.coverage_error == pytest.approx(depth)


@settings(deadline=None, max_examples=50)
@given(splits())
def test_unknown_entries_do_not_count_whatever_is_said_of_them(split: Split) -> None:
    probabilities, targets = split
    for value in (0, 1):
        other = np.where(targets < 0, value, probabilities)
        assert ranking_scores(other, targets) == ranking_scores(probabilities, targets)
        ours, theirs = (
            image_scores(predict_at(part, 0.5), targets) for part in (probabilities, other)
        )
        np.testing.assert_equal(vars(ours), vars(theirs))


def test_what_equal_probabilities_cost() -> None:
    ours = ranking_scores(np.full((1, 4), 0.5), np.array([[1, 0, 0, -1]]))
    assert (ours.ranking_loss, ours.coverage_error) == (100, 3)
