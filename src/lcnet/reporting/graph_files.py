"""A model's label graph as pictures, and its strongest edges as a table."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from lcnet.errors import ConfigError, quoted
from lcnet.files import AnyPath, write_text, written_whole
from lcnet.model.graph_matrices import GraphMatrices
from lcnet.model_folder import load_model, local_model, read_info, require_single
from lcnet.progress import tell
from lcnet.reporting.evidence_files import edges_of, write_evidence
from lcnet.reporting.figures import save_figure
from lcnet.reporting.graph_pictures import draw_matrices, draw_network
from lcnet.reporting.strongest import strongest_edges, strongest_labels

MOST_LABELS = 40
"""The most labels that are drawn: those on the strongest edges."""
LISTED = 1000
"""The most edges in the table: the strongest."""


def draw_graph(model: AnyPath, out: Path | None, *, edges: int) -> Path:
    """The folder with the drawn matrix and network as PNG and SVG, and edges.csv.

    The folder is `out`, or MODEL/graph if that is None. The network shows the `edges` strongest
    edges. What known labels say of the others is there too, if the model knows it. Raises
    ConfigError if it has neither, CheckpointError if it cannot be read.
    """
    model = local_model(model)
    folder = out or model / "graph"
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--out {folder}: expected a folder, got a file. Name another.")
    info = read_info(model)
    network = load_model(model)
    if evidence := network.evidence:
        shown = strongest_labels(edges_of(evidence), MOST_LABELS)
        write_evidence(folder, evidence, info, shown)
        tell(f"what known labels say of the others -> {folder}/evidence.png, .svg, .csv")
        if info.members or network.label_graph() is None:
            return folder
    require_single(info, model, "the label graph")
    graph = network.graph_matrices()
    if graph is None:
        graphless = f"head {info.model.head}"
        if info.model.head == "lcnet":
            graphless = "LCNet with --model.graph none"
        raise ConfigError(
            f"{model}: no label graph in this model ({graphless}). Train one with "
            "--model.head lcnet --model.graph learned; or fit what known labels say of the others "
            f"with: lcnet calibrate {quoted(model)} --evidence"
        )
    shown = strongest_labels(graph.final, MOST_LABELS)
    matrices = draw_matrices(graph, shown, info.labels)
    drawn = draw_network(graph, shown, info.labels, edges)
    for name, figure in (("matrix", matrices), ("network", drawn)):
        for kind in ("png", "svg"):
            with written_whole(folder / f"{name}.{kind}") as unfinished:
                save_figure(figure, unfinished, kind)
    write_text(folder / "edges.csv", edge_table(graph, info.labels))
    left_out = len(info.labels) - len(shown)
    others = f"; {left_out:,} labels without strong edges are not drawn" if left_out else ""
    tell(
        f"Label graph of {len(info.labels):,} labels -> {folder}/matrix.png, network.png (and "
        f".svg), edges.csv{others}"
    )
    return folder


def edge_table(graph: GraphMatrices, labels: Sequence[str]) -> str:
    """CSV with a row per edge, the strongest first, at most `LISTED`: from, to, prior and learned.

    An edge runs from the label that gives (column of the adjacency) to the one that takes (row).
    `learned` is empty if the graph is not learned. `change` is learned minus prior, and empty if
    there is no such difference.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["from", "to", "prior", "learned", "change"])
    for row, column in strongest_edges(graph.final, LISTED):
        prior = float(graph.prior[row, column])
        learned = change = ""
        if graph.learned is not None:
            learned = f"{graph.learned[row, column]:.6f}"
            change = f"{graph.learned[row, column] - prior:.6f}" if graph.is_comparable else ""
        writer.writerow([labels[column], labels[row], f"{prior:.6f}", learned, change])
    return table.getvalue()
