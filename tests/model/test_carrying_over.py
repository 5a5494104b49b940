"""A model's weights in one with other labels or another size, for every head."""

import re
from dataclasses import replace

import pytest
import torch
from tests.tiny import TINY

from lcnet.config import Model, Released
from lcnet.model.backbone import BackboneSpec, describe_backbone
from lcnet.model.build import build_model
from lcnet.model.carrying_over import Misfit, carry_over, groups_for, label_axes
from lcnet.model.classifier import Classifier

AS_RELEASED = Released(
    layer="released",
    graph_tokens="feature",
    graph_width=16,
    label_tokens="frozen",
    shared_bias=True,
)
TOKENS = replace(TINY, read="tokens")
MODELS: dict[str, Model] = {
    "lcnet": TOKENS,
    "lcnet, features as tokens": replace(TOKENS, released=Released(graph_tokens="feature")),
    "lcnet, fixed graph": replace(TOKENS, graph="prior"),
    "lcnet, no graph": replace(TOKENS, graph="none"),
    "lcnet, reads scores": replace(TINY, graph="none"),
    "lcnet, two classifiers": replace(TOKENS, graph="none", pooling="two_classifiers"),
    "lcnet, no pooling": replace(TOKENS, graph="none", pooling="none"),
    "lcnet, as released": replace(TOKENS, graph="released", pooling="none", released=AS_RELEASED),
    **{
        head: replace(TINY, head=head)
        for head in ("gap", "csra", "ml_gcn", "query2label", "ml_decoder")
    },
}
WITH_GRAPH = ("lcnet", "lcnet, features as tokens", "lcnet, fixed graph", "lcnet, as released")
"""Every label's logit depends on all nodes, so it cannot stay the same if there are others."""
LABELS = 8
PERMUTED = [3, 1, 0, 2, 7, 6, 5, 4]
FEWER = [0, 2, 5, 4]
MORE = [*range(LABELS), None, None]
OTHERS = [None, 7, None, 1]


def model(settings: Model, labels: int, seed: int = 0, **options: int) -> Classifier:
    """A model whose weights are all random, as after training."""
    torch.manual_seed(seed)
    made = build_model(
        settings,
        labels,
        spec=describe_backbone(settings.backbone, settings.view_size),
        prior=torch.rand(labels, labels).fill_diagonal_(1),
        shares=torch.rand(labels),
        head_options=options,
    ).eval()
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return made


@torch.inference_mode()
def logits(of: Classifier, side: int = 32) -> torch.Tensor:
    return of(torch.randn(4, 3, side, side, generator=torch.Generator().manual_seed(0)))


def change(settings: Model, places: list[int | None]) -> tuple[float, float]:
    """The largest change of a kept label's logit, and the spread of logits."""
    old, new = model(settings, LABELS), model(settings, len(places), seed=1)
    carry_over(new, old, places)
    now = [place for place, was in enumerate(places) if was is not None]
    was = [place for place in places if place is not None]
    before, after = logits(old)[:, was], logits(new)[:, now]
    return float((after - before).abs().max()), float(before.std())


@pytest.mark.parametrize("name", MODELS)
def test_permuted_labels_keep_their_logits(name):
    most, spread = change(MODELS[name], PERMUTED)
    assert spread > 0.3
    assert most <= 1e-5 * max(1, spread)


@pytest.mark.parametrize("places", [FEWER, MORE, OTHERS])
@pytest.mark.parametrize("name", sorted(set(MODELS) - {*WITH_GRAPH, "ml_gcn"}))
def test_kept_labels_keep_their_logits_beside_others_without_a_graph(name, places):
    assert change(MODELS[name], places)[0] <= 1e-5


def test_kept_labels_of_ml_gcn_keep_their_logits_beside_new_ones():
    most, spread = change(MODELS["ml_gcn"], MORE)
    assert most <= 1e-5 * max(1, spread)


@pytest.mark.parametrize("places", [FEWER, MORE])
@pytest.mark.parametrize("name", WITH_GRAPH[:3])
def test_the_graph_changes_kept_labels_by_little(name, places):
    most, spread = change(MODELS[name], places)
    assert 0 < most < 0.35 * spread


BETWEEN = re.compile(r"graph\.\w+_attention\.(query|key|value)\.bias")
"""As wide as the labels are many, but without a row for each."""


@pytest.mark.parametrize("name", MODELS)
def test_every_weight_that_depends_on_the_number_of_labels_has_its_axes_named(name):
    few, many = (model(MODELS[name], labels) for labels in (LABELS, LABELS + 4))
    axes, others = label_axes(few), many.state_dict()
    for weight, tensor in few.state_dict().items():
        differ = {n for n, size in enumerate(tensor.shape) if size != others[weight].shape[n]}
        if name == "lcnet, as released" and "_attention" in weight:
            assert set(axes.get(weight, ())) <= differ
            assert weight in axes or BETWEEN.fullmatch(weight)
        elif name != "ml_decoder" or weight == "head.bias":  # its other weights are by group
            assert set(axes.get(weight, ())) == differ, weight


def test_new_labels_have_the_weights_of_a_new_model():
    old, new, fresh = (model(TINY, labels, seed=labels) for labels in (LABELS, 10, 10))
    carry_over(new, old, MORE)
    for name, axes in label_axes(new).items():
        weight, before = new.state_dict()[name], fresh.state_dict()[name]
        assert weight[LABELS:].equal(before[LABELS:]), name
        kept = old.state_dict()[name]
        assert weight[tuple(slice(0, LABELS) for _ in axes)].equal(kept), name
    assert new.backbone.features.conv1[0].weight.equal(old.backbone.features.conv1[0].weight)


def test_labels_of_the_released_graph_in_another_number_start_its_attentions_anew():
    settings = MODELS["lcnet, as released"]
    old, new, fresh = model(settings, LABELS), model(settings, 10, 1), model(settings, 10, 1)
    carry_over(new, old, MORE)
    kept, before, given = (one.state_dict() for one in (new, fresh, old))
    assert kept["graph.first_attention.query.weight"].equal(
        before["graph.first_attention.query.weight"]
    )
    assert kept["graph.first_hop.weight"].equal(given["graph.first_hop.weight"])
    assert kept["graph.nodes"][:LABELS].equal(given["graph.nodes"])


@pytest.mark.parametrize(
    ("labels", "groups", "places"),
    [
        (8, 3, [7, 6, 5, 4, 3, 2, 1, 0]),
        (8, 3, [0, 2, 4, 6]),
        (8, 3, [*range(8), None, None]),
        (8, 4, [*range(8), None, None, None, None]),
        (8, 100, [None, 3, 1]),
        (3, 2, [0, 1, 2, *[None] * 9]),
    ],
)
def test_a_label_keeps_its_query_however_labels_were_grouped(labels, groups, places):
    settings = MODELS["ml_decoder"]
    wanted = groups_for(labels, groups, places)
    old = model(settings, labels, groups=groups)
    new = model(settings, len(places), seed=1, groups=wanted)
    carry_over(new, old, places)
    now = [place for place, was in enumerate(places) if was is not None]
    was = [place for place in places if place is not None]
    assert len(new.head.queries.tokens) == min(wanted, len(places))
    torch.testing.assert_close(logits(new)[:, now], logits(old)[:, was], atol=1e-5, rtol=0)


def test_groups_stay_as_large_as_they_were_where_that_keeps_the_queries():
    assert groups_for(240, 100, [*range(240), None]) == 100  # three labels each, as before
    assert groups_for(240, 100, [*range(240), *[None] * 100]) == 114
    assert groups_for(90, 100, [*range(90), None]) == 91
    assert groups_for(240, 100, [*range(239, -1, -1)]) == 100
    assert groups_for(240, 100, [*range(0, 240, 2)]) == 120  # a query each


def sized(name: str, options: dict[str, object], size: int) -> Classifier:
    """A small model of a timm ViT, for views of a size."""
    spec = BackboneSpec(name, {**options, "img_size": size}, (0.5,) * 3, (0.5,) * 3, "bicubic")
    settings = replace(TINY, backbone=name, view_size=size, crop_level=0, graph="none")
    return build_model(settings, 3, spec=spec).eval()


SMALL = {"embed_dim": 16, "depth": 1, "num_heads": 2, "patch_size": 8}


def test_position_embeddings_are_resampled_as_timm_does():
    old, new = (sized("vit_tiny_patch16_224", SMALL, size) for size in (32, 48))
    carry_over(new, old, [0, 1, 2])
    before, after = old.backbone.features.pos_embed, new.backbone.features.pos_embed
    assert (before.shape[1], after.shape[1]) == (17, 37)
    assert torch.equal(before[:, 0], after[:, 0])  # that of the class token
    torch.testing.assert_close(before[:, 1:].mean(), after[:, 1:].mean(), atol=2e-3, rtol=0)
    assert logits(new, 48).isfinite().all()


def test_a_backbone_that_timm_cannot_resample_is_a_misfit():
    options = {"embed_dim": 16, "depth": 1, "num_heads": 2, "patch_size": 8, "depth_token_only": 1}
    old, new = (sized("cait_xxs24_224", options, size) for size in (32, 48))
    with pytest.raises(Misfit, match="pos_embed"):
        carry_over(new, old, [0, 1, 2])
