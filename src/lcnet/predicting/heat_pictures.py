"""What is known of a picture's labels as files: a heat map per label, and all in numbers."""

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.colors import Normalize as Scale
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image, ImageOps

from lcnet.files import write_text
from lcnet.predicting.picture_explanation import LabelExplanation, PictureExplanation
from lcnet.reporting.figures import INK, QUIET, save_figure
from lcnet.reporting.label_names import short

LARGEST_PX = 900
"""Pictures are drawn with sides of at most so many pixels."""
LONGEST_NAME = 48
"""So many letters of a name go into a file's name."""


def write_explanation(folder: Path, picture: Image.Image, found: PictureExplanation) -> Path:
    """The folder with the picture's explanation, which is written whole or not at all.

    In it are explanation.json and a PNG for each label. The folder's name is made of the picture's
    name and of a hash of its whole path, so that pictures of one name in two folders do not meet;
    an older explanation of the same picture is replaced.
    """
    place = folder / f"{safe_name(Path(found.image).stem)}-{_hash(found.image)}"
    unfinished = place.with_name(f"{place.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        rows = []
        for rank, label in enumerate(found.labels, start=1):
            file = f"{rank}-{safe_name(label.label)}.png"
            figure = draw_label(picture, label, has_graph=found.has_graph)
            save_figure(figure, unfinished / file, "png")
            rows.append({**label.to_dict(), "file": file})
        fields = {
            "image": found.image,
            "width": found.size[0],
            "height": found.size[1],
            "labels": rows,
            "labels_left_out": found.left_out,
        }
        text = json.dumps(fields, indent=1, ensure_ascii=False)
        write_text(unfinished / "explanation.json", text)
        if (place / "explanation.json").is_file():
            shutil.rmtree(place)
        unfinished.rename(place)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return place


def safe_name(name: str) -> str:
    """A name that any file system takes: letters, digits, - and _, and at most `LONGEST_NAME`."""
    return re.sub(r"[^\w-]+", "_", name)[:LONGEST_NAME].strip("_") or "unnamed"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:10]


def draw_label(picture: Image.Image, found: LabelExplanation, *, has_graph: bool) -> Figure:
    """The picture with the peak marked, and beside it its heat map, with what is known in words."""
    shown = picture.convert("RGB")
    shown.thumbnail((LARGEST_PX, LARGEST_PX), Image.Resampling.LANCZOS)
    width, height = picture.size
    # Space that does not depend on the picture's shape: two panels of one height, words above.
    ratio = min(max(width / height, 0.3), 3.0)
    panel_height = min(4.2, 4.9 / ratio)
    panel_width = panel_height * ratio
    side = max(0.25, (6.6 - 2 * panel_width - 0.95) / 2)  # narrow pictures keep room for the words
    total = (2 * panel_width + 0.95 + 2 * side, panel_height + 1.45)
    figure = Figure(figsize=total, dpi=130, facecolor="white")

    def panel(left: float, wide: float) -> tuple[float, float, float, float]:
        return left / total[0], 0.55 / total[1], wide / total[0], panel_height / total[1]

    extent = (0, width, height, 0)
    plain = figure.add_axes(panel(side, panel_width))
    plain.imshow(shown, extent=extent, aspect="auto")
    left, top, right, bottom = found.box
    for colour, thick in (("black", 3.0), ("white", 1.4)):
        box = Rectangle((left, top), right - left, bottom - top, fill=False, ec=colour, lw=thick)
        plain.add_patch(box)
        plain.plot(*found.peak, "+", color=colour, markersize=11, markeredgewidth=thick)
    hot = figure.add_axes(panel(side + panel_width + 0.15, panel_width))
    hot.imshow(_greyed(shown), extent=extent, aspect="auto", cmap="gray", vmin=0, vmax=255)
    relative = found.heat / found.heat.max()
    hot.imshow(
        relative,
        extent=extent,
        aspect="auto",
        cmap=heat_colours(),
        vmin=0,
        vmax=1,
        interpolation="bilinear",
    )
    for axes in (plain, hot):
        axes.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    bar = figure.add_axes(panel(side + 2 * panel_width + 0.27, 0.13))
    scale = figure.colorbar(ScalarMappable(Scale(0, 1), heat_colours()), cax=bar, ticks=[0, 0.5, 1])
    scale.ax.set_yticklabels(["0", "half", "most"], fontsize=8, color=QUIET)
    scale.ax.set_facecolor("#8b8b8b")
    scale.outline.set_visible(False)

    def words(x: float, y: float, text: str, **style: Any) -> None:
        figure.text(x / total[0], y / total[1], text, parse_math=False, va="center", **style)

    top_line = panel_height + 1.17
    words(side, top_line, short(found.label, 44), fontsize=14, fontweight="bold", color=INK)
    numbers = f"probability {_percent(found.probability)}, threshold {_percent(found.threshold)}"
    words(side, top_line - 0.33, numbers, fontsize=9.5, color=QUIET)
    words(side, 0.37, "+ peak, box: hot area around it", fontsize=8, color=QUIET)
    beside = side + panel_width + 0.15
    words(beside, 0.37, "where the evidence for the label lies", fontsize=8, color=QUIET)
    if has_graph:
        words(side, 0.16, _moved(found), fontsize=8.5, color=INK)
    return figure


def heat_colours() -> Colormap:
    """Matplotlib's inferno, clear where there is nothing and nearly solid where there is most."""
    steps = np.linspace(0, 1, 256)
    colours = colormaps["inferno"](0.15 + 0.85 * steps)
    colours[:, 3] = 0.88 * np.clip(steps / 0.45, 0, 1) ** 0.9
    return ListedColormap(colours)


def _greyed(picture: Image.Image) -> Image.Image:
    """The picture in grey with little contrast, so that the colours on it mean heat alone."""
    return ImageOps.grayscale(picture).point([60 + 0.65 * value for value in range(256)])


def _percent(value: float) -> str:
    """A probability in percent, which is not said to be all where it is nearly all."""
    return "> 99.9 %" if 0.9995 <= value < 1 else f"{100 * value:.1f} %"


def _moved(found: LabelExplanation) -> str:
    """Which other labels moved the score, in words."""
    if not found.moved_by:
        return "no other label's graph node moved the score"
    moved = [f"{short(name, 18)} {change:+.2f}" for name, change in found.moved_by]
    return f"moved by other labels (logit): {',  '.join(moved[:4])}".replace("-", "\N{MINUS SIGN}")
