"""Checkpoints of ML-Decoder, ASL and Query2Label against their formulas."""

import pytest
import timm
import torch
from tests.published import layouts, plain

from lcnet.errors import CheckpointError, ConfigError
from lcnet.model_folder import load_model, read_info
from lcnet.published.choices import ImportChoices
from lcnet.published.importing import import_checkpoint, read_model

IMAGES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def features_of(weights, prefix: str, *, second: bool, planes: int) -> torch.Tensor:
    """The published backbone's features, with timm's network and its batch norms by hand."""
    name = "tresnet_v2_l" if second else "tresnet_l"
    features = timm.create_model(name, num_classes=0, layers=[1, 1, 1, 1], width_factor=planes / 64)
    own = {
        key[len(prefix) :]: value
        for key, value in weights.items()
        if key.startswith(f"{prefix}body.")
    }
    converted = timm.models.tresnet.checkpoint_filter_fn(own, features)
    features.load_state_dict(converted)
    return features.eval().forward_features(IMAGES)


def read(tmp_path, weights, **others):
    torch.save({"model": weights, **others}, tmp_path / "checkpoint.pth")
    return read_model(tmp_path / "checkpoint.pth", ImportChoices(view_size=64))


@torch.inference_mode()
@pytest.mark.parametrize(("labels", "groups"), [(7, 7), (10, 4), (9, 2)])
def test_ml_decoder_full_and_grouped(tmp_path, labels, groups):
    weights = layouts.by_rule(layouts.ml_decoder(labels, groups=groups))
    made = read(tmp_path, weights)
    maps = features_of(weights, "", second=True, planes=8)
    expected = plain.ml_decoder(weights, maps.flatten(2).transpose(1, 2))
    torch.testing.assert_close(made.model(IMAGES), expected, atol=1e-4, rtol=0)
    assert made.info.head_options["groups"] == groups
    assert made.info.thresholds[0] == 0.8


@torch.inference_mode()
def test_asl(tmp_path):
    weights = layouts.by_rule(layouts.asl(5))
    names = {0: "ant", 1: "bee", 2: "cat", 3: "dog", 4: "elk"}
    made = read(tmp_path, weights, num_classes=5, idx_to_class=names)
    maps = features_of(weights, "", second=False, planes=8)
    expected = plain.linear(weights, "head.fc", maps.mean((2, 3)))
    torch.testing.assert_close(made.model(IMAGES), expected, atol=1e-4, rtol=0)
    assert made.info.labels == ("ant", "bee", "cat", "dog", "elk")
    assert made.info.backbone.mean == (0, 0, 0)
    assert made.info.model.crop_level == 0


@torch.inference_mode()
@pytest.mark.parametrize(
    ("projected", "encoder", "decoder", "kept"),
    [(0, 1, 2, ()), (32, 1, 2, (1,)), (48, 0, 1, (0,)), (0, 2, 3, ())],
)
def test_query2label(tmp_path, projected, encoder, decoder, kept):
    layout = layouts.query2label(
        6, projected=projected, encoder=encoder, decoder=decoder, kept=kept
    )
    weights = layouts.by_rule(layout)
    made = read(tmp_path, weights)
    maps = features_of(weights, "backbone.0.body.", second=True, planes=8)
    expected = plain.query2label(weights, maps, encoder=encoder, decoder=decoder)
    torch.testing.assert_close(made.model(IMAGES), expected, atol=1e-4, rtol=0)
    assert any("constants" in line for line in made.report)


def test_their_leaky_slopes_are_timm_s(tmp_path):
    made = read(tmp_path, layouts.by_rule(layouts.ml_decoder(7, groups=7)))
    slopes = {
        part.negative_slope for part in made.model.modules() if isinstance(part, torch.nn.LeakyReLU)
    }
    assert slopes == {1e-2, 1e-3}


@torch.inference_mode()
@pytest.mark.parametrize(
    "layout",
    [
        layouts.ml_decoder(9, groups=2),
        layouts.asl(5),
        layouts.query2label(6, projected=32, kept=(1,)),
    ],
)
def test_an_imported_rival_is_a_model_folder_like_any_other(tmp_path, layout):
    torch.save(layouts.by_rule(layout), tmp_path / "bare.pth")
    made = import_checkpoint(tmp_path / "bare.pth", tmp_path / "model", ImportChoices(view_size=64))
    loaded = load_model(tmp_path / "model")(IMAGES)
    torch.testing.assert_close(loaded, made.model(IMAGES), atol=1e-5, rtol=0)
    assert read_info(tmp_path / "model").model.head == made.info.model.head != "lcnet"


@pytest.mark.slow  # builds a Swin twice; names of CNNs are tested above
@torch.inference_mode()
def test_a_swin_s_own_names_are_understood(tmp_path):
    """Query2Label on Microsoft's Swin: a stage ends with what opens the next in timm."""
    features = timm.create_model("swin_base_patch4_window7_224", num_classes=0).eval()
    weights = {
        name: value
        for name, value in layouts.by_rule(layouts.query2label(6, planes=32, mlp_width=16)).items()
        if not name.startswith("backbone.")
    }
    for name, value in features.state_dict().items():
        for stage in (1, 2, 3):
            name = name.replace(f"layers.{stage}.downsample", f"layers.{stage - 1}.downsample")
        weights[f"backbone.0.{name}"] = value
    torch.save({"state_dict": weights}, tmp_path / "swin.pth")
    made = read_model(tmp_path / "swin.pth", ImportChoices())
    images = torch.randn(1, 3, 224, 224)
    maps = features.forward_features(images).permute(0, 3, 1, 2)
    expected = plain.query2label(weights, maps, encoder=1, decoder=2)
    torch.testing.assert_close(made.model(images), expected, atol=1e-4, rtol=0)
    assert made.info.model.view_size == 224


def test_shapes_and_choices_that_do_not_fit_give_one_line(tmp_path):
    flat = layouts.by_rule(layouts.ml_decoder(7, groups=7))
    flat["head.decoder.duplicate_pooling"] = torch.ones(24, 1)  # as a zero-shot head has it
    torch.save(flat, tmp_path / "flat.pth")
    with pytest.raises(CheckpointError, match="shape that its layout does not have"):
        read_model(tmp_path / "flat.pth", ImportChoices())
    torch.save(layouts.by_rule(layouts.ml_decoder(7, groups=7)), tmp_path / "whole.pth")
    with pytest.raises(ConfigError, match="divisor of the width 24"):
        read_model(tmp_path / "whole.pth", ImportChoices(heads=5))
    with pytest.raises(ConfigError, match="no label graph"):
        read_model(tmp_path / "whole.pth", ImportChoices(correlation=tmp_path / "some.npy"))
    torch.save(layouts.by_rule(layouts.asl(5)), tmp_path / "asl.pth")
    with pytest.raises(ConfigError, match="no attention"):
        read_model(tmp_path / "asl.pth", ImportChoices(heads=4))
