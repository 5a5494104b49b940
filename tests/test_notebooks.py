"""The notebooks run from their first cell to their last, and keep only small outputs."""

import json
from pathlib import Path

import pytest
from benchmarks.notebooks import NOTEBOOKS, run_notebook
from tests.conftest import few_resamples

BOOKS = sorted(NOTEBOOKS.glob("*.ipynb"))
MOST_BYTES = 100_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One folder for all, since the second takes the first one's model if it is there."""
    return tmp_path_factory.mktemp("notebooks")


@pytest.mark.slow
@pytest.mark.parametrize("notebook", BOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(notebook: Path, folder: Path, monkeypatch):
    few_resamples(monkeypatch)
    outputs = run_notebook(notebook, folder)
    kinds = [output["output_type"] for cell in outputs for output in cell]
    assert kinds.count("stream") >= 3
    assert "display_data" in kinds


def test_an_error_in_a_cell_is_raised(tmp_path):
    cells = [
        {"cell_type": "markdown", "source": ["# A"]},
        {"cell_type": "code", "source": ["one = 1\n", "print(one, '3 s')\n", "print(one)"]},
        {"cell_type": "code", "source": ["print(one / 0)"]},
    ]
    book = tmp_path / "a.ipynb"
    book.write_text(json.dumps({"cells": cells[:2]}))
    assert [cell[0]["text"] for cell in run_notebook(book, tmp_path)] == [["1\n"]]
    book.write_text(json.dumps({"cells": cells}))
    with pytest.raises(ZeroDivisionError):
        run_notebook(book, tmp_path)


@pytest.mark.parametrize("notebook", BOOKS, ids=lambda path: path.stem)
def test_what_is_kept_is_small_and_of_all_cells(notebook: Path):
    assert notebook.stat().st_size < MOST_BYTES
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    counts = [cell["execution_count"] for cell in cells if cell["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))
