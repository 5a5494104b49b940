"""What one known label says of another, as a picture and as a table."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.sparse import csr_array

from lcnet.data.statistics import Statistics
from lcnet.files import write_text, written_whole
from lcnet.metrics import Floats
from lcnet.model import label_edges
from lcnet.model.evidence import Evidence
from lcnet.model.graph_matrices import among, matrix_of
from lcnet.model.graph_prior import WHOLE
from lcnet.model_folder import ModelInfo
from lcnet.reporting.figures import INK, QUIET, save_figure
from lcnet.reporting.graph_pictures import cell_and_font, draw_matrix
from lcnet.reporting.label_names import room_for
from lcnet.reporting.matrices import MINUS, Matrix
from lcnet.reporting.strongest import strongest_edges

LISTED = 1000
"""The most edges in the table: the strongest."""


def write_evidence(folder: Path, evidence: Evidence, info: ModelInfo, shown: Sequence[int]) -> None:
    """Write evidence.csv, and evidence.png and .svg of the labels that are shown."""
    edges = edges_of(evidence)
    write_text(folder / "evidence.csv", evidence_table(edges, info.labels, info.statistics))
    figure = draw_evidence(edges, shown, info.labels)
    for kind in ("png", "svg"):
        with written_whole(folder / f"evidence.{kind}") as unfinished:
            save_figure(figure, unfinished, kind)


def edges_of(evidence: Evidence) -> Floats | csr_array:
    """What each known label (column) says of each other (row), in log odds: L L; 0 for nothing.

    Of more than `WHOLE` labels it is sparse.
    """
    labels = len(evidence.slope)
    if labels > WHOLE:
        found = matrix_of(label_edges.matrix(evidence.weights, evidence.sources))
        assert isinstance(found, csr_array)
        found.setdiag(0)
        found.eliminate_zeros()
        return found
    edges = np.zeros((labels, labels))
    sources, weights = evidence.sources.numpy(), evidence.weights.numpy()
    np.put_along_axis(edges, sources, weights.astype(np.float64), axis=1)
    np.fill_diagonal(edges, 0)
    return edges


def evidence_table(
    edges: Floats | csr_array, labels: Sequence[str], counts: Statistics | None
) -> str:
    """CSV with a row per edge, the strongest first, at most `LISTED`.

    `known` is the label that says something and `label` the one it is said of. `log_odds` is what
    the known label changes if the picture gives it a probability of 0 and it is present, or of 1
    and it is absent (with the other sign). `pictures` are the training pictures with both.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["known", "label", "log_odds", "pictures"])
    for row, column in strongest_edges(edges, LISTED):
        if edges[row, column]:
            both = "" if counts is None else counts.pairs.together[row, column]
            writer.writerow([labels[column], labels[row], f"{edges[row, column]:.4f}", both])
    return table.getvalue()


def draw_evidence(edges: Floats | csr_array, shown: Sequence[int], labels: Sequence[str]) -> Figure:
    """The edges between the labels that are shown, blue for more likely and orange for less."""
    inside = among(edges, shown)
    matrix = Matrix("Known labels", tuple(labels[place] for place in shown), inside)
    cell, font = cell_and_font(len(shown))
    side, margin = cell * len(shown), 0.3 + room_for(matrix.labels, font) / 72
    total = (max(side + margin + 0.4, 5.2), side + margin + 0.95)
    figure = Figure(figsize=total, dpi=130, facecolor="white")
    axes = figure.add_axes(
        (margin / total[0], 0.5 / total[1], side / total[0], side / total[1]), facecolor="#f0f0f0"
    )
    draw_matrix(axes, matrix, font, with_numbers=False)
    axes.set_title(
        "What known labels say", fontsize=11, fontweight="bold", color=INK, pad=10, loc="left"
    )
    if cell > 0.25:
        for row, column in np.argwhere(np.abs(inside) >= 0.05).tolist():
            value = inside[row, column]
            axes.text(
                column,
                row,
                f"{value:.1f}".replace("-", MINUS),
                fontsize=7,
                color="white" if abs(value) > 0.6 * matrix.scale else INK,
                ha="center",
                va="center",
            )
    figure.text(
        0.1 / total[0],
        0.2 / total[1],
        "Log odds that a known label (column), unseen in the picture, adds to another (row).",
        fontsize=8,
        color=QUIET,
    )
    return figure
