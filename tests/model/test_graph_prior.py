import pytest
import torch

from lcnet.config import Model
from lcnet.errors import ConfigError
from lcnet.model.graph_prior import prior_as
from lcnet.model.label_graph import LabelGraph

PRIOR = torch.rand(7, 7, generator=torch.Generator().manual_seed(3))


def test_the_training_labels_give_the_prior_as_it_is():
    assert prior_as("labels", PRIOR) is PRIOR


def test_a_uniform_prior_lets_each_label_take_the_same_from_all():
    start = LabelGraph(prior_as("uniform", PRIOR), 8).start()
    torch.testing.assert_close(start, torch.full((7, 7), 1 / 7))


def test_a_shuffled_prior_has_the_same_numbers_at_other_labels():
    shuffled = prior_as("shuffled", PRIOR)
    assert not shuffled.equal(PRIOR)
    assert shuffled.diagonal().sort().values.equal(PRIOR.diagonal().sort().values)
    assert shuffled.flatten().sort().values.equal(PRIOR.flatten().sort().values)
    assert shuffled.equal(prior_as("shuffled", PRIOR))


def test_labels_apart_take_from_themselves_alone():
    start = LabelGraph(prior_as("apart", PRIOR), 8).start()
    torch.testing.assert_close(start, torch.eye(7), atol=1e-6, rtol=0)


@pytest.mark.parametrize("graph", ["none", "released"])
def test_a_graph_that_has_no_such_start_is_refused(graph):
    with pytest.raises(ConfigError, match=f"model.graph_prior: expected labels with .* {graph}"):
        Model(graph=graph, graph_prior="uniform")
