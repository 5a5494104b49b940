"""What the page shows, as values for JSON with all pictures inside."""

from typing import Any

from PIL import Image

from lcnet.predicting.picture_explanation import LabelExplanation, PictureExplanation
from lcnet.reporting.html_page import data_uri, small_picture
from lcnet.serving.heat_png import heat_png
from lcnet.serving.service import Scored

SIDE_PX = 640
"""Longest side of a picture that is shown."""
HEAT_PX = 320
"""Longest side of a heat map, which is smooth and is stretched over the picture."""

Values = dict[str, Any]


def looked(scored: Scored, picture: Image.Image) -> Values:
    """A picture's prediction as `lcnet predict` writes it, the picture, and its logits.

    The logits are null where the model cannot predict from them.
    """
    logits = None if scored.logits is None else scored.logits.tolist()
    shown = small_picture(picture, SIDE_PX)
    return {**scored.prediction.to_dict(), "picture": shown, "logits": logits}


def heats(explained: PictureExplanation) -> Values:
    """A heat map of each label that is explained, with its peak and its box in percent."""
    return {
        "heats": [_heat(label, explained.size) for label in explained.labels],
        "left_out": explained.left_out,
    }


def _heat(label: LabelExplanation, size: tuple[int, int]) -> Values:
    width, height = size
    left, top, right, bottom = label.box
    return {
        "label": label.label,
        "heat": data_uri(heat_png(label, size, largest=HEAT_PX), "image/png"),
        "peak": [100 * label.peak[0] / width, 100 * label.peak[1] / height],
        "box": [
            100 * left / width,
            100 * top / height,
            100 * (right - left) / width,
            100 * (bottom - top) / height,
        ],
        "moved": [[name, round(change, 4)] for name, change in label.moved_by],
    }
