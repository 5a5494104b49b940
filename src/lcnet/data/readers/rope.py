"""Reads rope damage in the released layout: a folder of pictures and a table for each split."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lcnet.config import Data
from lcnet.data.dataset import Split
from lcnet.data.readers.checks import check_root, missing_split
from lcnet.data.readers.table import read_table
from lcnet.data.readers.table_cells import USUAL
from lcnet.data.readers.table_file import forms, named_columns
from lcnet.errors import DataError

SPLITS = {"train": "Train", "val": "Val", "test": "Test"}
"""How each split is spelled in the names of its table and its folder of pictures."""


def read_rope(root: Path, split: str, labels: Sequence[str] | None = None) -> Split:
    """The pictures in `ropeTrain` (`ropeVal`, `ropeTest`) that `imageLabelsTrain.csv` lists.

    `split` is `train`, `val` or `test`. The table's first row is a header. The first column holds
    the picture's file name, relative to the split's folder; every further column is a label, with
    cells as in a table of 0/1 columns. Without `labels`, the labels are the columns in the file's
    order. Raises DataError for another split, for a missing table or folder, and for a table that
    `read_table` refuses.
    """
    if split not in SPLITS:
        raise DataError(
            f"rope: expected split train, val or test, got {split!r}. "
            "Set --data.train, --data.val and --data.test to these."
        )
    check_root(root, f"ropeTrain/ and {_table('train')}, and the like for Val and Test")
    table, pictures = _table(split), root / f"rope{SPLITS[split]}"
    if not (root / table).is_file():
        existing = (name for name in SPLITS if (root / _table(name)).is_file())
        raise missing_split(root / table, split, existing)
    if not pictures.is_dir():
        raise DataError(
            f"{split}: expected the pictures that {table} lists in {pictures}, got no such folder. "
            "Put them there, or set --data.root to another folder."
        )
    return replace(read_table(_as_table(root, table, pictures), table, labels), name=split)


def _as_table(root: Path, table: str, pictures: Path) -> Data:
    """The settings that read a table of the release: every column after the first is a label."""
    data = Data(format="table", root=str(root), train=table, folders=[pictures.name])
    found = forms(root / table, data.table)
    if not found:
        raise DataError(
            f"{table}: no label column, expected a picture column and at least one more. Add the "
            "labels, and separate columns by commas."
        )
    form, records = found[0]
    columns = named_columns(records, form, data.table)
    names = [name or str(number) for number, name in enumerate(columns[1:], start=2)]
    table_settings = replace(
        USUAL,
        labels=names,
        picture="1",
        header="yes",
        delimiter=form.delimiter,
        encoding=form.encoding,
    )
    return replace(data, table=table_settings)


def _table(split: str) -> str:
    return f"imageLabels{SPLITS[split]}.csv"
