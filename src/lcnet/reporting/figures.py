"""Writes figures to files."""

import warnings
from pathlib import Path
from typing import BinaryIO

from matplotlib.figure import Figure

INK, QUIET = "#1f2328", "#59636e"
"""The colours of text and of less important text."""


def save_figure(figure: Figure, file: Path | BinaryIO, kind: str) -> None:
    """Write a figure as `png` or `svg`.

    Letters that the font lacks, as in labels of another script, are drawn as boxes. There is no
    warning, since the labels are in the JSON and CSV files too.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(file, format=kind)
