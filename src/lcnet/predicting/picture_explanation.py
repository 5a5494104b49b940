"""Why a model gave a picture its labels: where it looked, and which labels moved which."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lcnet.config import Fit
from lcnet.data.fit import over_picture
from lcnet.model.classifier import Classifier
from lcnet.model.heat_maps import heat_maps

HOT = 0.5
"""Share of a map's largest value from which on a pixel is hot."""
MOVERS = 5
"""Labels named as having moved a score, at most."""
LEAST_CHANGE = 0.01
"""Smallest change of a score, in logits, for which a label is named."""

Heat = NDArray[np.float32]


@dataclass(frozen=True)
class LabelExplanation:
    """Why one label was given to a picture."""

    label: str
    probability: float
    """From 0 to 1."""
    threshold: float
    """Probability above which the label counts as present."""
    heat: Heat
    """Where the evidence lies, stretched over the whole picture: H W in pixels of the model's
    input, not negative, sums to 1."""
    peak: tuple[int, int]
    """Where the map is largest: pixels from the left and from the top of the picture."""
    box: tuple[int, int, int, int]
    """Left, top, right and bottom in pixels (right and bottom just outside) of the hot area: the
    connected pixels around the peak where the map is at least half as high."""
    moved_by: tuple[tuple[str, float], ...]
    """Other labels and what their graph node added to this label's logit, the strongest first, at
    most `MOVERS`; empty without a graph."""

    def to_dict(self) -> dict[str, Any]:
        """The fields for JSON, without the map."""
        moved = [{"label": name, "logit": round(change, 4)} for name, change in self.moved_by]
        return {
            "label": self.label,
            "probability": round(self.probability, 6),
            "threshold": round(self.threshold, 6),
            "peak": list(self.peak),
            "box": list(self.box),
            "moved_by": moved,
        }


@dataclass(frozen=True)
class PictureExplanation:
    """Why a picture got its labels."""

    image: str
    """The picture's path, or its position in the input if it came as a PIL image."""
    size: tuple[int, int]
    """Its width and height in pixels; 0 and 0 if it could not be read."""
    labels: tuple[LabelExplanation, ...] = ()
    """The labels above their thresholds, the most probable first, at most as many as asked for."""
    left_out: int = 0
    """How many more labels are above their thresholds."""
    has_graph: bool = False
    """Whether the model has a label graph, so that labels can move each other's scores."""
    error: str = ""
    """Why the picture could not be read; empty if it could."""


def explain_picture(
    model: Classifier,
    image: Tensor,
    size: tuple[int, int],
    *,
    names: Sequence[str],
    probabilities: Sequence[float],
    thresholds: Sequence[float],
    most: int,
    fit: Fit = "squash",
    decided: Collection[str] | None = None,
) -> tuple[tuple[LabelExplanation, ...], int]:
    """Explanations of a picture's `most` most probable labels, and how many labels are left out.

    Only labels above their thresholds count, or those that were `decided`. `image` (C H W) is the
    picture as the model takes it, `size` its original width and height in pixels, `fit` how it
    became square; names, probabilities and thresholds are those of all labels.
    """
    shown = [k for k, value in enumerate(probabilities) if value > thresholds[k]]
    if decided is not None:
        shown = [k for k, name in enumerate(names) if name in decided]
    shown.sort(key=lambda k: -probabilities[k])
    chosen, left_out = shown[:most], max(0, len(shown) - most)
    if not chosen:
        return (), left_out
    images = image[None]
    squares = heat_maps(model, images, chosen)[0].cpu().numpy()
    maps = [over_picture(square, fit, size) for square in squares]
    with torch.inference_mode():
        moved = model.moved(model.maps(images), chosen)
    explanations = [
        LabelExplanation(
            label=names[k],
            probability=probabilities[k],
            threshold=thresholds[k],
            heat=heat,
            peak=peak_of(heat, size),
            box=hot_box(heat, size),
            moved_by=()
            if moved is None
            else _movers(moved[0][0, row].tolist(), moved[1], k, names),
        )
        for row, (k, heat) in enumerate(zip(chosen, maps, strict=True))
    ]
    return tuple(explanations), left_out


def peak_of(heat: Heat, size: tuple[int, int]) -> tuple[int, int]:
    """Where a map (H W) is largest in its picture of `size` (width, height): x and y in pixels."""
    row, column = np.unravel_index(np.argmax(heat), heat.shape)
    x = (float(column) + 0.5) * size[0] / heat.shape[1]
    y = (float(row) + 0.5) * size[1] / heat.shape[0]
    return int(x), int(y)


def hot_box(heat: Heat, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The box around the hot area of a map (`LabelExplanation.box`)."""
    from scipy import ndimage

    areas, _ = ndimage.label(heat >= HOT * heat.max())
    rows, columns = np.nonzero(areas == areas[np.unravel_index(np.argmax(heat), heat.shape)])
    across, down = size[0] / heat.shape[1], size[1] / heat.shape[0]
    left, top = int(columns.min() * across), int(rows.min() * down)
    # Rounded up, so that the box covers the whole area.
    right, bottom = -int(-(columns.max() + 1) * across // 1), -int(-(rows.max() + 1) * down // 1)
    return left, top, right, bottom


def _movers(
    changes: Sequence[float], nodes: Sequence[int], own: int, names: Sequence[str]
) -> tuple[tuple[str, float], ...]:
    pairs = zip(nodes, changes, strict=True)
    others = [(n, change) for n, change in pairs if n != own and abs(change) >= LEAST_CHANGE]
    others.sort(key=lambda one: -abs(one[1]))
    return tuple((names[n], change) for n, change in others[:MOVERS])
