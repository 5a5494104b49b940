"""Charts as templates/charts.html draws them: from numbers to places in pixels.

They are vector graphics in the page itself, coloured by its style sheet, so that they are sharp at
any size and fit light and dark.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, cos, hypot, isfinite, pi, sin

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lcnet.metrics import Floats

LEVELS = 12
"""Shades of a colour in a matrix."""

# Lines


@dataclass(frozen=True)
class Line:
    """Points joined in their order; where a number is not finite there is a gap."""

    x: ArrayLike
    y: ArrayLike
    style: str = "first"
    """A class of the style sheet: first, second, third, faint or dashed."""
    name: str = ""
    """For the legend, which leaves out lines without."""


@dataclass(frozen=True)
class Dot:
    """A point with words that appear where the mouse is over it."""

    x: float
    y: float
    radius: float
    words: str


@dataclass(frozen=True)
class Axis:
    """A range of numbers, what it is called, and the numbers that are written beside it."""

    name: str
    low: float = 0.0
    high: float = 1.0
    ticks: tuple[tuple[float, str], ...] = tuple((n / 4, str(25 * n)) for n in range(5))


def axis_over(name: str, values: ArrayLike) -> Axis:
    """An axis with round numbers that spans all finite values."""
    from matplotlib.ticker import MaxNLocator

    found = np.asarray(values, dtype=np.float64)
    found = found[np.isfinite(found)]
    low, high = (found.min(), found.max()) if found.size else (0.0, 1.0)
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
    """An upright line at this x."""
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


# Matrices


@dataclass(frozen=True)
class Shade:
    """All cells of one shade, as the `d` of an SVG path."""

    sign: str
    """A class of the style sheet: positive or negative."""
    opacity: float
    path: str


@dataclass(frozen=True)
class Matrix:
    """Numbers as shades, label by label."""

    title: str
    labels: tuple[str, ...]
    values: Floats
    """L x L; the diagonal is not drawn. The strongest shade is that of the largest number."""
    words: str
    """What a cell says, with {row}, {column} and {0}, {1}, ... for the numbers of `said`."""
    said: tuple[NDArray[np.generic], ...] = ()
    """L x L each; `values` in percent if none."""

    @property
    def cell(self) -> int:
        """Side of a cell in pixels."""
        return max(9, min(34, 720 // len(self.labels)))

    @property
    def font(self) -> int:
        """Size of the letters in pixels."""
        return min(12, self.cell - 1)

    @property
    def side(self) -> int:
        """Side of the matrix in pixels, without its names."""
        return self.cell * len(self.labels)

    @property
    def margin(self) -> int:
        """Room for the names, left and above, in pixels."""
        return 12 + ceil(0.62 * self.font * max(len(short(name)) for name in self.labels))

    @property
    def has_numbers(self) -> bool:
        """Whether cells are large enough for their number."""
        return self.cell >= 24

    @cached_property
    def _off_diagonal(self) -> Floats:
        values = np.array(self.values, dtype=np.float64)
        np.fill_diagonal(values, 0)
        return values

    @property
    def largest(self) -> float:
        """The largest number off the diagonal, without its sign."""
        return float(np.abs(self._off_diagonal).max(initial=0))

    @property
    def shades(self) -> list[Shade]:
        """The cells that differ from 0, by shade."""
        scaled = self._off_diagonal / (self.largest or 1)
        levels = np.ceil(np.abs(scaled) * LEVELS - 0.5) * np.sign(scaled)
        found, edge = [], self.cell - 1
        for level in np.unique(levels[levels != 0]):
            cells = np.argwhere(levels == level) * self.cell
            path = "".join(f"M{x} {y}h{edge}v{edge}h-{edge}z" for y, x in cells)
            sign = "positive" if level > 0 else "negative"
            found.append(Shade(sign, round(abs(level) / LEVELS, 3), path))
        return found

    @property
    def numbers(self) -> list[tuple[float, float, str, bool]]:
        """Place, text in percent and whether the shade is dark, of the cells that differ from 0."""
        values, half = self._off_diagonal, self.cell / 2
        rounded = np.round(100 * values).astype(int)
        is_dark = np.abs(values) > 0.6 * self.largest
        return [
            (x * self.cell + half, y * self.cell + half, str(rounded[y, x]), bool(is_dark[y, x]))
            for y, x in np.argwhere(rounded)
        ]

    @property
    def spoken(self) -> dict[str, object]:
        """What the page's script needs to say a cell in words."""
        said = self.said or (np.round(100 * self.values, 1),)
        return {
            "labels": self.labels,
            "words": self.words,
            "values": [numbers.tolist() for numbers in said],
        }


def short(name: str, most: int = 24) -> str:
    """A name cut to so many letters."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


# Networks


@dataclass(frozen=True)
class Node:
    """A label on the circle, with its name outside."""

    name: str
    x: float
    y: float
    name_x: float
    name_y: float
    turn: float
    """Degrees by which the name is turned."""
    anchor: str
    """Which end of the name is at its place: start, middle or end."""


@dataclass(frozen=True)
class Edge:
    """A curve between two labels, quadratic: its ends and what it bends towards."""

    names: tuple[str, str]
    start: tuple[float, float]
    bend: tuple[float, float]
    end: tuple[float, float]
    width: float
    """From half a pixel for usual strength to five for the strongest."""
    is_new: bool
    words: str

    @property
    def path(self) -> str:
        """The curve as the `d` of an SVG path."""
        (x1, y1), (x, y), (x2, y2) = self.start, self.bend, self.end
        return f"M{x1:.1f} {y1:.1f}Q{x:.1f} {y:.1f} {x2:.1f} {y2:.1f}"


@dataclass(frozen=True)
class Network:
    """The strongest edges of a graph of labels, drawn inside a circle."""

    side: int
    font: int
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def network(
    labels: Sequence[str],
    learned: Floats,
    prior: Floats,
    most: int,
    *,
    placed_by: Floats | None = None,
) -> Network:
    """The `most` strongest edges of `learned` (L x L, row takes from column), both ways joined.

    Edges are new where they are stronger than in `prior`. Labels with strong edges (in `placed_by`
    if given) stand together on the circle: the leaves of average linkage, in scipy's optimal order.
    """
    strength = _joined(learned)
    placing = strength if placed_by is None else _joined(placed_by)
    is_crowded = len(labels) > 24
    font = 10 if is_crowded else 12
    radius = max(240 if is_crowded else 150, ceil(11.5 * len(labels) / (2 * pi)))
    margin = 14 + ceil(0.62 * font * max(len(short(name)) for name in labels))
    centre = radius + margin
    place = np.empty(len(labels), dtype=int)
    place[_circle_order(placing)] = np.arange(len(labels))
    angles = 2 * pi * place / len(labels) - pi / 2
    points = [(centre + radius * cos(angle), centre + radius * sin(angle)) for angle in angles]

    def node(name: str, angle: float) -> Node:
        x, y = cos(angle), sin(angle)
        turn = float(np.degrees(angle)) - 180 * (x < -1e-9) if is_crowded else 0.0
        ends = "middle" if abs(x) < 0.2 and not is_crowded else "start" if x > -1e-9 else "end"
        return Node(
            name,
            round(centre + radius * x, 1),
            round(centre + radius * y, 1),
            round(centre + (radius + 10) * x, 1),
            round(centre + (radius + 10) * y, 1),
            round(turn, 1),
            ends,
        )

    def edge(one: int, other: int) -> Edge:
        (x1, y1), (x2, y2) = points[one], points[other]
        x, y = (x1 + x2) / 2 - centre, (y1 + y2) / 2 - centre
        pull = 0.35 + 0.45 * hypot(x, y) / radius  # neighbours are joined near the circle
        x, y = centre + pull * x, centre + pull * y
        weight = strength[one, other]
        was = max(prior[one, other], prior[other, one])
        return Edge(
            (labels[one], labels[other]),
            (x1, y1),
            (x, y),
            (x2, y2),
            round(0.5 + 4.5 * float((weight - usual) / (strength.max() - usual or 1)), 2),
            bool(weight >= was),
            f"{labels[one]} and {labels[other]}: {weight:.3f}, prior {was:.3f}",
        )

    upper = np.triu(strength)
    usual = float(np.median(strength))
    strongest = [divmod(int(n), len(labels)) for n in np.argsort(-upper, axis=None)[:most]]
    return Network(
        side=2 * centre,
        font=font,
        nodes=tuple(map(node, labels, angles)),
        edges=tuple(edge(*pair) for pair in reversed(strongest) if upper[pair] > 0),
    )


def _joined(values: Floats) -> Floats:
    """The stronger of both directions, and nothing on the diagonal."""
    strength = np.maximum(values, values.T)
    np.fill_diagonal(strength, 0)
    return strength


def _circle_order(strength: Floats) -> NDArray[np.integer]:
    """The labels so ordered that strongly joined ones are neighbours."""
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    if len(strength) < 3:
        return np.arange(len(strength))
    distance = 1 - strength / (strength.max() or 1)
    np.fill_diagonal(distance, 0)
    found = linkage(squareform(distance, checks=False), "average", optimal_ordering=True)
    return np.asarray(leaves_list(found))
