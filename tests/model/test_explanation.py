"""Maps over the picture, for every head and kind of backbone."""

import pytest
import torch
from tests.model.conftest import tiny_settings
from torch import nn

from lcnet.model.build import build_model
from lcnet.model.classifier import Classifier
from lcnet.model.crops import Crops
from lcnet.model.explanation import recorded, shares, stitch
from lcnet.model.heat_maps import heat_maps
from lcnet.model.image_tokens import tokens_of

HEADS = ("lcnet", "gap", "csra", "ml_gcn", "query2label", "ml_decoder")


def images(count: int = 2, height: int = 64, width: int = 48) -> torch.Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def model_with(head: str, **changes: object) -> Classifier:
    torch.manual_seed(0)
    settings = tiny_settings(head=head, **changes)
    return build_model(settings, 5, prior=torch.rand(5, 5)).eval()


@pytest.mark.parametrize("level", [0, 1, 2, 3])
@pytest.mark.parametrize("head", HEADS)
def test_every_head_says_where_it_looked(head, level):
    model = model_with(head, crop_level=level, depth=1).train()
    found, heat = model.explain(images()), heat_maps(model, images(), [3, 1])
    assert model.training
    torch.testing.assert_close(found.logits, model.eval()(images()), atol=2e-5, rtol=1e-4)
    assert (found.graph is None) == (head not in ("lcnet", "ml_gcn"))
    for maps, labels in ((found.attention, 5), (heat, 2)):
        assert maps.shape == (2, labels, 64, 48)
        assert (maps >= 0).all()
        torch.testing.assert_close(maps.sum(dim=(2, 3)), torch.ones(2, labels))


@pytest.mark.parametrize("name", ["test_vit", "test_convnext", "test_efficientnet"])
@pytest.mark.parametrize("head", HEADS)
def test_any_backbone_is_explained(head, name):
    model = model_with(head, backbone=name, crop_level=1)
    heat = heat_maps(model, images(), [0, 4])
    torch.testing.assert_close(heat.sum(dim=(2, 3)), torch.ones(2, 2))
    attention = model.explain(images()).attention[:, [0, 4]]
    # A ViT's tokens are all of one size: there is no finer layer to look at.
    assert torch.allclose(heat, attention, atol=1e-6) == (name == "test_vit")


@pytest.mark.parametrize("head", HEADS)
def test_heat_does_not_depend_on_the_batch_or_on_chunks(head):
    model = model_with(head)
    together = heat_maps(model, images(), [2])
    model.backbone.chunk = 2
    alone = torch.cat([heat_maps(model, image[None], [2]) for image in images()])
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-3)


def test_heat_leaves_no_gradient_and_no_hook():
    model = model_with("lcnet")
    with torch.inference_mode():
        heat_maps(model, images(), [0])
    assert all(weight.grad is None for weight in model.parameters())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())


class Spots(nn.Module):
    """A backbone that gives the mean of each of 4 x 4 cells: what it sees lies where it lies."""

    channels = 3

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        return nn.functional.adaptive_avg_pool2d(views, 4)

    def early_layer(self) -> None:
        return None


class Brightness(Classifier):
    """Label k looks at where channel k is."""

    def score(self, maps: torch.Tensor) -> torch.Tensor:
        return tokens_of(maps).mean(dim=1)

    def looked(self, maps: torch.Tensor) -> torch.Tensor:
        return shares(tokens_of(maps).mT)


@pytest.mark.parametrize("level", [0, 1, 2, 3])
@pytest.mark.parametrize("place", [(10, 10), (10, 80), (50, 30), (85, 66)])
def test_a_spot_s_map_peaks_on_the_spot(level, place):
    model = Brightness(Crops(level, 32), Spots())
    picture = torch.zeros(1, 3, 96, 96)
    row, column = place
    picture[0, 1, row : row + 8, column : column + 8] = 1
    found = model.explain(picture).attention[0, 1]
    peak = divmod(int(found.argmax()), 96)
    cell = 96 / 4 / max(level, 1)
    assert abs(peak[0] - row - 3.5) <= cell
    assert abs(peak[1] - column - 3.5) <= cell


def test_stitching_keeps_each_view_s_share():
    views = torch.zeros(1, 1, 5, 2, 2)
    views[0, 0, 2] = 0.5 / 4  # half on the third tile, bottom left
    views[0, 0, 4, 0, 1] = 0.5  # half on the top right quarter of the whole image
    drawn = stitch(views, 2, (32, 32))[0, 0]
    assert drawn[16:, :16].sum().item() == pytest.approx(0.5, abs=0.1)
    assert drawn[:16, 16:].sum().item() == pytest.approx(0.5, abs=0.2)


def test_shares_of_nothing_positive_are_even():
    found = shares(torch.tensor([[-1.0, 3.0, 1.0, 0.0], [-1.0, -2.0, 0.0, 0.0]]))
    assert found.tolist() == [[0.0, 0.75, 0.25, 0.0], [0.25] * 4]


def test_a_group_s_labels_share_its_attention_in_ml_decoder():
    torch.manual_seed(0)
    settings = tiny_settings(head="ml_decoder")
    model = build_model(settings, 5, head_options={"groups": 2, "width": 24}).eval()
    maps = model.maps(images())
    with recorded([model.head.read.labels_read_image]) as weights:
        model.score(maps)
    found = model.looked(maps)
    for label, group in enumerate((0, 0, 0, 1, 1)):
        torch.testing.assert_close(found[:, label], weights[0].mean(dim=1)[:, group])


def test_csra_looks_where_its_softmax_does():
    model = model_with("csra")
    tokens = tokens_of(model.maps(images()))
    expected = model.head.classifiers[0](tokens).softmax(dim=1).mT
    torch.testing.assert_close(model.looked(model.maps(images())), expected)


@pytest.mark.parametrize("graph_tokens", ["label", "feature"])
@pytest.mark.parametrize("graph", ["learned", "prior", "released"])
def test_influences_are_what_a_model_without_the_node_lacks(make_model, graph, graph_tokens):
    layer = "released" if graph == "released" else "exchange_first"
    released = {"layer": layer, "graph_tokens": graph_tokens, "graph_width": 16}
    model = make_model(graph=graph, depth=2, released=released)
    maps = model.maps(images())
    found = model.influences(maps)
    assert found.shape == (2, 5, 5)
    nodes, adjacency = model.graph.nodes, model.graph.adjacency()
    kept = [0, 1, 3, 4]
    cut = adjacency[kept][:, kept]
    if graph != "released":
        cut = cut / cut.sum(dim=1, keepdim=True)
        hidden = nn.functional.leaky_relu(cut @ model.graph.first_hop(nodes[kept]), 0.2)
        tokens = model.graph.norm(nodes[kept] + cut @ model.graph.second_hop(hidden))
    else:
        hidden = nn.functional.leaky_relu(cut @ model.graph.first_hop(nodes[kept]), 0.2)
        tokens = cut @ model.graph.second_hop(hidden)
    if graph_tokens == "feature":
        tokens = tokens.T @ tokens + torch.eye(24)
    expected = model.score(maps) - with_graph_tokens(model, maps, tokens)
    assert expected.abs().max() > 1e-4
    torch.testing.assert_close(found[:, :, 2], expected, atol=1e-5, rtol=1e-3)


def with_graph_tokens(model, maps, tokens):
    """The logits of a model whose graph gives these tokens."""
    hook = model.graph.register_forward_hook(lambda *_: tokens)
    logits = model.score(maps)
    hook.remove()
    return logits


def test_a_model_without_a_graph_has_no_influences(make_model):
    model = make_model(graph="none")
    assert model.influences(model.maps(images())) is None
    rival = model_with("csra")
    assert rival.influences(rival.maps(images())) is None


def test_a_single_label_has_nothing_that_moves_it(make_model):
    model = make_model(1)
    assert model.influences(model.maps(images())).tolist() == [[[0.0]], [[0.0]]]


def test_ml_gcn_s_influences_run_along_its_edges_only():
    prior = torch.zeros(4, 4)
    prior[0, 1] = prior[1, 0] = 1  # 2 and 3 stand alone
    torch.manual_seed(0)
    model = build_model(tiny_settings(head="ml_gcn"), 4, prior=prior).eval()
    found = model.influences(model.maps(images()))[0]
    moved = (found.abs() > 1e-6).nonzero().tolist()
    assert moved == [[0, 1], [1, 0]]
