"""The released boxes against their formulas, and a model that is made of them."""

import pytest
import torch
from tests.published import plain
from torch import Tensor, nn

from lcnet.model.initialization import initialize
from lcnet.model.released_parts import (
    ReleasedExchange,
    ReleasedGraph,
    ReleasedRead,
    band_correlation,
    graph_heads,
)
from lcnet.training.losses import asymmetric_loss
from lcnet.training.parameter_groups import parameter_groups

RELEASED = {
    "graph": "released",
    "released": {
        "layer": "released",
        "graph_tokens": "feature",
        "graph_width": 20,
        "label_tokens": "frozen",
        "shared_bias": True,
        "antialias": False,
    },
    "pooling": "none",
}
ATTENTION = ("query", "key", "value", "out")


def correlation(labels: int) -> Tensor:
    return torch.rand(labels, labels, generator=torch.Generator().manual_seed(labels))


def graph(labels: int, *, scale: float, by_feature: bool = True, seed: int = 0) -> ReleasedGraph:
    """A graph of which every weight is normal of that scale."""
    torch.manual_seed(seed)
    part = ReleasedGraph(
        band_correlation(correlation(labels), 0.2),
        12,
        hidden=20,
        heads=graph_heads(labels),
        by_feature=by_feature,
    )
    with torch.no_grad():
        part.nodes.normal_()
        for weight in part.parameters():
            weight.normal_(std=scale)
        part.norm.weight.add_(1)
    return part.requires_grad_(False)


def published(part: ReleasedGraph) -> plain.Weights:
    """The graph's weights under the names that the release gave them."""
    block = "graphEncoder.transformerblock."
    weights = {
        f"{block}attention_norm1.{side}": getattr(part.norm, side) for side in ("weight", "bias")
    }
    for name, attention in (("attn1", part.first_attention), ("attn2", part.second_attention)):
        for piece in ATTENTION:
            for side in ("weight", "bias"):
                weights[f"{block}{name}.{piece}.{side}"] = getattr(getattr(attention, piece), side)
    weights["query_embed.weight"] = part.nodes
    weights["graphEncoder.gc1.weight"] = part.first_hop.weight.T
    weights["graphEncoder.gc2.weight"] = part.second_hop.weight.T
    return weights


def row_sums(part: ReleasedGraph) -> Tensor:
    """The sums that the release divides by the root of."""
    band = part.norm(part.band)[None]
    mixed = part.first_attention(band, band)[0] @ part.second_attention(band, band)[0]
    return (mixed + torch.eye(len(mixed))).sum(dim=1)


@pytest.mark.parametrize("labels", [3, 8, 11, 20])
def test_the_graph_is_its_formula_where_all_row_sums_are_positive(labels):
    part = graph(labels, scale=0.15)
    assert row_sums(part).min() > 0.1
    expected = plain.released_graph(published(part), correlation(labels), 0.2, graph_heads(labels))
    assert expected.isfinite().all()
    torch.testing.assert_close(part(), expected, atol=1e-4, rtol=1e-4)


def test_a_token_per_label_is_what_is_squared_for_a_token_per_feature():
    by_label, by_feature = (graph(8, scale=0.15, by_feature=kind) for kind in (False, True))
    tokens = by_label()
    assert tokens.shape == (8, 12)
    torch.testing.assert_close(by_feature(), tokens.T @ tokens + torch.eye(12))


@pytest.mark.parametrize("by_feature", [False, True])
@pytest.mark.parametrize("scale", [1.0, 3.0, 10.0])
def test_the_graph_is_finite_where_the_release_is_not(scale, by_feature):
    for seed in range(20):
        part = graph(8, scale=scale, by_feature=by_feature, seed=seed).requires_grad_(True)
        if row_sums(part).min() > 0:
            continue
        tokens = part()
        # What reads them normalises, so that their squares must be finite too.
        read = nn.functional.layer_norm(tokens, tokens.shape[-1:])
        assert part.adjacency().isfinite().all()
        assert read.isfinite().all()
        read[0, 0].backward()
        assert all(weight.grad.isfinite().all() for weight in part.parameters())
        break
    else:
        pytest.fail("no case in which the release gives NaN")


@torch.inference_mode()
@pytest.mark.parametrize("row_sum", [0.0, 1e-9, -1e-9, -0.5, -3.0])
def test_no_row_sum_is_too_bad(row_sum):
    part = graph(4, scale=0.0)
    for attention in (part.first_attention, part.second_attention):
        attention.out.weight.zero_()
    # Then attention 1 is its bias in each row, attention 2 too, and M is their product plus 1.
    part.first_attention.out.bias.fill_(1.0)
    part.second_attention.out.bias.fill_((row_sum - 1) / 16)
    torch.testing.assert_close(row_sums(part), torch.full((4,), row_sum), atol=1e-6, rtol=0)
    part.first_hop.weight.normal_()
    part.second_hop.weight.normal_()
    tokens = part()
    assert nn.functional.layer_norm(tokens, (12,)).isfinite().all()


@torch.inference_mode()
@pytest.mark.parametrize("labels", [8, 20])
def test_a_released_model_starts_with_finite_logits(make_model, labels):
    model, negative = make_model(labels, depth=3, share_layers=True, **RELEASED), 0
    for seed in range(20):
        torch.manual_seed(seed)
        initialize(model)
        negative += bool(row_sums(model.graph).min() < 0)
        assert model(images(1)).isfinite().all(), seed
    assert negative > 0, "no case in which the release gives NaN"


def test_the_band_by_hand():
    given = torch.tensor([[1.0, 0.3, 0.1], [0.5, 1.0, 0.2], [0.9, 0.19, 1.0]])
    # From 0.2 to below 1, so never the diagonal; a column's entries share 0.25.
    expected = torch.tensor([[0.0, 0.25, 0.0], [0.125, 0.0, 0.25], [0.125, 0.0, 0.0]])
    torch.testing.assert_close(band_correlation(given, 0.2), expected, atol=1e-6, rtol=0)
    expected = torch.tensor([[0.0, 0.0, 0.0], [0.25, 0.0, 0.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(band_correlation(given, 0.4, 0.6), expected, atol=1e-6, rtol=0)


def test_labels_without_correlation_have_no_edges():
    assert not band_correlation(torch.eye(4), 0.2).any()


@pytest.mark.parametrize(("labels", "heads"), [(80, 4), (20, 4), (4, 4), (11, 1), (6, 1), (1, 1)])
def test_the_graph_has_four_heads_where_they_divide_the_labels(labels, heads):
    assert graph_heads(labels) == heads
    assert graph(labels, scale=0.1)().shape == (12, 12)


def torch_attention(ours: nn.Module, query: Tensor, memory: Tensor) -> Tensor:
    """torch's own module with the weights of one of ours."""
    theirs = nn.MultiheadAttention(16, 4, batch_first=True)
    parts = [getattr(ours, name) for name in ATTENTION[:3]]
    theirs.load_state_dict(
        {
            "in_proj_weight": torch.cat([part.weight for part in parts]),
            "in_proj_bias": torch.cat([part.bias for part in parts]),
            "out_proj.weight": ours.out.weight,
            "out_proj.bias": ours.out.bias,
        }
    )
    return theirs(query, memory, memory)[0]


def test_the_released_exchange_is_three_attentions():
    torch.manual_seed(0)
    part = ReleasedExchange(16, 4, dropout=0.1).eval()
    image, nodes = torch.randn(2, 7, 16), torch.randn(2, 5, 16)
    first = part.image_residual.norm(image + torch_attention(part.image_reads_graph, image, nodes))
    seen = torch_attention(part.graph_reads_image, nodes, image)  # the image as it came
    nodes_after = part.graph_residual.norm(nodes + seen)
    again = torch_attention(part.image_reads_new_graph, first, nodes_after)
    image_after = part.new_image_residual.norm(first + again)
    got = part(image, nodes)
    torch.testing.assert_close(got[0], image_after, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(got[1], nodes_after, atol=1e-5, rtol=1e-4)


def test_the_released_read_normalises_twice_the_labels_first():
    torch.manual_seed(0)
    part = ReleasedRead(16, 4, mlp_width=20, dropout=0.1).eval()
    for norm in (part.self_residual.norm, part.read_residual.norm, part.mlp_residual.norm):
        nn.init.normal_(norm.weight)
    labels, image = torch.randn(2, 3, 16), torch.randn(2, 7, 16)
    doubled = part.self_residual.norm(2 * labels)
    seen = torch_attention(part.labels_read_image, doubled, image)
    read = part.read_residual.norm(doubled + seen)
    expected = part.mlp_residual.norm(read + part.mlp(read))
    torch.testing.assert_close(part(labels, image), expected, atol=1e-5, rtol=1e-4)


# A model of these boxes.


def images(count: int = 3) -> Tensor:
    return torch.randn(count, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def without_gradient(model: nn.Module) -> set[str]:
    torch.manual_seed(0)
    with torch.no_grad():  # graph tokens of thousands would saturate each attention
        model.graph.first_attention.out.weight.mul_(0.2)
    targets = torch.rand(3, len(model.mapping.weight)).round().to(torch.int8)
    asymmetric_loss(model.train()(images()), targets).backward()
    # A key's bias shifts all scores of a query alike; the softmax cancels that: gradient 0.
    return {
        name
        for name, weight in model.named_parameters()
        if not name.endswith("key.bias") and (weight.grad is None or not weight.grad.any())
    }


@pytest.mark.parametrize("labels", [5, 8])
@pytest.mark.parametrize("share_layers", [False, True])
@pytest.mark.parametrize("depth", [2, 3])
def test_every_weight_gets_a_gradient(make_model, labels, depth, share_layers):
    model = make_model(labels, depth=depth, share_layers=share_layers, **RELEASED)
    assert without_gradient(model) == set()


@pytest.mark.parametrize("share_layers", [False, True])
def test_a_single_layer_never_sees_the_graph(make_model, share_layers):
    """As released. The layer then has no weights for an exchange."""
    model = make_model(8, depth=1, share_layers=share_layers, **RELEASED)
    assert not any("exchange" in name for name, _ in model.named_parameters())
    of_the_graph = {name for name, _ in model.named_parameters() if name.startswith("graph.")}
    keys = {name for name in of_the_graph if name.endswith("key.bias")}
    assert without_gradient(model) == of_the_graph - keys


def test_the_layers_that_exchange_are_all_but_the_first(make_model):
    model = make_model(8, depth=3, **RELEASED)
    assert [layer.exchange is not None for layer in model.decoder.layers] == [False, True, True]
    shared = make_model(8, depth=3, share_layers=True, **RELEASED)
    assert [layer.exchange is not None for layer in shared.decoder.layers] == [True]


@torch.inference_mode()
@pytest.mark.parametrize("share_layers", [False, True])
def test_labels_read_before_the_first_exchange(make_model, share_layers):
    model, batch = make_model(5, depth=3, share_layers=share_layers, **RELEASED), images(2)
    image = model.image_tokens(model.maps(batch))
    graph_tokens = model.graph().expand(2, -1, -1)
    layers = list(model.decoder.layers) * (3 if share_layers else 1)
    labels = layers[0].read(model.label_tokens().expand(2, -1, -1), image)
    for layer in layers[1:]:
        image, graph_tokens = layer.exchange(image, graph_tokens)
        labels = layer.read(labels, image)
    logits = model.mapping(labels, image, model.maps(batch))
    torch.testing.assert_close(model(batch), logits, atol=1e-5, rtol=1e-4)


def test_label_tokens_and_nodes_are_one_and_not_trained(make_model):
    model = make_model(8, **RELEASED)
    trained = {name for name, _ in model.named_parameters()}
    assert trained.isdisjoint({"label_tokens.tokens", "graph.nodes", "graph.band"})
    assert {"label_tokens.tokens", "graph.nodes", "graph.band"} <= model.state_dict().keys()
    assert model.graph.nodes.equal(model.label_tokens.tokens)
    assert model.label_tokens.tokens.std() > 0.5
    before = model.label_tokens.tokens.clone()
    initialize(model)
    assert not model.label_tokens.tokens.equal(before)
    assert model.graph.nodes.equal(model.label_tokens.tokens)


def test_one_bias_starts_at_the_mean_log_odds(make_model):
    model = make_model(4, **RELEASED)
    initialize(model, shares=torch.tensor([0.5, 0.1, 0.02, 0.0]))
    expected = torch.tensor([(0.0 - 2.1972246 - 3.8918203 - 4.0) / 4])
    torch.testing.assert_close(model.mapping.bias.detach(), expected)


@torch.inference_mode()
@pytest.mark.parametrize("level", [0, 2])
def test_logits_do_not_depend_on_the_batch(make_model, level):
    model, batch = make_model(8, crop_level=level, **RELEASED), images(4)
    together = model(batch)
    alone = torch.cat([model(image[None]) for image in batch])
    assert (together - together.mean(dim=0)).abs().max() > 1e-3
    torch.testing.assert_close(alone, together, atol=2e-5, rtol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("share_layers", [False, True])
def test_the_graph_reaches_the_logits_from_the_second_layer_on(make_model, share_layers):
    for depth, reached in ((1, False), (2, True)):
        model = make_model(8, depth=depth, share_layers=share_layers, **RELEASED)
        before = model(images())
        model.graph.nodes.normal_()
        assert ((model(images()) - before).abs().max() > 1e-4) == reached


@pytest.mark.parametrize("labels", [5, 8])
def test_explain_agrees_with_forward(make_model, labels):
    model, batch = make_model(labels, depth=3, share_layers=True, **RELEASED), images(2)
    explanation = model.explain(batch)
    torch.testing.assert_close(explanation.logits, model(batch), atol=2e-5, rtol=1e-4)
    assert explanation.attention.shape == (2, labels, 64, 64)
    assert (explanation.attention >= 0).all()
    sums = explanation.attention.sum(dim=(2, 3))
    torch.testing.assert_close(sums, torch.ones(2, labels))
    assert explanation.graph.shape == (labels, labels)
    assert explanation.graph.isfinite().all()
    assert explanation.graph.equal(model.graph.adjacency())


def test_only_what_the_release_trains_is_in_the_optimizer(make_model):
    model = make_model(8, **RELEASED)
    groups = parameter_groups(model, 1e-3, backbone_lr_factor=0.1, weight_decay=0.05)
    grouped = {id(weight) for group in groups for weight in group["params"]}
    assert grouped == {id(weight) for weight in model.parameters()}
    decayed = {id(w) for group in groups if group["weight_decay"] for w in group["params"]}
    assert id(model.graph.first_hop.weight) in decayed
    assert id(model.mapping.bias) not in decayed
