"""A picture to look at, and a heat map to lay over it."""

import io
from dataclasses import replace
from pathlib import Path
from threading import Lock

from PIL import Image

from lcnet.data.decoding import as_shown, read_pixels
from lcnet.data.transforms import eval_transform
from lcnet.predicting.prediction import Prediction
from lcnet.predicting.predictor import Predictor
from lcnet.serving.heat_png import heat_png

LARGEST = 1600
"""Longest side of a picture that is shown, in pixels."""
LARGEST_HEAT = 800
_explaining = Lock()


def jpeg_of(path: Path, predictor: Predictor) -> bytes:
    """The picture, upright and at most `LARGEST` px, as a JPEG. Raises DataError."""
    form = eval_transform(predictor.info.preprocessing).form
    shown = as_shown(read_pixels(path, size=LARGEST, form=form)).convert("RGB")
    shown.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    stored = io.BytesIO()
    shown.save(stored, "JPEG", quality=90)
    return stored.getvalue()


def heat_of(path: Path, label: str, prediction: Prediction, predictor: Predictor) -> bytes:
    """Where the picture speaks for the label: a PNG of the picture's shape, clear where nowhere.

    Raises DataError, and ConfigError if the model cannot explain.
    """
    transform = eval_transform(predictor.info.preprocessing)
    pixels = read_pixels(path, size=transform.decode_size, form=transform.form)
    alone = replace(prediction, labels=(label,))
    with _explaining:  # it is the most work, and loads the model once more at first
        [explained] = predictor.explain_predicted(pixels, alone, 1).labels
    return heat_png(explained, as_shown(pixels).size, largest=LARGEST_HEAT)
