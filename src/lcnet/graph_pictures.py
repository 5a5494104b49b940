"""A label graph drawn: as matrices and as a network."""

import warnings
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Curve

from lcnet.charts import Edge, network, short
from lcnet.label_graph import Graph
from lcnet.metrics import Floats

INK, QUIET = "#1f2328", "#59636e"
STRONGER, WEAKER = "#1f6feb", "#d1660f"


def draw_matrices(graph: Graph, shown: Sequence[int], labels: Sequence[str]) -> Figure:
    """The graph as matrices, for the labels that are shown: prior, learned and their difference."""
    names = [short(labels[n]) for n in shown]
    inside = np.ix_(shown, shown)
    panels = [("Prior", graph.prior[inside], False)]
    if graph.learned is not None:
        panels.append(("Learned", graph.learned[inside], False))
        if graph.is_comparable:
            panels.append(("Learned minus prior", (graph.learned - graph.prior)[inside], True))
    cell = 0.42 if len(names) <= 12 else 0.3 if len(names) <= 24 else 0.2
    side, margin = cell * len(names), 0.3 + 0.085 * max(map(len, names))
    step = side + margin + 0.75
    total = (step * len(panels) + 0.2, side + margin + 0.95)
    figure = Figure(figsize=total, dpi=130, facecolor="white")
    joint = max(_largest(values) for _, values, is_change in panels if not is_change)
    for place, (title, values, is_change) in enumerate(panels):
        left = place * step + margin
        axes = figure.add_axes((left / total[0], 0.5 / total[1], side / total[0], side / total[1]))
        largest = _largest(values) if is_change or not graph.is_comparable else joint
        _matrix(axes, values, names, largest or 1.0, cell)
        axes.set_title(title, fontsize=11, fontweight="bold", color=INK, pad=10, loc="left")
    figure.text(
        margin / total[0],
        0.2 / total[1],
        "What each label (row) takes from each other (column), in percent; the diagonal is left "
        "out.",
        fontsize=8,
        color=QUIET,
    )
    _settle(figure)
    return figure


def _matrix(axes: Axes, values: Floats, names: Sequence[str], largest: float, cell: float) -> None:
    """One matrix, blue above 0 and orange below, with its numbers where there is room."""
    drawn = np.array(values, dtype=float)
    np.fill_diagonal(drawn, np.nan)
    if (values < 0).any():
        axes.imshow(drawn, cmap="PuOr", vmin=-largest, vmax=largest)
    else:
        axes.imshow(drawn, cmap="Blues", vmin=0, vmax=largest)
    axes.set_facecolor("#f0f0f0")
    size = 9 if cell > 0.25 else 7
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=size, color=INK)
    axes.set_yticks(range(len(names)), names, fontsize=size, color=INK)
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    for text in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        text.set_parse_math(False)
    axes.spines[:].set_visible(False)
    if cell > 0.25:
        for row, column in np.argwhere(np.abs(np.nan_to_num(drawn)) >= 0.005):
            value = drawn[row, column]
            colour = "white" if abs(value) > 0.6 * largest else INK
            number = f"{100 * value:.0f}".replace("-", "\N{MINUS SIGN}")
            place = {"ha": "center", "va": "center"}
            axes.text(column, row, number, fontsize=7, color=colour, **place)


def draw_network(graph: Graph, shown: Sequence[int], labels: Sequence[str], most: int) -> Figure:
    """The `most` strongest edges as curves inside a circle of labels; both ways are joined."""
    inside = np.ix_(shown, shown)
    prior = graph.prior[inside]
    learned = prior if graph.learned is None else graph.learned[inside]
    chart = network([labels[n] for n in shown], learned, prior, most)
    side = chart.side / 72
    figure = Figure(figsize=(side, side + 0.95), dpi=150, facecolor="white")
    axes = figure.add_axes((0, 0.4 / (side + 0.95), 1, side / (side + 0.95)))
    axes.set(xlim=(0, chart.side), ylim=(chart.side, 0))
    axes.axis("off")
    is_compared = graph.learned is not None and graph.is_comparable
    for edge in chart.edges:
        axes.add_patch(_curve(edge, STRONGER if edge.is_new or not is_compared else WEAKER))
    for node in chart.nodes:
        axes.plot(node.x, node.y, "o", color=INK, markersize=4, zorder=3)
        ends = {"start": "left", "middle": "center", "end": "right"}[node.anchor]
        axes.text(
            node.name_x,
            node.name_y,
            short(node.name),
            rotation=-node.turn,
            rotation_mode="anchor",
            ha=ends,
            va="center",
            fontsize=chart.font * 0.8,
            color=INK,
            parse_math=False,
        )
    what = "learned edges" if graph.learned is not None else "edges of the prior"
    title = f"The {len(chart.edges)} strongest {what}"
    high = side + 0.95
    style = {"ha": "center", "va": "center"}
    figure.text(0.5, 1 - 0.3 / high, title, fontsize=11, fontweight="bold", color=INK, **style)
    if is_compared:
        keys = [
            Line2D([], [], color=colour, linewidth=3, label=words)
            for colour, words in ((STRONGER, "stronger than in the prior"), (WEAKER, "weaker"))
        ]
        figure.legend(
            handles=keys, loc="lower center", ncols=2, frameon=False, fontsize=8, labelcolor=QUIET
        )
    _settle(figure)
    return figure


def _curve(edge: Edge, colour: str) -> PathPatch:
    bend = Curve([edge.start, edge.bend, edge.end], [Curve.MOVETO, Curve.CURVE3, Curve.CURVE3])
    return PathPatch(bend, fill=False, ec=colour, lw=edge.width, alpha=0.75, capstyle="round")


def _largest(values: Floats) -> float:
    """The largest number off the diagonal, without its sign."""
    drawn = np.array(values, dtype=float)
    np.fill_diagonal(drawn, 0)
    return float(np.abs(drawn).max(initial=0))


def _settle(figure: Figure) -> None:
    """Lay out once, quietly: a name in a script that the font lacks is drawn as boxes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.canvas.draw()
