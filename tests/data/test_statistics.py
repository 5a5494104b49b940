"""Counts of labels, against loops written plainly, and the probabilities made of them."""

import json

import numpy as np
import pytest

from lcnet.data.statistics import (
    Statistics,
    assume_absent,
    count_labels,
    labels_without_absent,
    repeat_factors,
)
from lcnet.errors import CheckpointError

TARGETS = np.array(
    [
        [1, 1, 0, 0],
        [1, 0, -1, 0],
        [1, -1, 1, 0],
        [0, 1, 1, -1],
        [-1, 0, 0, 0],
    ],
    dtype=np.int8,
)
"""Label 3 is nowhere present."""


def drawn(seed: int, images: int = 40, labels: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1, 2, size=(images, labels)).astype(np.int8)


@pytest.mark.parametrize("targets", [TARGETS, drawn(0), drawn(1), drawn(2)])
def test_counts_equal_a_plain_loop(targets: np.ndarray) -> None:
    counts = count_labels(targets)
    rows, columns = targets.tolist(), range(targets.shape[1])
    assert counts.images == len(rows)
    assert counts.positives == tuple(sum(row[i] == 1 for row in rows) for i in columns)
    assert counts.known == tuple(sum(row[i] in (0, 1) for row in rows) for i in columns)
    for i in columns:
        for j in columns:
            together = sum(row[i] == 1 and row[j] == 1 for row in rows)
            assert counts.pairs.cooccurrence[i, j] == together
            assert counts.pairs.known_with[i, j] == sum(
                row[i] == 1 and row[j] != -1 for row in rows
            )


def test_shares_leave_unknown_pictures_out() -> None:
    np.testing.assert_allclose(count_labels(TARGETS).shares(), [3 / 4, 2 / 4, 2 / 4, 0])


def test_a_label_that_is_nowhere_known_has_share_zero() -> None:
    targets = np.array([[-1, 1, 1], [-1, 0, -1]])
    assert count_labels(targets).shares().tolist() == [0.0, 0.5, 1.0]


def test_without_smoothing_it_is_the_share_among_pictures_of_the_row_label() -> None:
    probability = count_labels(TARGETS).conditional_probability(smoothing=0)
    # Label 0 is in pictures 0, 1 and 2; label 1 is unknown in one of them.
    np.testing.assert_allclose(probability[0], [1, 1 / 2, 1 / 2, 0])
    np.testing.assert_allclose(probability[1], [1 / 2, 1, 1 / 2, 0])


def test_smoothing_adds_pictures_in_which_the_column_label_has_its_share() -> None:
    probability = count_labels(TARGETS).conditional_probability(smoothing=2)
    assert probability[0, 1] == pytest.approx((1 + 2 * 0.5) / (2 + 2))


def test_rows_condition_and_columns_follow() -> None:
    # Wherever label 0 is, label 1 is too, but not the other way round.
    probability = count_labels(np.array([[1, 1], [0, 1], [0, 1]])).conditional_probability(0)
    assert probability[0, 1] == 1
    assert probability[1, 0] == pytest.approx(1 / 3)


@pytest.mark.parametrize("smoothing", [0.0, 1.0, 100.0])
def test_the_row_of_a_label_without_positives_is_the_shares(smoothing: float) -> None:
    counts = count_labels(TARGETS)
    np.testing.assert_allclose(
        counts.conditional_probability(smoothing)[3, :3], counts.shares()[:3]
    )


@pytest.mark.parametrize("smoothing", [0.0, 1e-9, 1.0, 1e9])
@pytest.mark.parametrize(
    "targets",
    [
        TARGETS,
        drawn(3),
        np.full((3, 2), -1, dtype=np.int8),
        np.zeros((3, 2), dtype=np.int8),
        np.ones((3, 2), dtype=np.int8),
        np.empty((0, 2), dtype=np.int8),
    ],
)
def test_probabilities_are_proper_with_ones_on_the_diagonal(
    targets: np.ndarray, smoothing: float
) -> None:
    probability = count_labels(targets).conditional_probability(smoothing)
    assert probability.shape == (targets.shape[1],) * 2
    assert ((probability >= 0) & (probability <= 1)).all()  # false for NaN too
    assert (np.diag(probability) == 1).all()


def test_statistics_survive_json() -> None:
    counts = count_labels(TARGETS)
    stored = json.loads(json.dumps(counts.to_dict()))
    again = Statistics.from_dict(stored, counts.pairs)
    assert (again, again.pairs) == (counts, counts.pairs)
    older = {
        "cooccurrence": counts.pairs.cooccurrence.tolist(),
        "known_with": counts.pairs.known_with.tolist(),
    }
    again = Statistics.from_dict(stored | older)
    assert (again, again.pairs) == (counts, counts.pairs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": None}, "expected counts as training stores them"),
        ({"images": float("inf")}, "expected counts as training stores them"),
        ({"positives": ["a"]}, "expected counts as training stores them"),
        ({"cooccurrence": [1, 2, 3, 4]}, "expected counts as training stores them"),
        ({"known": [1, 2]}, "expected counts of 4 labels throughout"),
        ({"known_with": [[1, 2, 3, 4]]}, "expected counts of 4 labels throughout"),
        ({"cooccurrence": [[1, 2, 3]] * 4}, "expected counts of 4 labels throughout"),
    ],
)
def test_stored_statistics_that_do_not_fit_are_refused(
    change: dict[str, object], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        counts = count_labels(TARGETS)
        older = {
            "cooccurrence": counts.pairs.cooccurrence.tolist(),
            "known_with": counts.pairs.known_with.tolist(),
        }
        Statistics.from_dict(counts.to_dict() | older | change)


def test_stored_statistics_must_be_complete() -> None:
    with pytest.raises(CheckpointError, match=r"KeyError\('images'\)"):
        Statistics.from_dict({})


def test_positive_weights_are_absent_to_present() -> None:
    counts = count_labels(TARGETS)
    # Present, absent, unknown: 3 1 1; 2 2 1; 2 2 1; 0 4 1.
    np.testing.assert_allclose(counts.positive_weights(1), [1 / 3, 1, 1, 1])
    np.testing.assert_allclose(counts.positive_weights(0.5), [(1 / 3) ** 0.5, 1, 1, 1])
    np.testing.assert_allclose(counts.positive_weights(1, 1.0), [2 / 3, 3 / 2, 3 / 2, 1])
    assert (counts.positive_weights(0) == 1).all()


def test_pictures_repeat_by_their_rarest_label() -> None:
    targets = np.zeros((100, 3), dtype=np.int8)
    targets[:50, 0] = targets[:4, 1] = 1
    targets[4:60, 1] = -1  # 4 of 44 known
    targets[99, 0] = -1
    factors = repeat_factors(targets, 0.4)
    rare = (0.4 / (4 / 44)) ** 0.5
    np.testing.assert_allclose(factors, [rare] * 4 + [1] * 96)
    common = (0.9 / (50 / 99)) ** 0.5
    np.testing.assert_allclose(repeat_factors(targets, 0.9)[4:50], common)
    assert (repeat_factors(targets, 0.01) == 1).all()


def test_labels_that_are_nowhere_known_to_be_absent() -> None:
    targets = np.array([[1, 1, -1, 1], [-1, 1, -1, 0], [-1, 1, -1, -1]], dtype=np.int8)
    assert labels_without_absent(targets).tolist() == [0]


def test_unknown_is_absent_where_nothing_else_is_known_to_be() -> None:
    targets = np.array([[1, 1, -1, 1], [-1, 1, -1, 0], [-1, 1, -1, -1]], dtype=np.int8)
    assert assume_absent(targets).tolist() == [[1, 1, -1, 1], [0, 1, -1, 0], [0, 1, -1, -1]]
    everywhere = assume_absent(targets, everywhere=True)
    assert everywhere.tolist() == targets.clip(min=0).tolist()
    shares = count_labels(assume_absent(np.where(np.eye(4) == 1, 1, -1))).shares()
    assert shares.tolist() == [0.25] * 4
