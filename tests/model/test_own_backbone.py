"""A head on a backbone, or on feature maps, that timm knows nothing of."""

import pytest
import torch
from tests.model.conftest import tiny_settings
from tests.model.test_explanation import HEADS
from torch import nn

from lcnet.model.backbone import Backbone
from lcnet.model.build import build_model
from lcnet.model.fast import FastClassifier
from lcnet.model.heat_maps import heat_maps
from lcnet.training.parameter_groups import parameter_groups


def own_backbone() -> Backbone:
    network = nn.Sequential(nn.Conv2d(3, 12, 8, 8), nn.BatchNorm2d(12), nn.ReLU())
    return Backbone(network, channels=12)


@pytest.mark.parametrize("head", HEADS)
def test_any_network_that_gives_maps_is_a_backbone(head):
    model = build_model(tiny_settings(head=head), 5, backbone=own_backbone()).eval()
    images = torch.randn(2, 3, 64, 64)
    assert model.maps(images).shape == (2, model.crops.views, 12, 4, 4)
    torch.testing.assert_close(FastClassifier(model)(images), model(images), atol=1e-4, rtol=1e-4)
    attention = model.explain(images).attention[:, [1]]
    torch.testing.assert_close(heat_maps(model, images, [1]), attention, atol=1e-6, rtol=1e-4)
    groups = parameter_groups(model, 1.0, backbone_lr_factor=0.1, weight_decay=0.1)
    slow = {id(weight) for group in groups if group["lr"] == 0.1 for weight in group["params"]}
    assert slow == {id(weight) for weight in model.backbone.parameters()}


@pytest.mark.parametrize("head", HEADS)
def test_a_head_alone_learns_from_feature_maps(head):
    model = build_model(
        tiny_settings(head=head, crop_level=0), 5, backbone=Backbone(nn.Identity(), channels=12)
    )
    maps = torch.randn(2, 1, 12, 4, 4)  # B V C h w
    sum(logits.square().sum() for logits in model.ways(maps)).backward()
    assert all(weight.grad is not None for weight in model.parameters())
    assert model.eval().score(maps).shape == (2, 5)
