"""The rival heads against their papers' formulas, and as parts of whole models."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.model.conftest import tiny_settings
from tests.published import plain
from torch import Tensor, nn

from lcnet import config
from lcnet.model.attention import Attention
from lcnet.model.backbone import describe_backbone
from lcnet.model.build import build_model
from lcnet.model.classifier import Classifier
from lcnet.model.heads.csra import CSRA
from lcnet.model.heads.gap import GlobalPooling
from lcnet.model.heads.ml_decoder import MLDecoder
from lcnet.model.heads.ml_gcn import MLGCN, reweighted
from lcnet.model.heads.query2label import Query2Label, sine_code
from lcnet.model_folder import ModelFolder, ModelInfo, load_model
from lcnet.training.parameter_groups import parameter_groups

CHANNELS = 16
HEADS = ["gap", "csra", "ml_gcn", "query2label", "ml_decoder"]
SMALL = {
    "gap": {},
    "csra": {},
    "ml_gcn": {"hidden": 20},
    "query2label": {"width": 24, "mlp_width": 20},
    "ml_decoder": {"width": 24, "mlp_width": 20, "groups": 3},
}
"""Sizes of heads that are quick to test."""


def maps(images: int = 2, views: int = 5, height: int = 3, width: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(images, views, CHANNELS, height, width, generator=generator)


def row(features: Tensor) -> Tensor:
    """The maps of all views as one row of tokens, place by place: B T C."""
    _, views, _, height, width = features.shape
    tokens = [
        features[:, view, :, y, x]
        for view in range(views)
        for y in range(height)
        for x in range(width)
    ]
    return torch.stack(tokens, dim=1)


def filled(head: Any) -> Any:
    """The head in evaluation mode, with no weight zero or one."""
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in head.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return head.eval().requires_grad_(False)


def packed(attention: Attention, name: str) -> dict[str, Tensor]:
    """An attention's weights as torch's own module names and packs them."""
    parts = [attention.query, attention.key, attention.value]
    return {
        f"{name}.in_proj_weight": torch.cat([part.weight for part in parts]),
        f"{name}.in_proj_bias": torch.cat([part.bias for part in parts]),
        **named(attention.out, f"{name}.out_proj"),
    }


def named(part: nn.Module, name: str) -> dict[str, Tensor]:
    """Weight and bias of a part under another name."""
    return {f"{name}.weight": part.weight, f"{name}.bias": part.bias}


def published_ml_decoder(head: MLDecoder) -> plain.Weights:
    """The head's weights under the names that its authors gave them."""
    prefix, layer = "head.decoder.", "head.decoder.layers.0."
    return {
        **named(head.embed, f"{prefix}embed_standart"),
        f"{prefix}query_embed.weight": head.queries.tokens,
        **packed(head.read.labels_read_image, f"{layer}multihead_attn"),
        **named(head.read.self_residual.norm, f"{layer}norm1"),
        **named(head.read.read_residual.norm, f"{layer}norm2"),
        **named(head.read.mlp_residual.norm, f"{layer}norm3"),
        **named(head.read.mlp[0], f"{layer}linear1"),
        **named(head.read.mlp[3], f"{layer}linear2"),
        f"{prefix}duplicate_pooling": head.weight,
        f"{prefix}duplicate_pooling_bias": head.bias,
    }


def published_query2label(head: Query2Label) -> plain.Weights:
    """The head's weights under the names that its authors gave them."""
    weights = {
        "query_embed.weight": head.queries.tokens,
        "fc.W": head.weight[None],
        "fc.b": head.bias[None],
        **named(head.norm, "transformer.decoder.norm"),
    }
    if isinstance(head.project, nn.Linear):
        weights["input_proj.weight"] = head.project.weight[:, :, None, None]
        weights["input_proj.bias"] = head.project.bias
    for stack, layers in (("encoder", head.encoder), ("decoder", head.decoder)):
        for number, part in enumerate(layers):
            layer = f"transformer.{stack}.layers.{number}."
            attention, first, second = (
                ("self_attn", "norm1", "norm2")
                if stack == "encoder"
                else ("multihead_attn", "norm2", "norm3")
            )
            weights |= {
                **packed(part.read.labels_read_image, f"{layer}{attention}"),
                **named(part.read.read_residual.norm, f"{layer}{first}"),
                **named(part.read.mlp_residual.norm, f"{layer}{second}"),
                **named(part.read.mlp[0], f"{layer}linear1"),
                **named(part.read.mlp[3], f"{layer}linear2"),
            }
            if getattr(part, "self_attention", None) is not None:
                weights |= packed(part.self_attention, f"{layer}self_attn")
                weights |= named(part.self_norm, f"{layer}norm1")
    return weights


# Each head against its formula.


def test_gap_is_a_linear_layer_on_the_mean_of_all_tokens():
    head, features = filled(GlobalPooling(5, CHANNELS)), maps()
    expected = row(features).mean(1) @ head.weight.T + head.bias
    torch.testing.assert_close(head(features), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("heads", "temperatures"), [(1, [1]), (2, [1, None]), (4, [1, 2, 4, None])]
)
def test_csra_is_equations_1_to_5_of_its_paper(heads, temperatures):
    """None is the paper's infinite temperature, which picks the highest score."""
    head, features = filled(CSRA(5, CHANNELS, heads=heads, weight=0.3)), maps()
    tokens = row(features)
    expected = torch.zeros(2, 5)
    for image in range(2):
        for label in range(5):
            for classifier, temperature in zip(head.classifiers, temperatures, strict=True):
                m = classifier.weight[label]
                scores = tokens[image] @ m
                if temperature is None:
                    shares = nn.functional.one_hot(scores.argmax(), len(scores)).float()
                else:
                    powers = (temperature * scores).exp()
                    shares = powers / powers.sum()
                attended = (shares[:, None] * tokens[image]).sum(0)  # a
                feature = tokens[image].mean(0) + 0.3 * attended  # f = g + lambda a
                expected[image, label] += m @ feature
    torch.testing.assert_close(head(features), expected, atol=1e-4, rtol=1e-4)


def test_csra_starts_with_the_paper_s_one_head_and_lambda():
    head = CSRA(5, CHANNELS)
    assert (len(head.classifiers), head.temperatures, head.weight) == (1, (1.0,), 0.1)


@pytest.mark.parametrize("weight", [0.1, 0.4])
def test_what_the_attended_mean_counts_is_a_setting(weight):
    settings = tiny_settings(attended=weight)
    assert build_model(replace(settings, head="csra"), 5).head.weight == weight
    assert build_model(settings, 5).pooling.whole.attended == weight
    assert build_model(tiny_settings(), 5).pooling.whole.attended == 0.1


@pytest.mark.parametrize("vectors", [None, 7])
def test_ml_gcn_is_two_graph_convolutions_and_max_pooling(vectors):
    torch.manual_seed(0)
    given = None if vectors is None else torch.randn(6, vectors)
    prior = torch.rand(6, 6)
    head, features = filled(MLGCN(prior, CHANNELS, vectors=given, hidden=20)), maps()
    embedded = head.vectors if given is None else given
    assert embedded.shape == (6, vectors or 300)
    graph = reweighted(prior)
    hidden = graph @ embedded @ head.first_hop.weight.T
    hidden = torch.where(hidden > 0, hidden, 0.2 * hidden)
    classifiers = graph @ hidden @ head.second_hop.weight.T
    expected = row(features).max(dim=1).values @ classifiers.T
    torch.testing.assert_close(head(features), expected, atol=1e-4, rtol=1e-4)


def test_ml_gcn_learns_vectors_only_where_none_are_given():
    prior = torch.rand(3, 3)
    assert "vectors" in dict(MLGCN(prior, CHANNELS).named_parameters())
    given = MLGCN(prior, CHANNELS, vectors=torch.randn(3, 4))
    assert "vectors" not in dict(given.named_parameters())
    assert "vectors" in given.state_dict()


def test_ml_gcn_starts_where_the_sigmoid_is_not_flat():
    torch.manual_seed(0)
    head = MLGCN(torch.rand(20, 20), 1280)  # as many channels as MobileNetV2 has
    features = torch.randn(8, 1, 1280, 7, 7).relu()  # whose largest of 49 are about 2
    logits = head(features)
    assert 1 < logits.std() < 10
    assert abs(head.vectors.std() - MLGCN.VECTOR_STD) < 0.02
    assert head.second_hop.weight.abs().max() <= 1280**-0.5


def test_ml_gcn_s_adjacency_by_hand():
    prior = torch.tensor([[1.0, 0.5, 0.4], [0.3, 1.0, 0.39], [0.9, 0.1, 1.0]])
    # From 0.4 on an edge; the edges of a row share 0.2, 0.8 stays with the label (equations 7, 8):
    #   [[0.8, 0.1, 0.1], [0, 0.8, 0], [0.2, 0, 0.8]], with row sums 1, 0.8 and 1.
    root = 0.8**-0.5
    expected = torch.tensor([[0.8, 0.1 * root, 0.1], [0.0, 1.0, 0.0], [0.2, 0.0, 0.8]])
    torch.testing.assert_close(reweighted(prior), expected)


@torch.inference_mode()
@pytest.mark.parametrize(("labels", "groups"), [(7, 100), (7, 7), (10, 4), (9, 2), (5, 1)])
def test_ml_decoder_full_and_grouped_is_its_formula(labels, groups):
    head = MLDecoder(labels, CHANNELS, groups=groups, width=24, mlp_width=20)
    head, features = filled(head), maps()
    assert head.weight.shape == (min(groups, labels), 24, -(-labels // min(groups, labels)))
    expected = plain.ml_decoder(published_ml_decoder(head), row(features))
    torch.testing.assert_close(head(features), expected, atol=1e-4, rtol=1e-4)


def test_ml_decoder_s_queries_are_fixed():
    head = MLDecoder(4, CHANNELS)
    assert "queries.tokens" in head.state_dict()
    assert "queries.tokens" not in dict(head.named_parameters())
    assert head.queries.tokens.std() == pytest.approx(1, abs=0.1)


@torch.inference_mode()
@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"width": 24, "mlp_width": 20},
        {"encoder_depth": 2, "decoder_depth": 3, "self_attention": (1,)},
        {"encoder_depth": 0, "decoder_depth": 1},
    ],
)
def test_query2label_is_its_formula(sizes):
    head, features = filled(Query2Label(6, CHANNELS, **sizes)), maps(views=1, height=3, width=4)
    expected = plain.query2label(
        published_query2label(head),
        features[:, 0],
        encoder=sizes.get("encoder_depth", 1),
        decoder=sizes.get("decoder_depth", 2),
    )
    torch.testing.assert_close(head(features), expected, atol=1e-4, rtol=1e-4)


def test_query2label_s_sizes_are_those_of_its_paper():
    head = Query2Label(6, CHANNELS)
    assert (len(head.encoder), len(head.decoder)) == (1, 2)
    assert head.queries.tokens.shape == (6, CHANNELS)
    assert head.decoder[0].read.labels_read_image.heads == 4
    assert not any("self_attention" in name for name, _ in head.named_parameters())


def test_every_place_has_its_own_sine_code():
    codes = sine_code(3, 4, 18)
    assert codes.shape == (12, 18)
    assert (torch.cdist(codes, codes) + 10 * torch.eye(12)).min() > 0.05
    assert codes[:, 2 * 9 :].abs().sum() == 0
    assert sine_code(2, 2, 7).shape == (4, 7)  # an odd width


# What holds for every head.


def small_head(name: str, labels: int = 5) -> nn.Module:
    torch.manual_seed(0)
    kinds: dict[str, Callable[..., nn.Module]] = {
        "gap": GlobalPooling,
        "csra": CSRA,
        "query2label": Query2Label,
        "ml_decoder": MLDecoder,
    }
    if name == "ml_gcn":
        return filled(MLGCN(torch.rand(labels, labels), CHANNELS, **SMALL[name]))
    return filled(kinds[name](labels, CHANNELS, **SMALL[name]))


@torch.inference_mode()
@pytest.mark.parametrize("name", HEADS)
def test_views_have_no_order(name):
    head, features = small_head(name), maps()
    shuffled = features[:, torch.tensor([3, 1, 4, 0, 2])]
    torch.testing.assert_close(head(shuffled), head(features), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(head(features[:, :4]), head(features), atol=1e-3)


@torch.inference_mode()
@pytest.mark.parametrize("name", HEADS)
def test_a_view_that_is_shown_twice_changes_nothing(name):
    """Means, shares of attention and maxima of tokens that all stand twice are the same."""
    head, features = small_head(name), maps(views=1)
    twice = torch.cat([features, features], dim=1)
    torch.testing.assert_close(head(twice), head(features), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("labels", [1, 2, 13, 130])
@pytest.mark.parametrize("name", HEADS)
def test_any_number_of_labels_gets_a_logit_each(name, labels):
    logits = small_head(name, labels)(maps())
    assert logits.shape == (2, labels)
    assert logits.isfinite().all()
    assert len(logits[0].unique()) == labels


# As parts of whole models.


def rival(
    head: str, labels: int = 5, *, small: bool = True, vectors: Tensor | None = None, **changes
) -> Classifier:
    """A model with a rival head and a backbone in which nothing is trivially zero."""
    torch.manual_seed(0)
    settings = config.Model(
        **{
            "head": head,
            "backbone": "test_resnet",
            "pretrained": False,
            "view_size": 64,
            "crop_level": 0,
            **changes,
        }
    )
    model = build_model(
        settings,
        labels,
        prior=torch.rand(labels, labels),
        vectors=vectors,
        head_options=SMALL[head] if small else None,
    )
    for weight in model.backbone.features.parameters():
        if not weight.any():
            nn.init.normal_(weight, mean=0.5, std=0.1)
    return model.eval()


def images(count: int = 3, side: int = 64) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", HEADS)
def test_every_weight_gets_a_gradient(name):
    model = rival(name, small=False).train()
    nn.functional.binary_cross_entropy_with_logits(
        model(images()), torch.rand(3, 5).round()
    ).backward()
    # A key's bias shifts all scores of a query alike; the softmax cancels that: gradient 0.
    still = [
        name
        for name, weight in model.named_parameters()
        if not name.endswith("key.bias") and (weight.grad is None or not weight.grad.any())
    ]
    assert still == []


@torch.inference_mode()
@pytest.mark.parametrize("level", [0, 2])
@pytest.mark.parametrize("name", HEADS)
def test_logits_do_not_depend_on_the_batch(name, level):
    model, batch = rival(name, crop_level=level), images(4)
    together = model(batch)
    alone = torch.cat([model(image[None]) for image in batch])
    assert together.shape == (4, 5)
    assert together.std() > 1e-3
    assert (together - together.mean(dim=0)).abs().max() > 1e-4
    torch.testing.assert_close(alone, together, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(model(batch.flip(0)).flip(0), together, atol=2e-5, rtol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("level", [0, 2])
def test_a_head_reads_the_features_of_every_view(level):
    model = rival("gap", crop_level=level, view_size=32, released=config.Released(antialias=False))
    batch = images(2)
    views = [nn.functional.interpolate(batch, (32, 32), mode="bilinear")]
    if level:
        views += [batch[:, :, y : y + 32, x : x + 32] for y in (0, 32) for x in (0, 32)]
    features = torch.stack([model.backbone.features.forward_features(view) for view in views])
    mean = features.mean(dim=(0, 3, 4))  # V B C h w
    expected = mean @ model.head.weight.T + model.head.bias
    torch.testing.assert_close(model(batch), expected, atol=1e-5, rtol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit"])
@pytest.mark.parametrize("name", HEADS)
def test_every_head_stands_on_a_cnn_and_a_vit_with_its_paper_s_sizes(name, backbone):
    model = rival(name, small=False, backbone=backbone, crop_level=2)
    logits = model(images(2))
    assert logits.shape == (2, 5)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()


def test_queries_are_not_decayed():
    model = rival("query2label")
    groups = parameter_groups(model, 1e-3, backbone_lr_factor=0.1, weight_decay=0.05)
    decayed = {id(w) for group in groups if group["weight_decay"] for w in group["params"]}
    assert id(model.head.queries.tokens) not in decayed
    assert id(model.head.weight) in decayed
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


@torch.inference_mode()
@pytest.mark.parametrize(
    ("name", "options", "vectors"),
    [
        ("gap", {}, False),
        ("csra", {"heads": 4, "weight": 0.4}, False),
        ("ml_gcn", {"hidden": 20}, False),
        ("ml_gcn", {}, True),
        ("query2label", {"width": 24, "mlp_width": 20, "self_attention": (0,)}, False),
        ("query2label", {}, False),
        ("ml_decoder", {"width": 24, "mlp_width": 20, "groups": 2}, False),
        ("ml_decoder", {}, False),
    ],
)
def test_a_saved_and_loaded_model_gives_equal_logits(tmp_path, name, options, vectors):
    torch.manual_seed(0)
    settings = config.Model(
        head=name,
        backbone="test_resnet",
        pretrained=False,
        view_size=64,
        crop_level=0,
        label_vectors="vectors.txt" if vectors else "",
    )
    spec = describe_backbone("test_resnet", 64)
    given = torch.randn(3, 6) if vectors else None
    model = build_model(
        settings, 3, spec=spec, prior=torch.rand(3, 3), vectors=given, head_options=options
    ).eval()
    info = ModelInfo(("cat", "dog", "elk"), settings, spec, (0.5,) * 3, head_options=options)
    ModelFolder(tmp_path / "model").save(model, info)
    loaded, batch = load_model(tmp_path / "model"), images()
    torch.testing.assert_close(loaded(batch), model(batch), atol=1e-5, rtol=1e-5)
    assert loaded.state_dict().keys() == model.state_dict().keys()
    if given is not None:
        assert loaded.head.vectors.equal(given)
