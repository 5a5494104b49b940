"""A graph with a few edges for each label: equal to the whole one, and small."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.tiny import TINY
from torch.utils._python_dispatch import TorchDispatchMode

from lcnet.data.statistics import count_labels
from lcnet.model.build import build_model
from lcnet.model.carrying_over import carry_over
from lcnet.model.graph_prior import FEW, WHOLE, edges_for, prior_as
from lcnet.model.initialization import initialize
from lcnet.model.label_edges import Edges, alike, products, weighted_sum
from lcnet.model.label_graph import FixedGraph, LabelGraph
from lcnet.training.averaging import Average

LABELS, WIDTH = 9, 16


def everything(labels: int) -> Edges:
    """All edges, each row in another order."""
    prior = torch.rand(labels, labels, generator=torch.Generator().manual_seed(1))
    joined = torch.stack([torch.randperm(labels) for _ in range(labels)])
    return Edges(joined, prior.gather(1, joined))


def whole(edges: Edges) -> torch.Tensor:
    return torch.zeros(len(edges), len(edges)).scatter(1, edges.joined, edges.probability)


def twins(edges: Edges, **options: object) -> tuple[LabelGraph, LabelGraph]:
    """The graph of edges, and that of the whole matrix with the same weights."""
    made = []
    for prior in (edges, whole(edges)):
        torch.manual_seed(0)
        part = LabelGraph(prior, WIDTH, **options)
        initialize(part)
        made.append(part)
    return made[0], made[1]


@pytest.mark.parametrize("by_feature", [False, True])
@pytest.mark.parametrize("learn", [True, False])
def test_with_all_edges_it_is_the_whole_graph(learn, by_feature):
    few, all_pairs = twins(everything(LABELS), learn=learn, by_feature=by_feature)
    for without in (None, 0, 4, LABELS - 1):
        torch.testing.assert_close(
            few(without=without), all_pairs(without=without), atol=1e-5, rtol=0
        )
    torch.testing.assert_close(few.adjacency().to_dense(), all_pairs.adjacency())
    torch.testing.assert_close(few.start().to_dense(), all_pairs.start())
    (few() ** 3).sum().backward()
    (all_pairs() ** 3).sum().backward()
    for (name, one), other in zip(few.named_parameters(), all_pairs.parameters(), strict=True):
        size = other.grad.abs().max().item()
        torch.testing.assert_close(one.grad, other.grad, atol=1e-4 * size, rtol=1e-4, msg=name)


def test_gradients_of_the_products_are_those_of_their_formula():
    joined = torch.tensor([[0, 2], [1, 0], [2, 1], [3, 0]])
    rows, others = (torch.rand(4, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda a, b: products(a, b, joined), (rows, others))
    weights = torch.rand(4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: weighted_sum(a, b, joined), (weights, others))


def test_the_order_of_the_labels_does_not_matter():
    edges = everything(LABELS)
    edges = Edges(edges.joined[:, :4], edges.probability[:, :4])
    order = torch.tensor([3, 0, 4, 1, 2, 8, 7, 5, 6])
    part, _ = twins(edges)
    moved = LabelGraph(Edges(order.argsort()[edges.joined[order]], edges.probability[order]), WIDTH)
    own = {name: one for name, one in part.state_dict().items() if name not in ("prior", "joined")}
    moved.load_state_dict(own | {"nodes": own["nodes"][order]}, strict=False)
    torch.testing.assert_close(moved(), part()[order])


@pytest.mark.parametrize("kind", ["uniform", "shuffled", "apart"])
def test_controls_are_those_of_the_whole_prior(kind):
    edges = everything(LABELS)
    torch.testing.assert_close(whole(prior_as(kind, edges)), prior_as(kind, whole(edges)))


class _Largest(TorchDispatchMode):
    """The most numbers in any tensor that an operation gives."""

    most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for one in result if isinstance(result, tuple | list) else [result]:
            if isinstance(one, torch.Tensor) and not one.is_sparse:
                self.most = max(self.most, one.numel())
        return result


def test_memory_grows_with_the_edges_and_not_with_the_pairs_of_labels(monkeypatch):
    monkeypatch.setattr("lcnet.model.label_edges.AT_ONCE", 4_096)
    labels = 3_000
    part = LabelGraph(alike(labels, 4), WIDTH)
    initialize(part)
    with _Largest() as seen:
        part().sum().backward()
        part.adjacency()
    assert labels * WIDTH <= seen.most <= 2 * labels * WIDTH


def targets(images: int = 60, labels: int = LABELS) -> np.ndarray:
    return np.random.default_rng(0).choice([1, 0, -1], size=(images, labels), p=[0.4, 0.5, 0.1])


@pytest.mark.parametrize("at_once", [1, 20, 10_000])
def test_the_edges_of_a_label_are_itself_and_the_most_probable(monkeypatch, at_once):
    monkeypatch.setattr("lcnet.data.statistics.ROWS_AT_ONCE", at_once)
    known = count_labels(targets())
    probability = known.conditional_probability()
    places, values = known.most_probable(4)
    for label, row in enumerate(probability):
        others = [other for other in np.argsort(-row) if other != label]
        assert places[label].tolist() == [label, *others[:3]]
        assert values[label].tolist() == row[places[label]].tolist()


def test_of_equally_probable_labels_the_commoner_comes_first():
    known = count_labels(np.array([[1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 1]]))
    places, _ = known.most_probable(3)
    assert places[0].tolist() == [0, 1, 3]


def test_up_to_512_labels_a_graph_is_whole_unless_a_number_of_edges_is_set():
    assert edges_for(WHOLE, 0) is None and edges_for(WHOLE + 1, 0) == FEW
    assert edges_for(80, 5) == 5 and edges_for(80, 80) is None and edges_for(600, 600) is None
    assert build_model(TINY, 5).graph.joined is None
    assert build_model(TINY, WHOLE + 1).graph.joined.shape == (WHOLE + 1, FEW)
    assert build_model(replace(TINY, graph_edges=3), 5).graph.joined.shape == (5, 3)


def test_a_fixed_graph_gives_the_same_tokens():
    part, _ = twins(everything(LABELS))
    fixed = FixedGraph(part)
    assert fixed().equal(part()) and not fixed().requires_grad


def test_edges_between_kept_labels_are_carried_over_and_new_labels_get_fresh_ones():
    settings = replace(TINY, graph_edges=2)
    old = build_model(
        settings,
        4,
        prior=Edges(
            torch.tensor([[0, 1], [1, 3], [2, 0], [3, 1]]),
            torch.tensor([[1, 0.9], [1, 0.8], [1, 0.7], [1, 0.6]]),
        ),
    )
    fresh = Edges(
        torch.tensor([[0, 2], [1, 0], [2, 1]]), torch.tensor([[1, 0.5], [1, 0.95], [1, 0.3]])
    )
    new = build_model(settings, 3, prior=fresh)
    carry_over(new, old, [1, 3, None])
    assert new.graph.joined.tolist() == [[0, 1], [1, 0], [2, 1]]
    assert new.graph.prior.tolist() == [
        pytest.approx(row) for row in ([1, 0.8], [1, 0.6], [1, 0.3])
    ]
    all_pairs = build_model(replace(TINY, graph_edges=0), 3, prior=whole(fresh))
    carry_over(all_pairs, old, [1, 3, None])
    expected = [[1, 0.8, 0.5], [0.6, 1, 0], [0, 0.3, 1]]
    assert all_pairs.graph.prior.tolist() == [pytest.approx(row) for row in expected]


def test_the_average_of_the_weights_keeps_the_places_of_the_edges():
    part = LabelGraph(alike(3_000, 7), 8)
    initialize(part)
    average = Average(part, 0.999, warmup=True)
    for _ in range(30):
        average.update(part)
    assert average.module.joined.equal(part.joined)


@pytest.mark.parametrize("wrong", [[[0, 5]], [[-1, 0]], [[0.0, 1.0]]])
def test_edges_to_labels_that_are_not_there_are_refused(wrong):
    joined = torch.tensor(wrong * 3)
    with pytest.raises(ValueError, match=r"graph\.joined: expected"):
        Edges(joined, torch.ones(joined.shape)).check(3)
