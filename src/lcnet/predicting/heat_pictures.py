"""A picture's explanation as files: a heat map per label, and all numbers as JSON."""

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
"""Longest side of a drawn picture, in pixels."""
LONGEST_NAME = 48
"""Letters of a name that go into a file name, at most."""


def write_explanation(folder: Path, picture: Image.Image, explanation: PictureExplanation) -> Path:
    """Write a picture's explanation into a folder of its own inside `folder`, and return that.

    It has explanation.json and a PNG for each label, and appears only when it is complete. Its name
    joins the picture's name and a hash of the whole path, so that two pictures with the same name
    stay apart; an older explanation of the same picture is replaced.
    """
    image = explanation.image
    target = folder / f"{safe_name(Path(image).stem)}-{_hash(image)}"
    unfinished = target.with_name(f"{target.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        rows = []
        for rank, label in enumerate(explanation.labels, start=1):
            file = f"{rank}-{safe_name(label.label)}.png"
            figure = draw_label(picture, label, has_graph=explanation.has_graph)
            save_figure(figure, unfinished / file, "png")
            rows.append({**label.to_dict(), "file": file})
        fields = {
            "image": image,
            "width": explanation.size[0],
            "height": explanation.size[1],
            "labels": rows,
            "labels_left_out": explanation.left_out,
        }
        text = json.dumps(fields, indent=1, ensure_ascii=False)
        write_text(unfinished / "explanation.json", text)
        # Only a folder that holds an explanation is ours to delete.
        if (target / "explanation.json").is_file():
            shutil.rmtree(target)
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


def safe_name(name: str) -> str:
    """A name that every file system takes: at most `LONGEST_NAME` letters, digits, - and _."""
    return re.sub(r"[^\w-]+", "_", name)[:LONGEST_NAME].strip("_") or "unnamed"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:10]


def draw_label(picture: Image.Image, label: LabelExplanation, *, has_graph: bool) -> Figure:
    """The picture with peak and hot box marked, the heat map beside it, and the numbers as text."""
    shown = picture.convert("RGB")
    shown.thumbnail((LARGEST_PX, LARGEST_PX), Image.Resampling.LANCZOS)
    width, height = picture.size
    # Two panels of one height with text above; figures of all shapes have about the same size.
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
    left, top, right, bottom = label.box
    for colour, thick in (("black", 3.0), ("white", 1.4)):
        box = Rectangle((left, top), right - left, bottom - top, fill=False, ec=colour, lw=thick)
        plain.add_patch(box)
        plain.plot(*label.peak, "+", color=colour, markersize=11, markeredgewidth=thick)
    hot = figure.add_axes(panel(side + panel_width + 0.15, panel_width))
    hot.imshow(_greyed(shown), extent=extent, aspect="auto", cmap="gray", vmin=0, vmax=255)
    relative = label.heat / label.heat.max()
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
    words(side, top_line, short(label.label, 44), fontsize=14, fontweight="bold", color=INK)
    numbers = f"probability {_percent(label.probability)}, threshold {_percent(label.threshold)}"
    words(side, top_line - 0.33, numbers, fontsize=9.5, color=QUIET)
    words(side, 0.37, "+ peak, box: hot area around it", fontsize=8, color=QUIET)
    beside = side + panel_width + 0.15
    words(beside, 0.37, "where the evidence for the label lies", fontsize=8, color=QUIET)
    if has_graph:
        words(side, 0.16, _moved(label), fontsize=8.5, color=INK)
    return figure


def heat_colours() -> Colormap:
    """Matplotlib's inferno, transparent at 0 and nearly opaque at 1."""
    steps = np.linspace(0, 1, 256)
    colours = colormaps["inferno"](0.15 + 0.85 * steps)
    colours[:, 3] = 0.88 * np.clip(steps / 0.45, 0, 1) ** 0.9
    return ListedColormap(colours)


def _greyed(picture: Image.Image) -> Image.Image:
    """The picture in grey with little contrast, so that every colour on it means heat."""
    return ImageOps.grayscale(picture).point([60 + 0.65 * value for value in range(256)])


def _percent(value: float) -> str:
    """A probability in percent; one just below 1 is not rounded up to 100 %."""
    return "> 99.9 %" if 0.9995 <= value < 1 else f"{100 * value:.1f} %"


def _moved(label: LabelExplanation) -> str:
    """The other labels that moved the score, in words."""
    if not label.moved_by:
        return "no other label's graph node moved the score"
    moved = [f"{short(name, 18)} {change:+.2f}" for name, change in label.moved_by]
    return f"moved by other labels (logit): {',  '.join(moved[:4])}".replace("-", "\N{MINUS SIGN}")
