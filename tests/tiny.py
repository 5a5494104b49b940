"""The smallest model worth its name: a random test_resnet that sees two views of 32 px."""

from collections.abc import Sequence
from pathlib import Path

from lcnet.config import Model

TINY = Model(
    backbone="test_resnet",
    pretrained=False,
    crop_level=1,
    view_size=32,
    width=24,
    mlp_width=32,
)


def save_tiny_model(
    folder: Path, labels: Sequence[str], thresholds: Sequence[float], settings: Model = TINY
) -> Path:
    """The folder, with a tiny model of random weights in it."""
    from lcnet.model.backbone import describe_backbone
    from lcnet.model.build import build_model
    from lcnet.model_folder import ModelFolder, ModelInfo

    spec = describe_backbone(settings.backbone, settings.view_size, settings.channels)
    model = build_model(settings, len(labels), spec=spec)
    ModelFolder(folder).save(model, ModelInfo(tuple(labels), settings, spec, tuple(thresholds)))
    return folder
