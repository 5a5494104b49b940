"""The strongest edges of a label graph inside a circle, laid out in pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, cos, hypot, pi, sin

import numpy as np
from numpy.typing import NDArray

from lcnet.metrics import Floats
from lcnet.reporting.label_names import room_for, short


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
    """Which part of the name lies at (name_x, name_y): start, middle or end."""


@dataclass(frozen=True)
class Edge:
    """A quadratic curve between two labels: its ends and the point that it bends towards."""

    names: tuple[str, str]
    start: tuple[float, float]
    bend: tuple[float, float]
    end: tuple[float, float]
    width: float
    """From half a pixel for the median strength to five for the strongest."""
    is_new: bool
    """Whether it is at least as strong as in the prior."""
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
    """The `most` strongest edges of `learned` (L x L, row takes from column), both ways as one.

    An edge is as strong as the stronger of its two directions. Labels with strong edges between
    them (in `placed_by` if given) are neighbours on the circle: it has the leaves of average
    linkage in scipy's optimal order.
    """
    strength = _joined(learned)
    placing = strength if placed_by is None else _joined(placed_by)
    is_crowded = len(labels) > 24
    font = 10 if is_crowded else 12
    radius = max(240 if is_crowded else 150, ceil(11.5 * len(labels) / (2 * pi)))
    margin = 14 + room_for(labels, font)
    centre = radius + margin
    position = np.empty(len(labels), dtype=int)
    position[_circle_order(placing)] = np.arange(len(labels))
    angles = 2 * pi * position / len(labels) - pi / 2
    points = [(centre + radius * cos(angle), centre + radius * sin(angle)) for angle in angles]

    def node(name: str, angle: float) -> Node:
        x, y = cos(angle), sin(angle)
        turn = float(np.degrees(angle)) - 180 * (x < -1e-9) if is_crowded else 0.0
        ends = "middle" if abs(x) < 0.2 and not is_crowded else "start" if x > -1e-9 else "end"
        return Node(
            short(name),
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
        # Edges between neighbours stay near the circle, so that the middle is left for long ones.
        pull = 0.35 + 0.45 * hypot(x, y) / radius
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
    """The stronger of both directions, with 0 on the diagonal."""
    strength = np.maximum(values, values.T)
    np.fill_diagonal(strength, 0)
    return strength


def _circle_order(strength: Floats) -> NDArray[np.integer]:
    """The labels in an order in which strongly joined ones are neighbours."""
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    if len(strength) < 3:
        return np.arange(len(strength))
    distance = 1 - strength / (strength.max() or 1)
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average", optimal_ordering=True)
    return np.asarray(leaves_list(tree))
