"""Line charts for templates/charts.html: turns numbers into positions in pixels.

The charts are vector graphics in the page itself, coloured by its style sheet, so that they are
sharp at any size and fit a light and a dark page.
"""

from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Line:
    """Points joined in their order, with a gap where a number is not finite."""

    x: ArrayLike
    y: ArrayLike
    style: str = "first"
    """A class of the style sheet: first, second, third, faint or dashed."""
    name: str = ""
    """For the legend, which leaves out lines without a name."""


@dataclass(frozen=True)
class Dot:
    """A point with words that appear when the mouse is over it."""

    x: float
    y: float
    radius: float
    words: str


@dataclass(frozen=True)
class Axis:
    """A range of numbers, its name, and the numbers that are written beside it."""

    name: str
    low: float = 0.0
    high: float = 1.0
    ticks: tuple[tuple[float, str], ...] = tuple((n / 4, str(25 * n)) for n in range(5))


def axis_over(name: str, values: ArrayLike) -> Axis:
    """An axis with round numbers that spans all finite values."""
    from matplotlib.ticker import MaxNLocator

    numbers = np.asarray(values, dtype=np.float64)
    finite = numbers[np.isfinite(numbers)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    ticks = MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return Axis(name, ticks[0], ticks[-1], tuple((float(tick), f"{tick:.4g}") for tick in ticks))


@dataclass(frozen=True)
class LineChart:
    """Lines and dots over two axes."""

    title: str
    x: Axis
    y: Axis
    lines: tuple[Line, ...] = ()
    dots: tuple[Dot, ...] = ()
    mark: float | None = None
    """Where on the x axis to draw a vertical line."""
    width: int = 320
    height: int = 250

    left, right, top, bottom = 46, 10, 10, 38

    def x_px(self, value: float) -> float:
        """Where a number of the x axis is, in pixels from the left."""
        room = self.width - self.left - self.right
        return round(self.left + room * (value - self.x.low) / (self.x.high - self.x.low), 1)

    def y_px(self, value: float) -> float:
        """Where a number of the y axis is, in pixels from the top."""
        room = self.height - self.top - self.bottom
        share = (value - self.y.low) / (self.y.high - self.y.low)
        return round(self.height - self.bottom - room * share, 1)

    def path(self, line: Line) -> str:
        """A line as the `d` of an SVG path."""
        steps, draw = [], False
        for x, y in zip(np.asarray(line.x, float), np.asarray(line.y, float), strict=True):
            if isfinite(x) and isfinite(y):
                steps.append(f"{'L' if draw else 'M'}{self.x_px(x):g} {self.y_px(y):g}")
            draw = isfinite(x) and isfinite(y)
        return "".join(steps)
