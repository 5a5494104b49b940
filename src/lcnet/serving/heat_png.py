"""A heat map to lay over its picture."""

import io

import numpy as np
from PIL import Image

from lcnet.predicting.heat_pictures import heat_colours
from lcnet.predicting.picture_explanation import LabelExplanation


def heat_png(explained: LabelExplanation, size: tuple[int, int], *, largest: int) -> bytes:
    """Where a picture of `size` (width, height) speaks for a label: a PNG of its shape.

    It is clear where nothing speaks, and its longest side has `largest` pixels at most.
    """
    relative = explained.heat / explained.heat.max()
    coloured = (255 * heat_colours()(relative)).astype(np.uint8)
    scale = min(1.0, largest / max(size))
    shape = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    stored = io.BytesIO()
    Image.fromarray(coloured).resize(shape, Image.Resampling.BILINEAR).save(stored, "PNG")
    return stored.getvalue()
