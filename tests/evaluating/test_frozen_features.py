"""A frozen backbone's features of a split."""

from dataclasses import replace

import pytest
import torch

from lcnet.config import Released
from lcnet.data.dataset import ImageLabels
from lcnet.data.readers import load_split
from lcnet.data.transforms import Normalize, eval_transform
from lcnet.evaluating.frozen_features import frozen_features
from lcnet.model.backbone import describe_backbone
from lcnet.model.build import build_model
from lcnet.model_folder import ModelInfo


@pytest.fixture
def frozen(tiny_config, tmp_path):
    """A config that keeps features, its model, its info and its validation split."""
    torch.manual_seed(0)
    config = replace(
        tiny_config,
        model=replace(tiny_config.model, crop_level=2),
        train=replace(
            tiny_config.train,
            backbone_lr_factor=0.0,
            randaugment=0,
            cutout=0.0,
            cache_features=str(tmp_path / "features"),
        ),
    )
    split = load_split(config.data, "val.csv")
    spec = describe_backbone("test_resnet", 32)
    model = build_model(config.model, 3, spec=spec)
    for name, statistic in model.named_buffers():
        if name.endswith("running_mean"):
            statistic.normal_(std=0.1)
    return config, model, ModelInfo(split.labels, config.model, spec, (0.5,) * 3), split


@torch.inference_mode()
def test_features_are_the_maps_of_the_pictures_and_of_their_mirror_images(frozen):
    config, model, info, split = frozen
    found = frozen_features(config, model, info, split, mirrored=True)
    pictures = ImageLabels(split, eval_transform(info.preprocessing))
    images = Normalize(info.preprocessing)(torch.stack([image for image, _ in pictures]))
    assert len(found.versions) == 2
    versions = [torch.stack([*version]) for version in found.versions]
    for version, shown in zip(versions, (images, images.flip(-1)), strict=True):
        assert version.shape[:2] == (12, 5)
        torch.testing.assert_close(version.float(), model.maps(shown), atol=1e-4, rtol=2e-3)
    assert not versions[0].equal(versions[1])
    assert found.targets.equal(torch.from_numpy(split.targets))
    assert len(frozen_features(config, model, info, split).versions) == 1


def test_features_are_computed_once_whatever_the_batch_and_the_head(frozen, monkeypatch):
    config, model, info, split = frozen
    first = frozen_features(config, model, info, split, mirrored=True)
    other = build_model(replace(config.model, head="gap"), 3, spec=info.backbone)
    other.backbone.load_state_dict(model.backbone.state_dict())
    for part in (model, other):
        monkeypatch.setattr(part, "maps", None)
    config = replace(config, train=replace(config.train, batch_size=5, lr=1.0, seed=3))
    again = frozen_features(config, other, info, split, mirrored=True)
    for new, old in zip(again.versions, first.versions, strict=True):
        assert all(one.equal(other) for one, other in zip(new, old, strict=True))


def other_weights(config, model, info):
    with torch.no_grad():
        model.backbone.features.conv1[0].weight.mul_(1.5)
    return config, model, info


def other_statistics(config, model, info):
    model.backbone.features.bn1.running_mean.add_(1)
    return config, model, info


def other_views(config, model, info):
    model.crops.level = 1
    return config, model, info


def other_antialiasing(config, model, info):
    model.crops.antialias = False
    return (
        config,
        model,
        replace(info, model=replace(info.model, released=Released(antialias=False))),
    )


def other_normalisation(config, model, info):
    return config, model, replace(info, backbone=replace(info.backbone, mean=(0.0, 0.0, 0.0)))


def other_precision(config, model, info):
    return replace(config, train=replace(config.train, precision="bf16")), model, info


def other_strides(config, model, info):
    """The same weights as another network: maps of twice the side."""
    spec = replace(info.backbone, options={"output_stride": 16})
    dilated = build_model(config.model, 3, spec=spec)
    dilated.load_state_dict(model.state_dict())
    return config, dilated, replace(info, backbone=spec)


def other_slopes(config, model, info):
    """The published TResNet differs from timm's in nothing but the slopes of its leaky ReLUs."""
    return config, model, replace(info, backbone=replace(info.backbone, leaky_slope=0.5))


@pytest.mark.parametrize(
    "change",
    [
        other_weights,
        other_statistics,
        other_views,
        other_antialiasing,
        other_normalisation,
        other_precision,
        other_strides,
        other_slopes,
    ],
)
def test_whatever_changes_the_features_computes_them_anew(frozen, change, tmp_path):
    *known, split = frozen
    frozen_features(*known, split)
    assert len(list((tmp_path / "features").glob("*.safetensors"))) == 1
    frozen_features(*change(*known), split)
    assert len(list((tmp_path / "features").glob("*.safetensors"))) == 2
