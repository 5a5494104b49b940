"""The models of the speed tables, with random weights, and noise instead of pictures."""

from dataclasses import replace
from typing import get_args

import torch
from torch import Tensor

from benchmarks.timing import DEVICE
from lcnet.config import Model
from lcnet.model.build import build_model
from lcnet.model.classifier import Classifier
from lcnet.published.settings import released_model

LABELS = 80
PUBLISHED = released_model(
    backbone="TResnetL_V2",
    pretrained=False,
    crop_level=2,
    view_size=448,
    width=680,
    depth=6,
    mlp_width=680,
    share_layers=True,
    graph_width=1024,
)
"""The released model as it was trained on COCO."""
DEFAULT = Model(backbone="TResnetL_V2", pretrained=False, crop_level=2, view_size=448)
"""This project's default with the same backbone and sizes."""
BACKBONES = ("resnet50", "resnet101", "vit_small_patch16_224", "swin_tiny_patch4_window7_224")
HEADS: tuple[str, ...] = get_args(Model.__annotations__["head"])


def fresh(settings: Model) -> Classifier:
    """A model with random weights and a random prior, to train."""
    torch.manual_seed(0)
    prior = torch.rand(LABELS, LABELS).fill_diagonal_(1)
    return build_model(settings, LABELS, prior=prior)


def build(settings: Model) -> Classifier:
    """The same, but ready to label pictures."""
    return fresh(settings).eval().requires_grad_(False).to(DEVICE)


def images_for(settings: Model, batch: int) -> Tensor:
    """Noise instead of normalised pictures."""
    size = settings.image_size
    return torch.randn(batch, 3, size, size, device=DEVICE)


def usual(view_size: int) -> Model:
    """The default LCNet on ResNet-50."""
    return Model(backbone="resnet50", pretrained=False, view_size=view_size)


def family(what: str, view_size: int) -> dict[str, Model]:
    """The usual model by crop level, by backbone or by head: the rows of a table."""
    model = usual(view_size)
    match what:
        case "levels":
            return {f"crop level {level}": replace(model, crop_level=level) for level in range(4)}
        case "backbones":
            return {name: replace(model, backbone=name) for name in BACKBONES}
        case _:
            return {name: replace(model, head=name) for name in HEADS}
