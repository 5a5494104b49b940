import copy
import json
from dataclasses import replace

import pytest
import timm
import torch

from lcnet.errors import ConfigError
from lcnet.model.backbone import (
    PUBLISHED_NAMES,
    Backbone,
    BackboneSpec,
    build_backbone,
    describe_backbone,
)


@pytest.fixture
def local_weights(tmp_path):
    """A folder in timm's local format, with its own mean, std and interpolation."""
    features = timm.create_model("test_resnet", pretrained=False)
    features.pretrained_cfg = {
        **features.pretrained_cfg,
        "mean": (0.1, 0.2, 0.3),
        "std": (0.4, 0.5, 0.6),
        "interpolation": "bilinear",
    }
    timm.models.save_for_hf(features, tmp_path / "local", safe_serialization=True)
    return tmp_path / "local", features


def test_a_local_folder_gives_its_weights_and_its_preprocessing(local_weights):
    folder, features = local_weights
    name = f"local-dir:{folder}"
    spec = describe_backbone(name, 64)
    assert (spec.mean, spec.std, spec.interpolation) == (
        (0.1, 0.2, 0.3),
        (0.4, 0.5, 0.6),
        "bilinear",
    )
    backbone = build_backbone(spec, pretrained_from=name)
    for key, weight in backbone.features.state_dict().items():
        assert weight.equal(features.state_dict()[key]), key


@pytest.mark.parametrize(
    ("name", "statistics", "mean", "std"),
    [
        ("test_resnet", "backbone", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("tresnet_l", "backbone", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        ("tresnet_l", "imagenet", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("resnet50", "unit", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    ],
)
def test_pixels_are_normalised_as_asked(name, statistics, mean, std):
    before = describe_backbone(name, 64)
    spec = before.normalised_by(statistics)
    assert spec == replace(before, mean=mean, std=std)


def test_build_options_of_a_local_folder_are_kept(local_weights):
    folder, _ = local_weights
    content = json.loads((folder / "config.json").read_text())
    content["model_args"] = {"output_stride": 8}
    (folder / "config.json").write_text(json.dumps(content))
    spec = describe_backbone(f"local-dir:{folder}", 64)
    assert build_backbone(spec)(torch.randn(1, 3, 64, 64)).shape[2:] == (8, 8)


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_vit", "test_vit2"])
def test_maps_are_the_backbone_s_features_in_their_places(name):
    spec = describe_backbone(name, 64)
    backbone = build_backbone(spec).eval()
    views = torch.randn(2, 3, 64, 64)
    maps = backbone(views)
    features = backbone.features.forward_features(views)
    if features.ndim == 3:
        features = features[:, backbone.features.num_prefix_tokens :].transpose(1, 2)
    assert maps.shape[1] == backbone.channels
    torch.testing.assert_close(maps.flatten(2), features.flatten(2), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_efficientnet"])
def test_earlier_stages_are_added_to_the_same_maps(name):
    spec = describe_backbone(name, 64)
    plain = build_backbone(spec).eval()
    with_earlier = build_backbone(spec, earlier_stages=True).eval()
    with_earlier.load_state_dict(plain.state_dict())
    views = torch.randn(2, 3, 64, 64)
    maps = with_earlier(views)
    assert maps.shape[1] == with_earlier.channels > plain.channels
    torch.testing.assert_close(maps[:, : plain.channels], plain(views))


@pytest.mark.parametrize("name", ["test_vit", "cvt_w24"])
def test_a_backbone_without_earlier_stages_is_refused_where_they_are_wanted(name):
    spec = describe_backbone(name, 64 if name == "test_vit" else 384)
    with pytest.raises(ConfigError, match="earlier_stages: expected false for this backbone"):
        build_backbone(spec, earlier_stages=True)


@pytest.mark.parametrize(
    ("name", "learning", "first"),
    [
        ("resnet18", 1, "layer4.0.conv1.weight"),
        ("resnet18", 2, "layer3.0.conv1.weight"),
        ("mobilenetv2_100", 1, "blocks.5.0.conv_pw.weight"),
        ("convnext_atto", 1, "stages.3.downsample.0.weight"),
        ("vit_tiny_patch16_224", 2, "blocks.10.norm1.weight"),
    ],
)
def test_only_the_last_stages_learn_and_the_norms_before_them_stay(name, learning, first):
    backbone = Backbone(timm.create_model(name, num_classes=0))
    backbone.freeze(learning=learning)
    learns = {name: weight.requires_grad for name, weight in backbone.features.named_parameters()}
    place = list(learns).index(first)
    assert not any([*learns.values()][:place])
    assert all([*learns.values()][place:])
    backbone.train()
    for part, module in backbone.features.named_modules():
        own = [f"{part}.{name}" for name, _ in module.named_parameters(recurse=False)]
        if own and part:
            assert module.training is learns[own[0]], part
    assert not any(module.training for module in backbone.eval().modules())


def test_norms_can_stay_where_weights_learn():
    backbone = Backbone(timm.create_model("mobilenetv2_100", num_classes=0))
    backbone.freeze(learning=1, keep_norms=True)
    backbone.train()
    norms = [part for part in backbone.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training for norm in norms)
    assert backbone.features.conv_head.training
    assert backbone.features.bn2.weight.requires_grad
    assert not backbone.features.bn1.weight.requires_grad


def test_all_stages_learn_again_or_none():
    backbone = Backbone(timm.create_model("test_resnet", num_classes=0))
    backbone.freeze(learning=0)
    assert not any(module.training for module in backbone.train().features.modules())
    assert not any(weight.requires_grad for weight in backbone.parameters())
    backbone.freeze(learning=None)
    assert all(module.training for module in backbone.train().modules())


@pytest.mark.parametrize("count", [5, 9])
def test_more_learning_stages_than_a_backbone_has_are_refused(count):
    backbone = Backbone(timm.create_model("resnet18", num_classes=0))
    with pytest.raises(
        ConfigError, match=f"backbone_stages: expected 0 to 4, as the backbone has 5, got {count}"
    ):
        backbone.freeze(learning=count)


def test_stages_are_wanted_of_a_network_that_names_none():
    class Plain(torch.nn.Module):
        num_features = 3

    with pytest.raises(
        ConfigError, match="backbone_stages: expected 0, as timm names no stages of it, got 1"
    ):
        Backbone(Plain()).freeze(learning=1)


def test_a_backbone_that_gives_channels_last_is_understood():
    class Swinlike(torch.nn.Module):
        num_features = 3
        output_fmt = "NHWC"

        def forward_features(self, views):
            return views.permute(0, 2, 3, 1)

    backbone = Backbone(Swinlike())
    views = torch.randn(1, 3, 5, 6)
    assert backbone(views).equal(views)


def test_a_vision_transformer_is_built_for_the_view_size():
    spec = describe_backbone("test_vit", 48)
    assert spec.options == {"img_size": 48}
    assert build_backbone(spec)(torch.randn(1, 3, 48, 48)).shape[2:] == (3, 3)


def test_a_spec_comes_back_from_json():
    spec = describe_backbone("test_vit", 48)
    assert BackboneSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_chunks_limit_how_many_views_pass_at_once():
    backbone = build_backbone(describe_backbone("test_resnet", 32), chunk=3).eval()
    sizes = []
    backbone.features.conv1.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    backbone(torch.randn(7, 3, 32, 32))
    assert sizes == [3, 3, 1]


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet"])
def test_chunks_are_computed_anew_in_training_with_equal_results(name):
    size = 160 if name == "test_vit" else 32
    backbone = build_backbone(describe_backbone(name, size)).train()
    views, found = torch.randn(4, 3, size, size), []
    for chunk in (0, 4):  # one chunk of all: batch norm sees the same
        each = copy.deepcopy(backbone)
        each.chunk = chunk
        torch.manual_seed(1)
        each(views).square().mean().backward()
        gradients = {name: weight.grad for name, weight in each.named_parameters()}
        found.append({**each.state_dict(), **gradients})
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


def test_chunks_keep_nothing_for_their_gradients_but_their_views():
    backbone = build_backbone(describe_backbone("test_resnet", 32), chunk=2).train()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.shape), lambda x: x):
        backbone(torch.randn(4, 3, 32, 32))
    assert len(kept) <= 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet5O", "Did you mean resnet50"),
        ("local-dir:/nowhere", "no /nowhere/config.json"),
        ("", "no timm model"),
        ("resnet50.nothing", "timm has no weights 'resnet50.nothing'. Known: .*resnet50.a1_in1k"),
    ],
)
def test_a_backbone_that_does_not_exist_is_named(name, message):
    with pytest.raises(ConfigError, match=message):
        describe_backbone(name, 64)


def test_a_local_folder_without_weights_or_sense_is_named(local_weights):
    folder, _ = local_weights
    name = f"local-dir:{folder}"
    spec = describe_backbone(name, 64)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match="no pretrained weights") as error:
        build_backbone(spec, pretrained_from=name)
    assert "\n" not in str(error.value)
    (folder / "config.json").write_text("[]")
    with pytest.raises(ConfigError, match="is not timm's format"):
        describe_backbone(name, 64)


@pytest.mark.parametrize(("published", "name"), PUBLISHED_NAMES.items())
def test_published_names_stand_for_models_that_exist(published, name):
    spec = describe_backbone(published, 224)
    assert spec.architecture == name
    if published != "CvT_w24":  # which timm lacks
        architecture, _, weights = name.partition(".")
        assert timm.is_model(architecture)
        assert timm.get_pretrained_cfg(name).tag == weights
        assert replace(spec, leaky_slope=None) == describe_backbone(name, 224)


def slopes(backbone: Backbone) -> set[float]:
    return {
        part.negative_slope for part in backbone.modules() if isinstance(part, torch.nn.LeakyReLU)
    }


def test_the_published_tresnet_has_the_release_s_slopes_and_timm_s_has_its_own():
    small = {"layers": [1, 1, 1, 1], "width_factor": 0.125}
    published = replace(describe_backbone("TResnetL_V2", 64), options=small)
    assert published.leaky_slope == 1e-6
    backbone = build_backbone(published).eval()
    assert slopes(backbone) == {1e-6}
    ours = replace(describe_backbone("tresnet_v2_l", 64), options=small)
    assert ours.leaky_slope is None
    other = build_backbone(ours).eval()
    assert slopes(other) == {1e-2, 1e-3}
    other.load_state_dict(backbone.state_dict())
    views = torch.randn(1, 3, 64, 64)
    assert not torch.allclose(backbone(views), other(views), atol=1e-5)
    again = BackboneSpec.from_dict(json.loads(json.dumps(published.to_dict())))
    assert slopes(build_backbone(again)) == {1e-6}


def test_published_names_find_timm_s_weights(monkeypatch):
    asked = []

    def create_model(name, **options):
        asked.append((name, options["pretrained"]))
        raise OSError("no network")

    spec = describe_backbone("swin_B_224_22k", 224)
    monkeypatch.setattr(timm, "create_model", create_model)
    with pytest.raises(ConfigError, match=r"--model\.backbone_weights FILE"):
        build_backbone(spec, pretrained_from="swin_B_224_22k")
    assert asked == [("swin_base_patch4_window7_224.ms_in22k", True)]
