"""Reads a table: one row per picture, its labels as 0/1 columns or as a list of names."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcnet.data.dataset import NEGATIVE, POSITIVE, UNKNOWN, Sample, Split
from lcnet.data.readers.checks import (
    check_known,
    check_labels,
    check_root,
    missing_split,
    targets_of,
    unreadable,
)
from lcnet.errors import DataError

MARKS = {
    "1": POSITIVE,
    "1.0": POSITIVE,
    "0": NEGATIVE,
    "0.0": NEGATIVE,
    "-1": UNKNOWN,
    "-1.0": UNKNOWN,
    "": UNKNOWN,
}
"""The cells that a 0/1 column may hold; pandas writes 1 as 1.0 if a cell is empty."""


class _Row(NamedTuple):
    line: int
    picture: str
    cells: list[str]


def read_table(
    root: Path,
    split: str,
    labels: Sequence[str] | None = None,
    *,
    separator: str | None = "|",
    pictures: Path | None = None,
) -> Split:
    """The pictures of the comma-separated UTF-8 file `split`, a path relative to `root`.

    The header names the columns. The first column holds the picture's path, relative to the folder
    `pictures` (default: `root`). The other columns have one of two forms:

    - One column per label, each cell one of `MARKS`. In a row that ends early, the labels from
      there on are unknown.
    - A single column of label names joined by `separator`; an empty cell is a picture without
      labels. A single column has this form if a cell is not in `MARKS`. If all are (empty cells, or
      names such as 0 and 1), it has this form only if `labels` has every name in the cells, but
      not the column's own name. If `separator` is None, no table has it.

    Without `labels`, the labels are the columns in the file's order, or the sorted names. Empty
    rows are skipped. Raises DataError for anything that fits neither form.
    """
    check_root(root, f"{split} and the pictures that it lists")
    columns, rows = _load(root, split)
    if separator is not None and _lists_names(columns, rows, labels):
        order, targets = _from_names(split, rows, labels, separator)
    else:
        order, targets = _from_columns(split, columns, rows, labels)
    folder = root if pictures is None else pictures
    samples = tuple(Sample(folder / row.picture, f"{split}:{row.line}") for row in rows)
    return Split(order, samples, targets, split)


def _load(root: Path, split: str) -> tuple[list[str], list[_Row]]:
    """The names of the label columns, and the rows; without outer spaces or duplicates."""
    import pandas as pd

    path = root / split
    if not path.is_file():
        raise missing_split(path, split, (str(p.relative_to(root)) for p in root.glob("*.csv")))
    try:
        # header=None: pandas would rename duplicate columns. Blank lines are kept to count lines.
        cells = pd.read_csv(
            path,
            header=None,
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",
            skip_blank_lines=False,
        )
    except (OSError, ValueError) as error:
        raise unreadable(split, "a comma-separated UTF-8 table", error) from None
    header, *body = [[cell.strip() for cell in line] for line in cells.to_numpy().tolist()]
    _check_header(split, header)
    rows = [_Row(line, row[0], row[1:]) for line, row in enumerate(body, start=2) if any(row)]
    if not rows:
        raise DataError(f"{split}: no rows. Write one row per picture under the header.")
    _check_pictures(split, rows)
    return header[1:], rows


def _check_header(split: str, header: list[str]) -> None:
    if len(header) < 2:
        raise DataError(
            f"{split}: no label column, expected a picture column and at least one more, got only "
            f"{header[0]!r}. Add the labels, and separate columns by commas."
        )
    for number, name in enumerate(header, start=1):
        if not name and number > 1:
            raise DataError(f"{split}:1: column {number} has no name. Name its label or drop it.")
        if name in header[: number - 1]:
            raise DataError(
                f"{split}:1: expected each column once, got {name!r} twice. Rename or drop one."
            )


def _check_pictures(split: str, rows: list[_Row]) -> None:
    lines: dict[Path, int] = {}
    for row in rows:
        if not row.picture:
            raise DataError(f"{split}:{row.line}: no picture in the first column. Write its path.")
        first = lines.setdefault(Path(row.picture), row.line)
        if first != row.line:
            raise DataError(
                f"{split}:{row.line}: picture {row.picture!r} is already listed in line {first}. "
                "Join the two rows."
            )


def _lists_names(columns: list[str], rows: list[_Row], labels: Sequence[str] | None) -> bool:
    if len(columns) != 1:
        return False
    cells = {row.cells[0] for row in rows}
    if not cells <= MARKS.keys():
        return True
    return labels is not None and columns[0] not in labels and cells <= {"", *labels}


def _from_names(
    split: str, rows: list[_Row], labels: Sequence[str] | None, separator: str
) -> tuple[tuple[str, ...], NDArray[np.int8]]:
    names = [
        [name for part in row.cells[0].split(separator) if (name := part.strip())] for row in rows
    ]
    listed_names = sorted({name for listed in names for name in listed})
    order = check_labels(listed_names if labels is None else labels, split)
    for row, listed in zip(rows, names, strict=True):
        for name in listed:
            check_known(name, order, f"{split}:{row.line}")
    return order, targets_of([dict.fromkeys(listed, POSITIVE) for listed in names], order)


def _from_columns(
    split: str, columns: list[str], rows: list[_Row], labels: Sequence[str] | None
) -> tuple[tuple[str, ...], NDArray[np.int8]]:
    order = check_labels(columns if labels is None else labels, split)
    for name in columns:
        check_known(name, order, f"{split}:1")
    for name in order:
        if name not in columns:
            raise DataError(
                f"{split}:1: expected a column for each label, got none for {name!r}. "
                "Add it; leave its cells empty where it is not known."
            )
    positions = [columns.index(name) for name in order]
    for row in rows:
        _check_cells(split, columns, row)
    marks = [[MARKS[row.cells[position]] for position in positions] for row in rows]
    return order, np.array(marks, dtype=np.int8)


def _check_cells(split: str, columns: list[str], row: _Row) -> None:
    for column, cell in zip(columns, row.cells, strict=True):
        if cell not in MARKS:
            raise DataError(
                f"{split}:{row.line}: column {column!r}: expected 1, 0 or, if unknown, -1 or an "
                f"empty cell, got {cell!r}. Correct the cell, or drop the column if it is no label."
            )
