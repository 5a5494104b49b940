"""Draws a label graph as matrices and as a network."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Curve

from lcnet.model.graph_matrices import GraphMatrices, among
from lcnet.reporting.figures import INK, QUIET
from lcnet.reporting.label_names import room_for
from lcnet.reporting.matrices import Matrix, graph_matrices
from lcnet.reporting.networks import Edge, Network, network

STRONGER, WEAKER = "#1f6feb", "#d1660f"
CHANGES = LinearSegmentedColormap.from_list("changes", [WEAKER, "#ffffff", STRONGER])


def draw_matrices(graph: GraphMatrices, shown: Sequence[int], labels: Sequence[str]) -> Figure:
    """The graph as matrices, for the labels that are shown: prior, learned and their difference."""
    matrices = graph_matrices(graph, shown, labels)
    cell, font = cell_and_font(len(shown))
    side, margin = cell * len(shown), 0.3 + room_for(matrices[0].labels, font) / 72
    step = side + margin + 0.3
    total = (step * len(matrices) + 0.2, side + margin + 0.95)
    figure = Figure(figsize=total, dpi=130, facecolor="white")
    for number, matrix in enumerate(matrices):
        left = number * step + margin
        axes = figure.add_axes((left / total[0], 0.5 / total[1], side / total[0], side / total[1]))
        draw_matrix(axes, matrix, font, with_numbers=cell > 0.25)
        axes.set_title(matrix.title, fontsize=11, fontweight="bold", color=INK, pad=10, loc="left")
    figure.text(
        margin / total[0],
        0.2 / total[1],
        "What each label (row) takes from each other (column), in percent; the diagonal is left "
        "out.",
        fontsize=8,
        color=QUIET,
    )
    return figure


def cell_and_font(labels: int) -> tuple[float, int]:
    """Side of a cell in inches and size of the letters, for a matrix of so many labels."""
    cell = 0.42 if labels <= 12 else 0.3 if labels <= 24 else 0.2
    return cell, 9 if cell > 0.25 else 7


def draw_matrix(axes: Axes, matrix: Matrix, font: int, *, with_numbers: bool) -> None:
    """One matrix of labels, blue above 0 and orange below."""
    drawn, names = np.array(matrix.values, dtype=float), matrix.names
    np.fill_diagonal(drawn, np.nan)
    if (matrix.values < 0).any():
        axes.imshow(drawn, cmap=CHANGES, vmin=-matrix.scale, vmax=matrix.scale)
    else:
        axes.imshow(drawn, cmap="Blues", vmin=0, vmax=matrix.scale)
    axes.set_facecolor("#f0f0f0")
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=font, color=INK)
    axes.set_yticks(range(len(names)), names, fontsize=font, color=INK)
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    # Matplotlib would read text between two $ in a label as a formula, and fail if it is none.
    for text in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        text.set_parse_math(False)
    axes.spines[:].set_visible(False)
    if with_numbers:
        for row, column, number, is_dark in matrix.numbers:
            colour = "white" if is_dark else INK
            axes.text(column, row, number, fontsize=7, color=colour, ha="center", va="center")


def draw_network(
    graph: GraphMatrices, shown: Sequence[int], labels: Sequence[str], most: int
) -> Figure:
    """The `most` strongest edges of prior and learned graph as curves inside a circle of labels.

    Both directions of an edge are drawn as one. Labels have the same places in both circles.
    """
    names = [labels[n] for n in shown]
    prior = among(graph.prior, shown)
    learned = prior if graph.learned is None else among(graph.learned, shown)
    charts = [("prior", network(names, prior, prior, most, placed_by=learned))]
    if graph.learned is not None:
        charts.append(("learned", network(names, learned, prior, most)))
    is_compared = graph.learned is not None and graph.is_comparable
    side = charts[0][1].side / 72
    high = side + 0.95
    figure = Figure(figsize=(side * len(charts), high), dpi=130, facecolor="white")
    for number, (what, chart) in enumerate(charts):
        left, wide = number / len(charts), 1 / len(charts)
        axes = figure.add_axes((left, 0.4 / high, wide, side / high))
        _circle(axes, chart, by_change=is_compared and what == "learned")
        title = f"The {len(chart.edges)} strongest {what} edges"
        style: dict[str, Any] = {"ha": "center", "va": "center", "color": INK}
        top = 1 - 0.3 / high
        figure.text(left + wide / 2, top, title, fontsize=11, fontweight="bold", **style)
    if is_compared:
        keys = [
            Line2D([], [], color=colour, linewidth=3, label=words)
            for colour, words in ((STRONGER, "stronger than in the prior"), (WEAKER, "weaker"))
        ]
        figure.legend(
            handles=keys,
            loc="lower center",
            bbox_to_anchor=(0.75, 0.0),
            ncols=2,
            frameon=False,
            fontsize=8,
            labelcolor=QUIET,
        )
    return figure


def _circle(axes: Axes, chart: Network, *, by_change: bool) -> None:
    """Labels on a circle and the edges inside; `by_change` colours edges by how they changed."""
    axes.set(xlim=(0, chart.side), ylim=(chart.side, 0))
    axes.axis("off")
    for edge in chart.edges:
        changed = STRONGER if edge.is_new else WEAKER
        axes.add_patch(_curve(edge, changed if by_change else QUIET))
    for node in chart.nodes:
        axes.plot(node.x, node.y, "o", color=INK, markersize=4, zorder=3)
        axes.text(
            node.name_x,
            node.name_y,
            node.name,
            rotation=-node.turn,
            rotation_mode="anchor",
            ha={"start": "left", "middle": "center", "end": "right"}[node.anchor],
            va="center",
            fontsize=chart.font * 0.8,
            color=INK,
            parse_math=False,
        )


def _curve(edge: Edge, colour: str) -> PathPatch:
    bend = Curve([edge.start, edge.bend, edge.end], [Curve.MOVETO, Curve.CURVE3, Curve.CURVE3])
    return PathPatch(bend, fill=False, ec=colour, lw=edge.width, alpha=0.75, capstyle="round")
