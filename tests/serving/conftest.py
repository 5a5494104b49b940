import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.tiny import save_tiny_model

LABELS = ("red", "green", "blue <b>", "none")


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> Path:
    """A model of random weights that finds two labels in every picture."""
    folder = tmp_path_factory.mktemp("served") / "model"
    return save_tiny_model(folder, LABELS, (0.01, 0.01, 0.99, 0.99))


def picture_bytes(seed: int = 0, size: tuple[int, int] = (40, 30), kind: str = "PNG") -> bytes:
    """A picture's file with random pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    stored = io.BytesIO()
    Image.fromarray(pixels).save(stored, kind)
    return stored.getvalue()
