"""Label names beside a chart: how they are cut, and the room they take."""

from collections.abc import Iterable
from math import ceil

LETTER = 0.62
"""Width of a letter, as a share of the font's size."""


def short(name: str, most: int = 24) -> str:
    """A name cut to `most` letters."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def room_for(names: Iterable[str], font: float) -> int:
    """The width of the longest name, cut as `short` does; in the unit of the font's size."""
    return ceil(LETTER * font * max(len(short(name)) for name in names))
