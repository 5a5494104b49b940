"""CvT by the names of its authors, behind the names of a timm model."""

import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lcnet.errors import CheckpointError, ConfigError
from lcnet.model.backbone import Backbone, describe_backbone
from lcnet.model.cvt import HUB_NAME, CvtFeatures, QuickGELU, build_cvt, checkpoint_filter_fn
from lcnet.published.backbone_weights import load_backbone_weights

DEPTHS = (1, 2, 3)
WIDTHS = (8, 16, 24)


def classifier() -> Any:
    """A tiny CvT as transformers has it."""
    transformers = pytest.importorskip("transformers", reason="CvT needs the extra lcnet[cvt]")
    torch.manual_seed(0)
    settings = transformers.CvtConfig(embed_dim=list(WIDTHS), num_heads=[1, 2, 3], depth=DEPTHS)
    return transformers.CvtForImageClassification(settings)


@pytest.fixture
def features() -> CvtFeatures:
    return CvtFeatures(classifier()).eval()


def authors_names() -> dict[str, str]:
    """Every weight that the authors' own CvT of these sizes has, and what it is here."""
    sides, letters = ("weight", "bias"), {"q": "query", "k": "key", "v": "value"}
    statistics = (*sides, "running_mean", "running_var", "num_batches_tracked")
    names = {"stage2.cls_token": "cvt.encoder.stages.2.cls_token"}
    parts = {"norm": "norm"}
    for stage, depth in enumerate(DEPTHS):
        place = f"cvt.encoder.stages.{stage}"
        embedding = f"{place}.embedding.convolution_embeddings"
        parts[f"stage{stage}.patch_embed.proj"] = f"{embedding}.projection"
        parts[f"stage{stage}.patch_embed.norm"] = f"{embedding}.normalization"
        for number in range(depth):
            theirs, ours = f"stage{stage}.blocks.{number}", f"{place}.layers.{number}"
            parts[f"{theirs}.norm1"] = f"{ours}.layernorm_before"
            parts[f"{theirs}.norm2"] = f"{ours}.layernorm_after"
            parts[f"{theirs}.attn.proj"] = f"{ours}.attention.output.dense"
            parts[f"{theirs}.mlp.fc1"] = f"{ours}.intermediate.dense"
            parts[f"{theirs}.mlp.fc2"] = f"{ours}.output.dense"
            attention = f"{ours}.attention.attention"
            for letter, word in letters.items():
                parts[f"{theirs}.attn.proj_{letter}"] = f"{attention}.projection_{word}"
                projection = f"{attention}.convolution_projection_{word}.convolution_projection"
                convolution = f"{theirs}.attn.conv_proj_{letter}"
                names[f"{convolution}.conv.weight"] = f"{projection}.convolution.weight"
                for side in statistics:
                    names[f"{convolution}.bn.{side}"] = f"{projection}.normalization.{side}"
    for theirs, ours in parts.items():
        names |= {f"{theirs}.{side}": f"{ours}.{side}" for side in sides}
    return names


def authors_weights(features: CvtFeatures) -> dict[str, Tensor]:
    """Random weights under the authors' names, with their classifier."""
    ours, generator = features.state_dict(), torch.Generator().manual_seed(1)
    weights = {
        theirs: torch.rand(ours[name].shape, generator=generator).to(ours[name].dtype)
        for theirs, name in authors_names().items()
    }
    return {**weights, "head.weight": torch.ones(5, WIDTHS[-1]), "head.bias": torch.ones(5)}


def test_every_weight_of_the_authors_has_its_place(features):
    weights = authors_weights(features)
    assert set(authors_names().values()) == set(features.state_dict())
    converted = checkpoint_filter_fn(weights, features)
    assert converted.keys() == features.state_dict().keys()
    for theirs, ours in authors_names().items():
        assert converted[ours] is weights[theirs]


def test_a_file_of_the_authors_is_loaded_without_its_classifier(features, tmp_path):
    weights = authors_weights(features)
    torch.save(weights, tmp_path / "cvt.pth")
    load_backbone_weights(features, tmp_path / "cvt.pth")
    loaded = features.state_dict()
    assert all(loaded[ours].equal(weights[theirs]) for theirs, ours in authors_names().items())
    del weights["stage1.blocks.1.attn.proj_k.weight"]
    torch.save(weights, tmp_path / "lacking.pth")
    with pytest.raises(CheckpointError, match=r"stages\.1\.layers\.1.*projection_key") as error:
        load_backbone_weights(features, tmp_path / "lacking.pth")
    assert "\n" not in str(error.value)


@torch.inference_mode()
@pytest.mark.parametrize("side", [64, 96])
def test_a_cvt_gives_maps_of_a_sixteenth_of_the_side(features, side):
    maps = Backbone(features)(torch.randn(2, 3, side, side))
    assert maps.shape == (2, 24, side // 16, side // 16)


@torch.inference_mode()
def test_maps_are_those_of_the_last_stage_after_the_norm(features):
    nn.init.normal_(features.norm.weight)
    views = torch.randn(2, 3, 64, 64)
    last = features.cvt(views).last_hidden_state  # without the class token: N C h w
    got = features.forward_features(views)
    for place in ((0, 0), (1, 3), (3, 2)):
        token = last[0, :, place[0], place[1]]
        normal = (token - token.mean()) / (token.var(unbiased=False) + features.norm.eps).sqrt()
        expected = normal * features.norm.weight + features.norm.bias
        torch.testing.assert_close(got[0, place[0], place[1]], expected, atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_the_last_stage_is_told_the_class_by_a_token_that_the_map_leaves_out(features):
    views = torch.randn(1, 3, 64, 64)
    before = features.forward_features(views)
    assert before.shape == (1, 4, 4, 24)
    features.cvt.encoder.stages[2].cls_token.normal_()
    assert not torch.allclose(features.forward_features(views), before)


@torch.inference_mode()
def test_all_layers_use_the_gelu_that_the_weights_were_trained_with(features):
    values = torch.linspace(-4, 4, 9)
    expected = values / (1 + (-1.702 * values).exp())
    torch.testing.assert_close(QuickGELU()(values), expected)
    layers = [layer for stage in features.cvt.encoder.stages for layer in stage.layers]
    assert len(layers) == sum(DEPTHS)
    for layer in layers:
        tokens = torch.randn(1, 5, layer.intermediate.dense.in_features)
        hidden = 3 * layer.intermediate.dense(tokens)
        with torch.no_grad():
            layer.intermediate.dense.weight.mul_(3)
            layer.intermediate.dense.bias.mul_(3)
        expected = hidden / (1 + (-1.702 * hidden).exp())
        torch.testing.assert_close(layer.intermediate(tokens), expected)


def test_the_release_s_cvt_has_the_paper_s_size():
    pytest.importorskip("transformers", reason="CvT needs the extra lcnet[cvt]")
    with torch.device("meta"):
        features = build_cvt(pretrained=False)
    assert sum(weight.numel() for weight in features.parameters()) == pytest.approx(277e6, rel=5e-3)
    assert features.num_features == 1024


def test_pretrained_weights_come_from_the_hub(monkeypatch):
    found = classifier()
    asked = []
    monkeypatch.setattr(
        type(found), "from_pretrained", classmethod(lambda _, name: asked.append(name) or found)
    )
    assert build_cvt(pretrained=True).cvt is found.cvt
    assert asked == [HUB_NAME]


def test_without_transformers_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ConfigError, match=r"lcnet\[cvt\]") as error:
        build_cvt(pretrained=False)
    assert "\n" not in str(error.value)
    assert describe_backbone("CvT_w24", 384).architecture == "cvt_w24"
