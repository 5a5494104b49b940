"""Reads rope damage in the released layout: a folder of pictures and a table for each split."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lcnet.data.dataset import Split
from lcnet.data.readers.checks import check_root, missing_split
from lcnet.data.readers.table import read_table
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
    return replace(read_table(root, table, labels, separator=None, pictures=pictures), name=split)


def _table(split: str) -> str:
    return f"imageLabels{SPLITS[split]}.csv"
