import numpy as np
import pytest
from numpy.testing import assert_allclose

from lcnet.data.statistics import count_labels
from lcnet.metrics import label_evidence
from lcnet.metrics.label_evidence import PairTable, fit_sources, prior_edges

RNG = np.random.default_rng(0)


def fit_edges(p: np.ndarray, y: np.ndarray, prior: np.ndarray) -> np.ndarray:
    return label_evidence.fit_edges(p, y, prior, slice(0, len(prior)))


def prior_of(y: np.ndarray) -> np.ndarray:
    counts, rows = count_labels(y), slice(0, y.shape[1])
    table = PairTable(*(each.astype(float) for each in counts.pairs.rows(rows)))
    return prior_edges(
        np.array(counts.positives, float), np.array(counts.known, float), table, rows
    )


def correlated(pictures: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that know nothing of four labels, of which the first two come together."""
    chances = np.full((pictures, 4), 0.3)
    first = RNG.random(pictures) < 0.3
    together = np.where(RNG.random(pictures) < 0.8, first, RNG.random(pictures) < 0.3)
    others = RNG.random((pictures, 2)) < 0.3
    return chances, np.column_stack([first, together, others]).astype(np.int8)


def test_an_edge_is_what_the_counts_say_beyond_the_pictures():
    p, y = RNG.random((50, 3)), (RNG.random((50, 3)) < 0.5).astype(np.int8)
    edges = fit_edges(p, y, np.full((3, 3), 0.7))
    both, neither = y[:, 0] & y[:, 1], (1 - y[:, 0]) & (1 - y[:, 1])
    n = [
        both.sum(),
        neither.sum(),
        (y[:, 0] & (1 - y[:, 1])).sum(),
        ((1 - y[:, 0]) & y[:, 1]).sum(),
    ]
    q, r = p[:, 0], p[:, 1]
    m = [(q * r).sum(), ((1 - q) * (1 - r)).sum(), (q * (1 - r)).sum(), ((1 - q) * r).sum()]
    signs = np.array([1, 1, -1, -1])
    fitted = signs @ np.log(np.array(n) + 1.0) - signs @ np.log(np.array(m) + 1.0)
    assert edges[0, 1] == pytest.approx((m[0] * fitted + 10 * 0.5 * 0.7) / (m[0] + 10))
    assert_allclose(edges, edges.T)
    assert (edges.diagonal() == 0).all()


def test_labels_that_come_together_more_than_the_pictures_say_have_an_edge():
    p, y = correlated(4000)
    edges = fit_edges(p, y, np.zeros((4, 4)))
    assert edges[0, 1] > 1.5
    assert np.abs(edges[2, 3]) < 0.3


def test_there_is_no_edge_where_the_pictures_tell_it_all():
    p = np.repeat(RNG.choice([0.05, 0.95], (4000, 1)), 2, axis=1)  # they come together, seen so
    y = (RNG.random((4000, 2)) < p).astype(np.int8)
    assert np.abs(fit_edges(p, y, np.zeros((2, 2)))[0, 1]) < 0.3


def test_unknown_targets_are_left_out():
    p, y = correlated(500)
    more = np.concatenate([y, np.full((100, 4), -1, np.int8)])
    longer = np.concatenate([p, RNG.random((100, 4))])
    zeros = np.zeros((4, 4))
    assert_allclose(fit_edges(longer, more, zeros), fit_edges(p, y, zeros))


def test_the_prior_is_the_log_odds_ratio_of_the_training_labels():
    _, y = correlated(50_000)
    prior = prior_of(y)
    table = [[np.sum((y[:, 0] == a) & (y[:, 1] == b)) for b in (1, 0)] for a in (1, 0)]
    wanted = np.log(table[0][0] * table[1][1] / (table[0][1] * table[1][0]))
    assert prior[0, 1] == pytest.approx(wanted, abs=0.01)
    assert prior[2, 3] == pytest.approx(0, abs=0.1)


def test_a_pair_that_is_rare_says_little():
    y = np.zeros((1000, 2), np.int8)
    y[:3, 0], y[3:6, 1] = 1, 1  # never together, as is to be expected
    prior = prior_of(y)
    assert np.abs(prior[0, 1]) < 0.05


def test_a_label_listens_to_those_that_move_it_most():
    edges = np.array([[0, 3.0, -1, 0.1], [3, 0, 0, 0], [-1, 0, 0, 2], [0.1, 0, 2, 0]])
    p = np.tile([0.5, 0.001, 0.5, 0.5], (10, 1))  # the second label is hardly ever there
    y = np.full((10, 4), -1)  # nothing is known, so half of the prior is what is left
    sources, weights = fit_sources(p, y, lambda rows: 2 * edges[rows], most=2)
    assert sources[0].tolist() == [1, 2]
    assert_allclose(weights[0], [3, -1])
    assert sources.shape == weights.shape == (4, 2)


def test_blocks_of_labels_give_what_all_at_once_give(monkeypatch):
    p, y = RNG.random((40, 7)), RNG.integers(-1, 2, (40, 7))
    prior = prior_of(y)
    whole = fit_sources(p, y, lambda rows: prior[rows], most=3)
    monkeypatch.setattr(label_evidence, "BLOCK", 3)

    def block(rows: slice) -> np.ndarray:
        counts = count_labels(y)
        table = PairTable(*(each.astype(float) for each in counts.pairs.rows(rows)))
        return prior_edges(np.array(counts.positives), np.array(counts.known), table, rows)

    parts = fit_sources(p, y, block, most=3)
    assert (parts[0] == whole[0]).all()
    assert_allclose(parts[1], whole[1])
