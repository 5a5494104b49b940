"""The last layer that reads scores: where a label looks, its own classifier scores the maps."""

import pytest
import torch
from tests.model.conftest import tiny_settings

from lcnet.errors import ConfigError
from lcnet.model.looking import Looking

LABELS, CHANNELS, WIDTH, HEADS = 3, 10, 8, 2


@pytest.fixture
def looking():
    torch.manual_seed(0)
    part = Looking(LABELS, CHANNELS, WIDTH, HEADS)
    for weight in part.parameters():
        torch.nn.init.normal_(weight)
    return part


@pytest.fixture
def streams():
    """Label tokens (B L D), image tokens (B T D) and the maps (B V C h w) that they are of."""
    return (
        torch.randn(2, LABELS, WIDTH),
        torch.randn(2, 24, WIDTH),
        torch.randn(2, 2, CHANNELS, 3, 4),
    )


def test_it_is_its_formula(looking, streams):
    labels, image, maps = streams
    logits = looking(labels, image, maps)
    normed = looking.norm(image)
    for picture in range(2):
        places = [
            maps[picture, view, :, y, x] for view in range(2) for y in range(3) for x in range(4)
        ]
        for label in range(LABELS):
            attention = torch.zeros(24)
            for own in (slice(0, 4), slice(4, 8)):
                compared = [labels[picture, label, own] @ key[own] / 2 for key in normed[picture]]
                attention += torch.stack(compared).softmax(0) / HEADS
            scores = [looking.weight[label] @ place for place in places]
            expected = (
                sum(a * s for a, s in zip(attention, scores, strict=True)) + looking.bias[label]
            )
            torch.testing.assert_close(logits[picture, label], expected, atol=1e-5, rtol=1e-5)
    weights = looking.weights(labels, image)
    assert weights.shape == (2, HEADS, LABELS, 24)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, HEADS, LABELS))


def test_labels_that_look_everywhere_alike_give_the_mean(looking, streams):
    labels, image, maps = streams
    mean = maps.mean(dim=(1, 3, 4)) @ looking.weight.T + looking.bias
    torch.testing.assert_close(looking(0 * labels, image, maps), mean, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("depth", "layers"), [(1, 0), (2, 1), (3, 2)])
@pytest.mark.parametrize("share_layers", [False, True])
def test_it_is_the_last_layer(make_model, depth, layers, share_layers):
    model = make_model(read="scores", depth=depth, share_layers=share_layers)
    assert isinstance(model.mapping, Looking)
    assert model.decoder.depth == layers
    assert len(model.decoder.layers) == (min(layers, 1) if share_layers else layers)


def test_one_layer_looks_where_the_tokens_of_label_and_graph_say(make_model):
    model = make_model(read="scores", depth=1, pooling="none")
    maps = model.maps(torch.randn(2, 3, 64, 64))
    labels = (model.label_tokens() + model.graph()).expand(2, -1, -1)
    image = model.image_tokens(maps)
    assert model.score(maps).equal(model.mapping(labels, image, maps))
    assert model.looked(maps).equal(model.mapping.weights(labels, image).mean(dim=1))


@pytest.mark.parametrize("depth", [1, 2])
def test_influences_are_what_cutting_a_node_changes(make_model, depth):
    model = make_model(read="scores", depth=depth, pooling="none")
    with torch.no_grad():
        model.graph.nodes.normal_()
    maps = model.maps(torch.randn(2, 3, 64, 64))
    found = model.influences(maps)
    assert found.shape == (2, 5, 5)
    diagonal = found.diagonal(dim1=1, dim2=2)
    assert found.abs().max() > 1e-4
    if depth == 1:  # a label keeps its own token, which nothing else reads
        assert not diagonal.any()


def test_parts_of_the_release_have_no_scores_to_read():
    with pytest.raises(
        ConfigError, match=r"model.read: expected tokens with parts of the released"
    ):
        tiny_settings(read="scores", released={"graph_tokens": "feature"})
    tiny_settings(read="scores", released={"antialias": False})


def test_a_model_whose_norm_had_a_bias_is_read_and_gives_the_same(make_model):
    model = make_model(read="scores")
    stored = model.state_dict()
    stored["mapping.norm.bias"] = torch.randn(24)  # as before it was left out
    other = make_model(read="scores")
    other.load_state_dict(stored)
    images = torch.randn(2, 3, 64, 64)
    assert other(images).equal(model(images))
