"""Runs the notebooks, and keeps what they show in them: what is printed, and small figures.

    python -m benchmarks.notebooks

The cells run in order in this Python, without Jupyter. Each takes about a minute on 2 quiet cores.
"""

import argparse
import base64
import io
import json
import os
import re
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from pathlib import Path
from typing import Any

os.environ.setdefault("MPLBACKEND", "Agg")

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
DPI = 60
COLOURS = 128
"""Colours of a kept figure, which is why it is small."""
MOVING = re.compile(r"\d+ images/s|\(?\d+(?:\.\d+)? (?:s|min|GiB)\b")
"""What differs from run to run, so that lines with it are not kept."""

Output = dict[str, Any]


def run_notebook(notebook: Path, folder: Path) -> list[list[Output]]:
    """Run the code cells in order, with the folder as the current one; gives each one's outputs.

    An error in a cell is raised as it is.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    outputs = []
    with chdir(folder):
        for number, cell in enumerate(cells):
            if cell["cell_type"] == "code":
                code = compile("".join(cell["source"]), f"{notebook.name}, cell {number}", "exec")
                printed = io.StringIO()
                with redirect_stdout(printed):
                    exec(code, names)
                outputs.append([*_printed(printed.getvalue()), *_figures()])
    return outputs


def _printed(text: str) -> Iterator[Output]:
    lines = [line.rstrip() for line in text.splitlines() if not MOVING.search(line)]
    if lines:
        kept = [f"{line}\n" for line in lines]
        yield {"output_type": "stream", "name": "stdout", "text": kept}


def _figures() -> Iterator[Output]:
    """The figures that a cell has left, as Jupyter would show them; they are closed."""
    import matplotlib.pyplot as plt
    from PIL import Image

    for number in plt.get_fignums():
        drawn, kept = io.BytesIO(), io.BytesIO()
        plt.figure(number).savefig(drawn, dpi=DPI, bbox_inches="tight")
        Image.open(drawn).convert("RGB").quantize(COLOURS).save(kept, "PNG", optimize=True)
        png = base64.b64encode(kept.getvalue()).decode()
        data = {"image/png": png, "text/plain": ["a figure"]}
        yield {"output_type": "display_data", "data": data, "metadata": {}}
    plt.close("all")


def keep_outputs(notebook: Path, outputs: list[list[Output]]) -> None:
    """Write the notebook with these outputs of its code cells."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    for number, (cell, shown) in enumerate(zip(code, outputs, strict=True), start=1):
        cell["outputs"], cell["execution_count"] = shown, number
    text = json.dumps(content, indent=1, ensure_ascii=False)
    notebook.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("notebooks", type=Path, nargs="*")
    for each in parser.parse_args().notebooks or sorted(NOTEBOOKS.glob("*.ipynb")):
        keep_outputs(each, run_notebook(each.absolute(), NOTEBOOKS))
        print(f"{each}: {each.stat().st_size:,} bytes")
