"""Finds what the labels of a table are: columns with marks, or a column of names."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from lcnet.config import Data, Table
from lcnet.data.readers.checks import is_number, is_share
from lcnet.data.readers.table_cells import is_marked, plain_cell, quoted, with_meanings
from lcnet.data.readers.table_columns import (
    CONFIDENCE,
    DOUBTFUL,
    GROUPS,
    NAMES,
    OTHERS,
    SPLITS,
    column,
    key_of,
    reference_of,
)
from lcnet.data.readers.table_doubts import check_cells, check_lone_numbers, check_numbers
from lcnet.data.readers.table_names import NOTHING, check_are_names, names_in, separator_of
from lcnet.data.readers.table_reading import Reading, cells_of
from lcnet.data.readers.table_splits import SPLIT_WORDS, YES_OR_NO, parts_in
from lcnet.errors import DataError

Rows = Literal["auto", "picture", "label"]

LONG_SHARE = 0.1
"""Share of rows that repeat a picture from which a row is taken for one label of it."""


def with_labels(
    data: Data,
    reading: Reading,
    split: str,
    labels: Sequence[str] | None,
    *,
    strict: bool,
) -> Data:
    """The settings with the columns of labels or of names, and what their cells mean."""
    table = _with_roles(data.table, reading, split)
    taken = {
        column(reading.columns, name, setting, split)
        for setting in ("picture", "split", "group", "confidence")
        if (name := getattr(table, setting))
    } | {column(reading.columns, name, "ignore", split) for name in table.ignore}
    left = [index for index in range(len(reading.columns)) if index not in taken]
    if table.labels:
        chosen = [column(reading.columns, name, "labels", split) for name in table.labels]
    elif table.names:
        chosen = []
    else:
        table, chosen = _chosen(table, reading, split, left, labels)
    if table.names:
        own = {column(reading.columns, table.names, "names", split)}
        data = _with_names(replace(data, table=table), reading, split)
    else:
        own = set(chosen)
        _check_names(reading, split, chosen)
        names = [reference_of(reading.columns, index) for index in chosen]
        cells = {plain_cell(row[index]) for row in reading.rows for index in chosen}
        table = with_meanings(replace(table, labels=names), cells, split, strict=strict)
        data = replace(data, table=replace(table, rows=_rows(table, "picture")))
    ignored = [*data.table.ignore]
    for index in left:
        if index not in own and (name := reference_of(reading.columns, index)) not in ignored:
            ignored.append(name)
    return replace(data, table=replace(data.table, ignore=ignored))


def _rows(table: Table, recognised: Rows) -> Rows:
    return recognised if table.rows == "auto" else table.rows


def _with_roles(table: Table, reading: Reading, split: str) -> Table:
    """The table with its columns of groups and, beside a column of names, of confidence."""
    found = {"group": "", "confidence": ""}
    for index, name in enumerate(reading.columns):
        cells = {row[index].strip() for row in reading.rows} - {""}
        if index == reading.picture or not cells:
            continue
        if key_of(name) in GROUPS and len(cells) > 1 and is_marked(map(plain_cell, cells)) is None:
            found["group"] = found["group"] or name
        if key_of(name) in CONFIDENCE and all(map(is_share, cells)):
            found["confidence"] = found["confidence"] or name
    has_names = table.names or any(key_of(name) in NAMES for name in reading.columns)
    return replace(
        table,
        group=table.group or found["group"],
        confidence=table.confidence or (found["confidence"] if has_names else ""),
    )


def _chosen(
    table: Table,
    reading: Reading,
    split: str,
    left: Sequence[int],
    labels: Sequence[str] | None,
) -> tuple[Table, list[int]]:
    """The table with its column of names, or the indices of its label columns."""
    if labels is not None and len(left) == 1 and _are_names(reading, left[0], labels):
        return replace(table, names=reference_of(reading.columns, left[0])), []
    split_column = parts_in(table, reading, split)[0]
    marked: dict[int, str] = {}
    texts, numbers, doubtful = [], [], []
    for index in left:
        name, cells = reading.columns[index], cells_of(reading, index)
        present = is_marked(cells, table)
        if reference_of(reading.columns, index) == split_column or _is_nothing(
            name, cells, reading
        ):
            continue
        if key_of(name) in OTHERS | SPLITS | DOUBTFUL:
            if present in cells and key_of(name) in DOUBTFUL:
                doubtful.append(index)
        elif present is not None:
            marked[index] = present
        elif all(map(is_number, cells - {""})) and key_of(name) not in NAMES and len(left) > 1:
            numbers.append(index)
        else:
            texts.append(index)
    known = [index for index in texts if key_of(reading.columns[index]) in NAMES]
    if known:  # beside names, a column without present cells says nothing
        marked = {
            i: present
            for i, present in marked.items()
            if present and present in cells_of(reading, i)
        }
    else:
        check_cells(_columns(reading, texts), split)
        check_numbers(_columns(reading, numbers), bool(marked or texts), split)
        if not (marked or texts):
            check_cells(_columns(reading, numbers), split)
        _check_doubtful(reading, split, [*marked], doubtful)
    named = known or texts
    if not marked and len(texts) == 1 and not known:
        ((name, lone),) = _columns(reading, texts).items()
        if lone and all(map(is_number, lone)):
            check_lone_numbers(name, lone, split)
    if not table.present:
        _check_families(marked, reading, split)
    if not marked and len(named) == 1:
        return replace(table, names=reference_of(reading.columns, named[0])), []
    if marked and not known and (len(marked) > 1 or not texts):
        return table, sorted(marked)
    if marked and len(known) == 1 and _same_names(table, reading, known[0], marked):
        return table, sorted(marked)
    raise _unclear(reading, split, named, sorted(marked) or doubtful)


def _columns(reading: Reading, indices: Sequence[int]) -> dict[str, list[str]]:
    """The plain cells of columns that are not empty, by what settings call the columns."""
    return {
        reference_of(reading.columns, index): [
            cell for row in reading.rows if (cell := plain_cell(row[index]))
        ]
        for index in indices
    }


def _is_nothing(name: str, cells: set[str], reading: Reading) -> bool:
    """Whether a column is empty and its header is, too."""
    return (
        cells <= {""} and reading.form.header and re.fullmatch(r"(Unnamed: \d+)?", name) is not None
    )


def _check_doubtful(
    reading: Reading, split: str, marked: Sequence[int], doubtful: Sequence[int]
) -> None:
    """Raises DataError for a column of marks that is a label, or says something else of a row."""
    ways = {is_marked(cells_of(reading, index)) for index in marked} if doubtful else set()
    for index in doubtful:
        if is_marked(cells_of(reading, index)) in ways:
            others = ", ".join(quoted(reference_of(reading.columns, other)) for other in doubtful)
            raise DataError(
                f"{split}: column {reference_of(reading.columns, index)!r} can be a label or say "
                f"something else of a picture. Set {_as_labels(reading, [*marked, *doubtful])} or "
                f"--data.table.ignore '[{others}]'."
            )
    for index in marked:
        role = SPLIT_WORDS.get(key_of(reading.columns[index]))
        if role is None or len(marked) == 1:
            continue
        rows = [plain_cell(row[index]) for row in reading.rows]
        is_often = 2 * rows.count("1") + 2 * rows.count("true") > len(rows)
        if set(rows) in YES_OR_NO and (role != "train" or is_often):
            name = reference_of(reading.columns, index)
            raise DataError(
                f"{split}: column {name!r} can be a label or say the split. Set "
                f"{_as_labels(reading, marked)} or --data.table.split {name!r}."
            )


def _as_labels(reading: Reading, indices: Sequence[int]) -> str:
    """The flag that takes columns for labels."""
    names = [quoted(reference_of(reading.columns, index)) for index in indices]
    return f"--data.table.labels '[{', '.join(names)}]'"


def _check_names(reading: Reading, split: str, chosen: Sequence[int]) -> None:
    """Raises DataError if a label column has no name, or the name of another one."""
    names = [reading.columns[index] for index in chosen]
    for index, name in zip(chosen, names, strict=True):
        if reading.form.header and not name:
            raise DataError(
                f"{split}:1: column {index + 1} has no name. Name its label, or leave it out with "
                f"--data.table.ignore '[{index + 1}]'."
            )
        if name and names.count(name) > 1:
            raise DataError(
                f"{split}:1: expected each column once, got {name!r} twice. Rename or drop one."
            )


def _check_families(marked: dict[int, str], reading: Reading, split: str) -> None:
    """Raises DataError if label columns write present in different ways, such as 1 and yes."""
    ways: dict[str, int] = {}
    for index, present in marked.items():
        if present:
            ways.setdefault(present, index)
    if len(ways) > 1:
        (first, one), (second, other) = list(ways.items())[:2]
        names = [reference_of(reading.columns, index) for index in (one, other)]
        raise DataError(
            f"{split}: column {names[0]!r} marks with {first!r} and column {names[1]!r} with "
            f"{second!r}, so it is not clear which hold labels. Name the label columns with "
            f"--data.table.labels, or set --data.table.ignore '[{quoted(names[1])}]'."
        )


def _are_names(reading: Reading, index: int, labels: Sequence[str]) -> bool:
    """Whether a model's labels tell that a single column of 0, 1 or blanks lists names."""
    cells = {row[index].strip() for row in reading.rows}
    if any(is_marked([plain_cell(cell)]) is None for cell in cells):
        return False  # texts are names in any case
    return reading.columns[index] not in labels and cells <= {"", *labels}


def _same_names(table: Table, reading: Reading, names: int, marked: dict[int, str]) -> bool:
    """Whether the label columns only repeat what a column of names says."""
    cells = {row[names] for row in reading.rows}
    try:
        separator = separator_of(cells, "")
    except DataError:
        return False
    listed = {name for cell in cells for name in names_in(cell, separator)}
    return listed <= {reading.columns[index] for index in marked}


def _unclear(
    reading: Reading, split: str, named: Sequence[int], marked: Sequence[int]
) -> DataError:
    texts = [reference_of(reading.columns, index) for index in named]
    columns = [reference_of(reading.columns, index) for index in marked]
    labels = _as_labels(reading, marked)
    if columns and texts:
        return DataError(
            f"{split}: the labels can be the names in column {texts[0]!r} or the columns "
            f"{', '.join(columns[:4])}{', ...' * (len(columns) > 4)}. Set --data.table.names "
            f"{texts[0]!r}, or {labels}."
        )
    if texts:
        flags = " or ".join(f"--data.table.names {name!r}" for name in texts[:3])
        return DataError(
            f"{split}: the columns {', '.join(map(repr, texts[:8]))} can all list the labels' "
            f"names. If one does, set {flags}. If several do, join their names in one column, "
            "with | between two names."
        )
    if columns:
        return DataError(
            f"{split}: the columns {', '.join(map(repr, columns[:8]))} can be labels or say "
            f"something else of a picture. If they are labels, set {labels}."
        )
    others = [
        name or f"column {index + 1}"
        for index, name in enumerate(reading.columns)
        if index != reading.picture
    ]
    return DataError(
        f"{split}: expected label columns of 1 and 0, or a column of names, got "
        f"{', '.join(map(repr, others[:8]))}. Name the columns with --data.table.labels or "
        "--data.table.names."
    )


def _with_names(data: Data, reading: Reading, split: str) -> Data:
    """The settings with what joins names, which mean nothing, and what a row is."""
    table = data.table
    index = column(reading.columns, table.names, "names", split)
    cells = [row[index] for row in reading.rows]
    where = f"{split}: column {table.names!r}"
    check_are_names(cells, where)
    separator = data.separator or separator_of(cells, where)
    nothing = table.none or sorted(
        {cell.strip() for cell in cells if cell.strip().lower() in NOTHING}
    )
    listed = [row[reading.picture].strip() for row in reading.rows]
    repeats = len(listed) - len(set(listed))
    single = all(len(names_in(cell, separator)) <= 1 for cell in cells)
    # Rows of one picture and name may differ in a box or in who said so.
    differ = len(set(map(tuple, reading.rows))) == len(reading.rows)
    is_long = single and differ and repeats >= LONG_SHARE * len(listed) > 0
    rows = _rows(table, "label" if is_long and repeats else "picture")
    if table.confidence and table.rows == "auto" and single:
        rows = "label"
    changed = replace(table, none=list(nothing), rows=rows)
    return replace(data, separator=separator, table=changed)
