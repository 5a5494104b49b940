"""Finds the column of a table that says which split a row is of."""

from collections.abc import Sequence

from lcnet.config import Table
from lcnet.data.readers.layout import ROLES, role_of
from lcnet.data.readers.table_cells import plain_cell
from lcnet.data.readers.table_columns import NAMES, SPLITS, column, key_of, reference_of
from lcnet.data.readers.table_reading import Reading
from lcnet.errors import DataError

FLAGS = {"isvalid": "val", "isval": "val", "istrain": "train", "istest": "test"}
"""Names of columns that say whether a row is of a split."""

SPLIT_WORDS = {
    "valid": "val",
    "val": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
    "holdout": "test",
    "train": "train",
    "training": "train",
}
"""Names of columns that can say so, or be labels."""

YES_OR_NO = ({"1", "0"}, {"true", "false"})


def parts_in(table: Table, reading: Reading, split: str) -> tuple[str, dict[str, str]]:
    """The column that says the split of a row, and its cell for each split."""
    for index, name in enumerate(reading.columns):
        if table.split and index != column(reading.columns, table.split, "split", split):
            continue
        cells = sorted({row[index].strip() for row in reading.rows})
        roles = {role_of(cell): cell for cell in cells}
        says_split = table.split or key_of(name) in SPLITS or _are_split_words(name, cells)
        if says_split and "" not in roles and len(roles) == len(cells) > 1:
            return reference_of(reading.columns, index), roles
        flags = FLAGS | SPLIT_WORDS if table.split else FLAGS
        if (role := flags.get(key_of(name))) and {plain_cell(cell) for cell in cells} in YES_OR_NO:
            yes, no = sorted(cells, key=lambda cell: plain_cell(cell) in ("0", "false"))
            other = "val" if role == "train" else "train"
            return reference_of(reading.columns, index), {role: yes, other: no}
    if table.split:
        raise DataError(
            f"{split}: column {table.split!r}: expected train, val and test, or True and False, "
            f"got {', '.join(map(repr, cells[:5]))}. Name the splits themselves: --data.train "
            f"'{split}[{cells[0]}]' --data.val '{split}[{cells[-1]}]'."
        )
    return "", {}


def _are_split_words(name: str, cells: Sequence[str]) -> bool:
    """Whether the cells of a column of any name are such as `train` and `val`."""
    words = {cell.lower() for cell in cells}
    known = {word for listed in ROLES.values() for word in listed}
    return key_of(name) not in NAMES and words <= known and bool(words & set(ROLES["train"]))
