import pytest
import torch

from lcnet.model.initialization import initialize
from lcnet.model.label_graph import PRIOR_FLOOR, LabelGraph


def graph(labels: int = 6, **options: object) -> LabelGraph:
    torch.manual_seed(0)
    part = LabelGraph(torch.rand(labels, labels), 16, **options)
    initialize(part)
    return part


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e3, -1e3, 1e5])
def test_the_graph_is_finite_whatever_the_weights(scale):
    part = graph()
    with torch.no_grad():
        for weight in part.parameters():
            weight.normal_(std=1.0).mul_(scale)
    assert part().isfinite().all()
    torch.testing.assert_close(part.adjacency().sum(dim=1), torch.ones(6))


def test_the_adjacency_starts_near_the_prior():
    part = graph()
    prior = part.prior + PRIOR_FLOOR
    start = prior / prior.sum(dim=1, keepdim=True)
    assert (part.adjacency() / start).log().abs().max() < 1.0
    fixed = graph(learn=False)
    torch.testing.assert_close(fixed.adjacency(), start)


def test_learning_moves_edges_that_the_prior_lacks():
    part = LabelGraph(torch.eye(4), 16)
    initialize(part)
    optimizer = torch.optim.Adam(part.parameters(), lr=0.05)
    for _ in range(60):
        loss = -part.adjacency()[0, 2].log()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert part.adjacency()[0, 2] > 0.5


@pytest.mark.parametrize("labels", [1, 2, 11, 300])
def test_any_number_of_labels_gives_a_token_each(labels):
    assert graph(labels)().shape == (labels, 16)


def test_label_vectors_take_the_place_of_learned_nodes():
    vectors = torch.randn(6, 50)
    part = graph(vectors=vectors)
    assert part.nodes is None
    assert part().shape == (6, 16)
    same = torch.cat([vectors[:1], vectors[:1], vectors[2:]])
    twins = graph(vectors=same).features()
    torch.testing.assert_close(twins[0], twins[1])


@pytest.mark.parametrize("learn", [True, False])
def test_a_token_per_feature_is_their_product_over_the_labels_and_a_one(learn):
    tokens, by_feature = graph(learn=learn)(), graph(learn=learn, by_feature=True)()
    assert by_feature.shape == (16, 16)
    for i in range(16):
        for j in range(16):
            expected = sum(tokens[label, i] * tokens[label, j] for label in range(6)) + (i == j)
            torch.testing.assert_close(by_feature[i, j], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("labels", [1, 11, 300])
def test_there_are_as_many_feature_tokens_for_any_number_of_labels(labels):
    assert graph(labels, by_feature=True)().shape == (16, 16)
