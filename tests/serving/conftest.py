import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lcnet.checkpoint import ModelInfo, save_model
from lcnet.config import Model
from lcnet.model.backbone import describe_backbone
from lcnet.model.build import build_model

LABELS = ("red", "green", "blue <b>", "none")


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> Path:
    """A model of random weights that finds two labels in every picture."""
    folder = tmp_path_factory.mktemp("served") / "model"
    settings = Model(
        backbone="test_resnet",
        pretrained=False,
        crop_level=1,
        view_size=32,
        width=24,
        mlp_width=32,
    )
    spec = describe_backbone(settings.backbone, settings.view_size)
    model = build_model(settings, len(LABELS), spec=spec)
    save_model(folder, model, ModelInfo(LABELS, settings, spec, (0.01, 0.01, 0.99, 0.99)))
    return folder


def picture_bytes(seed: int = 0, size: tuple[int, int] = (40, 30), kind: str = "PNG") -> bytes:
    """A picture's file with random pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    stored = io.BytesIO()
    Image.fromarray(pixels).save(stored, kind)
    return stored.getvalue()
