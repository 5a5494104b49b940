"""`lcnet graph`: the label graph before and after learning, as pictures and as a table."""

from pathlib import Path
from typing import Annotated

from lcnet.bounds import AtLeast, bounded
from lcnet.files import AnyPath
from lcnet.hub import require_out


@bounded
def graph(
    model: AnyPath, *, out: Path | None = None, edges: Annotated[int, AtLeast(1)] = 30
) -> Path:
    """Draw the label graph before and after learning, and what known labels say of the others.

    Args:
        model: Run or model folder, or hf://user/name.
        out: Folder for the files; MODEL/graph if not given. hf:// needs it.
        edges: Number of edges in the drawing; the strongest are shown.

    Returns:
        The folder with matrix and network as PNG and SVG, and edges.csv; evidence.csv, .png and
        .svg if the model was given that (lcnet calibrate --evidence).

    Raises:
        ConfigError: if the model has neither.
        CheckpointError: if the model cannot be read.
    """
    require_out(model, out, "--out FOLDER")
    from lcnet.reporting.graph_files import draw_graph

    return draw_graph(model, out, edges=edges)
