"""Recognises what the columns of a table hold: pictures, labels, names, splits, groups."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from lcnet.config import Data, Table
from lcnet.data.decoding import PICTURE_SUFFIXES
from lcnet.data.readers.layout import ROLES, by_role, role_of
from lcnet.data.readers.locating import TRIED, Folders, Place, locate, place_for, place_of
from lcnet.data.readers.table_cells import (
    is_marked,
    meaning_in_words,
    plain_cell,
    quoted,
    with_meanings,
)
from lcnet.data.readers.table_doubts import check_cells, check_numbers
from lcnet.data.readers.table_file import SPACE, Form, TableFile, forms, named_columns
from lcnet.data.readers.table_names import (
    NO_VALUE,
    NOTHING,
    as_list,
    check_are_names,
    names_in,
    separator_of,
)
from lcnet.errors import DataError

# fmt: off
NAMES = frozenset((
    "label", "labels", "tag", "tags", "class", "classes", "category", "categories", "target",
    "targets", "genre", "genres", "choice", "choices", "finding", "findings", "findinglabels",
    "attribute", "attributes", "attributeids", "keywords", "topics", "labelname", "labelnames",
    "classname", "classnames", "object", "objects",
))
"""Names of a column of names, in lower case and without other signs."""
CONFIDENCE = frozenset((
    "confidence", "score", "probability", "prob", "value", "present",
))
SPLITS = frozenset((
    "split", "set", "subset", "partition", "phase", "usage", "datasplit", "fold", "folds", "kfold",
    "cvfold", "foldid",
))
GROUPS = frozenset((
    "patient", "patientid", "subject", "subjectid", "case", "caseid", "person", "personid", "group",
    "groupid",
))
OTHERS = frozenset((
    "id", "index", "idx", "unnamed0", "level0", "age", "sex", "gender", "view", "viewposition",
    "width", "height", "followup", "date", "time", "createdat", "updatedat", "annotator",
    "annotationid", "leadtime", "source", "url", "difficult", "frontallateral", "appa", "study",
    "studyid", "series", "seriesid", "notes", "comment", "caption", "description", "title", "text",
    "isvalid", "isval", "istrain", "istest", "sha256", "md5", "count", "patientage",
    "patientgender", "patientsex", "imagedir", "imageid",
))
"""Names of columns that are no labels though their cells may look like it."""
DOUBTFUL = frozenset((
    "set", "phase", "partition", "view", "text", "source", "date", "time", "title", "caption",
    "comment", "notes", "description", "study", "series", "group", "case", "difficult", "count",
))
"""Those of them that can be names of labels as well."""
# fmt: on
Rows = Literal["auto", "picture", "label"]
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
LONG_SHARE = 0.1
"""Share of rows that repeat a picture from which a row is taken for one label of it."""


@dataclass(frozen=True)
class Understood:
    """How a table is read."""

    data: Data
    """The settings, with everything that was recognised."""
    said: str
    """One line that says it."""
    has_pictures: bool
    """Whether a picture that it lists was found."""
    example: str
    """A picture that it lists, as it is written there."""
    split: str = ""
    """Column that says the split of a row; empty if there is none."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """The cell of that column for each of train, val and test."""


@dataclass(frozen=True)
class _Reading:
    """A table in one of its possible forms, and the column of its pictures."""

    form: Form
    columns: tuple[str, ...]
    rows: list[list[str]]
    """Its first rows, each as long as the columns."""
    picture: int
    place: Place | None
    """Where the pictures lie; None if none was found."""
    is_ragged: bool = False
    """Whether a row has more cells than there are columns."""


def understand(
    data: Data, split: str, labels: Sequence[str] | None = None, *, strict: bool = True
) -> Understood:
    """How the table `split` of `data.root` is read; what the settings say stays.

    `labels` are those of a model, if there is one. Unless `strict`, an empty cell and -1 are
    unknown even if no cell says absent. Raises DataError if the table has two readings;
    the message names both and the setting that decides.
    """
    reading = _reading(data, split)
    table = replace(
        data.table,
        picture=_reference(reading.columns, reading.picture),
        delimiter=reading.form.delimiter,
        encoding=reading.form.encoding,
        header="yes" if reading.form.header else "no",
        skip=reading.form.skip,
    )
    data = _with_place(replace(data, table=table), reading, split)
    data = _with_labels(data, reading, split, labels, strict=strict)
    example = next((row[reading.picture] for row in reading.rows), "")
    name, parts = _parts(data.table, reading, split)
    said = _said(data, reading, split)
    return Understood(data, said, reading.place is not None, example, name, parts)


def column(columns: Sequence[str], reference: str, setting: str, where: str) -> int:
    """The index of a column by its name or, failing that, its number from 1.

    Raises DataError if there is none; `setting` names it.
    """
    if reference in columns:
        return list(columns).index(reference)
    if reference.isdigit() and 1 <= int(reference) <= len(columns):
        return int(reference) - 1
    shown = ", ".join(repr(name) for name in columns[:20] if name) or "no names"
    raise DataError(
        f"{where}: no column {reference!r} (there are: {shown}). Set --data.table.{setting} to a "
        "column's name, or to its number from 1."
    )


# The form of the table, and its pictures


def _reading(data: Data, split: str) -> _Reading:
    """The form in which a column leads to pictures; failing that, the most regular one."""
    path = Path(data.root, split)
    folders = Folders(Path(data.root))
    readings = []
    for form, records in forms(path, data.table):
        columns = named_columns(records, form, data.table)
        body, width = records[form.header :], len(columns)
        rows = [_as_long(record, width) for record in body]
        is_ragged = any(any(map(str.strip, record[width:])) for record in body)
        plain = _Reading(form, columns, rows, 0, None, is_ragged)
        if reading := _pictures(data, split, plain, folders):
            readings.append(reading)
            if reading.place is not None:
                break
    if not readings:
        header = (
            f", got only {', '.join(columns)!r}" if (columns := _first_line(data, path)) else ""
        )
        raise DataError(
            f"{split}: no label column, expected a picture column and at least one more{header}. "
            "Add the labels, and separate columns by commas."
        )
    reading = next((one for one in readings if one.place is not None), readings[0])
    if reading.is_ragged:
        _refuse_long(TableFile(path, reading.form, reading.columns), split)
    return _without_header(data, reading, folders)


def _refuse_long(file: TableFile, split: str) -> None:
    for number, record in file.records():
        if too_long := long_row(number, record, len(file.columns), split):
            raise too_long


def long_row(number: int, record: Sequence[str], width: int, split: str) -> DataError | None:
    """The error for a row with more cells than there are columns; None if it has not."""
    if len(record) <= width or not any(map(str.strip, record[width:])):
        return None
    return DataError(
        f"{split}:{number}: expected {width} cells, got {len(record)}. Correct the row; a cell "
        "with a separator in it needs quotation marks."
    )


def _first_line(data: Data, path: Path) -> tuple[str, ...]:
    whole = TableFile(path, Form(data.table.encoding or "utf-8", "\x1f", header=False), ())
    return next((tuple(record) for _, record in whole.records()), ())


def _without_header(data: Data, reading: _Reading, folders: Folders) -> _Reading:
    """The reading with the first row as a row, if that lists a picture as the others do."""
    if data.table.header != "auto" or not reading.form.header:
        return reading
    cell = reading.columns[reading.picture]
    if reading.place is not None:
        is_row = not locate([cell], folders, reading.place).missing
    else:
        is_row = Path(cell).suffix.lower() in PICTURE_SUFFIXES
    if not is_row:
        return reading
    return replace(
        reading,
        form=replace(reading.form, header=False),
        columns=("",) * len(reading.columns),
        rows=[list(reading.columns), *reading.rows],
    )


def _pictures(data: Data, split: str, reading: _Reading, folders: Folders) -> _Reading | None:
    """The reading with its column of pictures; None if it has no other column."""
    if len(reading.columns) < 2:
        return None
    suffixed, distinct = _like_pictures(reading)
    if data.table.picture:
        suffixed = [column(reading.columns, data.table.picture, "picture", split)]
        distinct = []
    found = _leading(data, split, reading, folders, suffixed)
    found = found or _leading(data, split, reading, folders, distinct)
    if not found:
        return replace(reading, picture=suffixed[0] if suffixed else 0)
    found.sort(key=lambda one: one[:2])
    best = found[0]
    rivals = [one for one in found[1:] if one[0] == best[0] and one[3] != best[3]]
    if rivals:
        names = [_reference(reading.columns, one[1]) for one in (best, rivals[0])]
        raise DataError(
            f"{split}: the columns {names[0]!r} and {names[1]!r} both lead to pictures. Set "
            f"--data.table.picture {names[0]!r} or --data.table.picture {names[1]!r}."
        )
    return replace(reading, picture=best[1], place=best[2])


def _leading(
    data: Data, split: str, reading: _Reading, folders: Folders, columns: Sequence[int]
) -> list[tuple[int, int, Place, list[str]]]:
    """The columns that lead to pictures: how many are missing, the column, the place, the files."""
    found = []
    for index in columns:
        listed = [row[index] for row in reading.rows if row[index].strip()]
        place = place_for(data, split, listed, folders) if listed else None
        if place is None:
            continue
        hits = locate(listed[:TRIED], folders, place)
        if len(hits.missing) < len(hits.files):
            found.append((len(hits.missing), index, place, hits.files))
    return found


def _like_pictures(reading: _Reading) -> tuple[list[int], list[int]]:
    """The columns that may hold pictures: those with their suffixes, those whose cells differ."""
    suffixed, distinct = [], []
    for index in range(len(reading.columns)):
        cells = [row[index].strip() for row in reading.rows if row[index].strip()]
        if not cells:
            continue
        if _pictures_in(reading, index):
            suffixed.append(index)
        elif is_marked(map(plain_cell, cells)) is None and len(set(cells)) > 0.5 * len(cells):
            distinct.append(index)
    return suffixed, distinct


def _pictures_in(reading: _Reading, index: int) -> bool:
    """Whether most cells of a column end as the names of pictures do."""
    cells = [row[index].strip() for row in reading.rows[:200] if row[index].strip()]
    pictures = sum(Path(cell).suffix.lower() in PICTURE_SUFFIXES for cell in cells)
    return 2 * pictures > len(cells)


def _with_place(data: Data, reading: _Reading, split: str) -> Data:
    """The settings with where the pictures lie, unless that is beside the table or in the root."""
    place = reading.place
    if place is None:
        return data
    suffixes = [suffix for suffix in place.suffixes if suffix]
    if place_of(data) is not None:
        return replace(data, suffixes=suffixes)
    own = str(Path(split).parent) if "/" in split else ""
    role = next(iter(by_role([split])), "")
    # Each split's pictures may lie in a folder of that split, so none is set for all of them.
    near = place.strip == 0 and all(
        folder in (own, "") or role in by_role([folder]) for folder in place.folders
    )
    return replace(
        data,
        folders=data.folders or ([] if near else [folder or "." for folder in place.folders]),
        strip=place.strip,
        suffixes=suffixes,
    )


# Labels


def _with_labels(
    data: Data,
    reading: _Reading,
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
        names = [_reference(reading.columns, index) for index in chosen]
        cells = {plain_cell(row[index]) for row in reading.rows for index in chosen}
        table = with_meanings(replace(table, labels=names), cells, split, strict=strict)
        data = replace(data, table=replace(table, rows=_rows(table, "picture")))
    ignored = [*data.table.ignore]
    for index in left:
        if index not in own and (name := _reference(reading.columns, index)) not in ignored:
            ignored.append(name)
    return replace(data, table=replace(data.table, ignore=ignored))


def _rows(table: Table, recognised: Rows) -> Rows:
    return recognised if table.rows == "auto" else table.rows


def _with_roles(table: Table, reading: _Reading, split: str) -> Table:
    """The table with its columns of groups and, beside a column of names, of confidence."""
    found = {"group": "", "confidence": ""}
    for index, name in enumerate(reading.columns):
        cells = {row[index].strip() for row in reading.rows} - {""}
        if index == reading.picture or not cells:
            continue
        if _key(name) in GROUPS and len(cells) > 1 and is_marked(map(plain_cell, cells)) is None:
            found["group"] = found["group"] or name
        if _key(name) in CONFIDENCE and all(map(_is_share, cells)):
            found["confidence"] = found["confidence"] or name
    has_names = table.names or any(_key(name) in NAMES for name in reading.columns)
    return replace(
        table,
        group=table.group or found["group"],
        confidence=table.confidence or (found["confidence"] if has_names else ""),
    )


def _parts(table: Table, reading: _Reading, split: str) -> tuple[str, dict[str, str]]:
    """The column that says the split of a row, and its cell for each split."""
    for index, name in enumerate(reading.columns):
        if table.split and index != column(reading.columns, table.split, "split", split):
            continue
        cells = sorted({row[index].strip() for row in reading.rows})
        roles = {role_of(cell): cell for cell in cells}
        says_split = table.split or _key(name) in SPLITS or _are_split_words(name, cells)
        if says_split and "" not in roles and len(roles) == len(cells) > 1:
            return _reference(reading.columns, index), roles
        flags = FLAGS | SPLIT_WORDS if table.split else FLAGS
        if (role := flags.get(_key(name))) and {plain_cell(cell) for cell in cells} in YES_OR_NO:
            yes, no = sorted(cells, key=lambda cell: plain_cell(cell) in ("0", "false"))
            other = "val" if role == "train" else "train"
            return _reference(reading.columns, index), {role: yes, other: no}
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
    return _key(name) not in NAMES and words <= known and bool(words & set(ROLES["train"]))


def _chosen(
    table: Table,
    reading: _Reading,
    split: str,
    left: Sequence[int],
    labels: Sequence[str] | None,
) -> tuple[Table, list[int]]:
    """The table with its column of names, or the indices of its label columns."""
    if labels is not None and len(left) == 1 and _are_names(reading, left[0], labels):
        return replace(table, names=_reference(reading.columns, left[0])), []
    split_column = _parts(table, reading, split)[0]
    marked: dict[int, str] = {}
    texts, numbers, doubtful = [], [], []
    for index in left:
        name, cells = reading.columns[index], _cells(reading, index)
        present = is_marked(cells, table)
        if _reference(reading.columns, index) == split_column or _is_nothing(name, cells, reading):
            continue
        if _key(name) in OTHERS | SPLITS | DOUBTFUL:
            if present in cells and _key(name) in DOUBTFUL:
                doubtful.append(index)
        elif present is not None:
            marked[index] = present
        elif all(map(_is_number, cells - {""})) and _key(name) not in NAMES and len(left) > 1:
            numbers.append(index)
        else:
            texts.append(index)
    known = [index for index in texts if _key(reading.columns[index]) in NAMES]
    if known:  # beside names, a column without present cells says nothing
        marked = {
            i: present for i, present in marked.items() if present and present in _cells(reading, i)
        }
    else:
        check_cells(_columns(reading, texts), split)
        check_numbers(_columns(reading, numbers), bool(marked or texts), split)
        if not (marked or texts):
            check_cells(_columns(reading, numbers), split)
        _check_doubtful(reading, split, [*marked], doubtful)
    named = known or texts
    if not table.present:
        _check_families(marked, reading, split)
    if not marked and len(named) == 1:
        return replace(table, names=_reference(reading.columns, named[0])), []
    if marked and not known and (len(marked) > 1 or not texts):
        return table, sorted(marked)
    if marked and len(known) == 1 and _same_names(table, reading, known[0], marked):
        return table, sorted(marked)
    raise _unclear(reading, split, named, sorted(marked) or doubtful)


def _cells(reading: _Reading, index: int) -> set[str]:
    """The plain cells of a column."""
    return {plain_cell(row[index]) for row in reading.rows}


def _columns(reading: _Reading, indices: Sequence[int]) -> dict[str, list[str]]:
    """The plain cells of columns that are not empty, by what settings call the columns."""
    return {
        _reference(reading.columns, index): [
            cell for row in reading.rows if (cell := plain_cell(row[index]))
        ]
        for index in indices
    }


def _is_nothing(name: str, cells: set[str], reading: _Reading) -> bool:
    """Whether a column is empty and its header is, too."""
    return (
        cells <= {""} and reading.form.header and re.fullmatch(r"(Unnamed: \d+)?", name) is not None
    )


def _check_doubtful(
    reading: _Reading, split: str, marked: Sequence[int], doubtful: Sequence[int]
) -> None:
    """Raises DataError for a column of marks that is a label, or says something else of a row."""
    ways = {is_marked(_cells(reading, index)) for index in marked} if doubtful else set()
    for index in doubtful:
        if is_marked(_cells(reading, index)) in ways:
            others = ", ".join(quoted(_reference(reading.columns, other)) for other in doubtful)
            raise DataError(
                f"{split}: column {_reference(reading.columns, index)!r} can be a label or say "
                f"something else of a picture. Set {_as_labels(reading, [*marked, *doubtful])} or "
                f"--data.table.ignore '[{others}]'."
            )
    for index in marked:
        role = SPLIT_WORDS.get(_key(reading.columns[index]))
        if role is None or len(marked) == 1:
            continue
        rows = [plain_cell(row[index]) for row in reading.rows]
        is_often = 2 * rows.count("1") + 2 * rows.count("true") > len(rows)
        if set(rows) in YES_OR_NO and (role != "train" or is_often):
            name = _reference(reading.columns, index)
            raise DataError(
                f"{split}: column {name!r} can be a label or say the split. Set "
                f"{_as_labels(reading, marked)} or --data.table.split {name!r}."
            )


def _as_labels(reading: _Reading, indices: Sequence[int]) -> str:
    """The flag that takes columns for labels."""
    names = [quoted(_reference(reading.columns, index)) for index in indices]
    return f"--data.table.labels '[{', '.join(names)}]'"


def _check_names(reading: _Reading, split: str, chosen: Sequence[int]) -> None:
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


def _check_families(marked: dict[int, str], reading: _Reading, split: str) -> None:
    """Raises DataError if label columns write present in different ways, such as 1 and yes."""
    ways: dict[str, int] = {}
    for index, present in marked.items():
        if present:
            ways.setdefault(present, index)
    if len(ways) > 1:
        (first, one), (second, other) = list(ways.items())[:2]
        names = [_reference(reading.columns, index) for index in (one, other)]
        raise DataError(
            f"{split}: column {names[0]!r} marks with {first!r} and column {names[1]!r} with "
            f"{second!r}, so it is not clear which hold labels. Name the label columns with "
            f"--data.table.labels, or set --data.table.ignore '[{quoted(names[1])}]'."
        )


def _are_names(reading: _Reading, index: int, labels: Sequence[str]) -> bool:
    """Whether a model's labels tell that a single column of 0, 1 or blanks lists names."""
    cells = {row[index].strip() for row in reading.rows}
    if any(is_marked([plain_cell(cell)]) is None for cell in cells):
        return False  # texts are names in any case
    return reading.columns[index] not in labels and cells <= {"", *labels}


def _same_names(table: Table, reading: _Reading, names: int, marked: dict[int, str]) -> bool:
    """Whether the label columns only repeat what a column of names says."""
    cells = {row[names] for row in reading.rows}
    try:
        separator = separator_of(cells, "")
    except DataError:
        return False
    listed = {name for cell in cells for name in names_in(cell, separator)}
    return listed <= {reading.columns[index] for index in marked}


def _unclear(
    reading: _Reading, split: str, named: Sequence[int], marked: Sequence[int]
) -> DataError:
    texts = [_reference(reading.columns, index) for index in named]
    columns = [_reference(reading.columns, index) for index in marked]
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


# Names


def _with_names(data: Data, reading: _Reading, split: str) -> Data:
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


# Words


def _said(data: Data, reading: _Reading, split: str) -> str:
    table = data.table
    parts = [f"pictures in {_named(reading, reading.picture)}{_where(data)}"]
    if table.names:
        index = column(reading.columns, table.names, "names", split)
        cells = [row[index] for row in reading.rows]
        listed = any(as_list(cell) is not None for cell in cells)
        how = "as lists" if listed else f"joined by {data.separator!r}"
        parts.append(f"names in {_named(reading, index)}, {how}")
        empty = sorted({cell.strip() for cell in cells if cell.strip().lower() in NO_VALUE} - {""})
        if nothing := [*table.none, *empty]:
            parts.append(f"{', '.join(map(repr, nothing))} is no label")
        if table.rows == "label":
            parts.append(
                "a row per label" + (f", sure by {table.confidence!r}" * bool(table.confidence))
            )
    else:
        labels = [label_of(reference, reading.columns) for reference in table.labels]
        shown = ", ".join(labels[:5]) + ", ..." * (len(labels) > 5)
        parts.append(f"{len(labels)} label column{'s' * (len(labels) != 1)} ({shown})")
        parts.append(meaning_in_words(table))
    if not reading.form.header and not table.columns:
        parts.append("no header (--data.table.columns names the columns)")
    if reading.form.delimiter != ",":
        signs = {"\t": "tabs", SPACE: "blanks"}
        parts.append(
            f"columns separated by {signs.get(reading.form.delimiter, reading.form.delimiter)}"
        )
    if reading.form.encoding not in ("utf-8", "utf-8-sig"):
        parts.append(f"encoding {reading.form.encoding}")
    if table.group:
        parts.append(f"groups in {table.group!r}")
    if others := [name if name in reading.columns else f"column {name}" for name in table.ignore]:
        shown = ", ".join(others[:8]) + ", ..." * (len(others) > 8)
        parts.append(f"left alone: {shown}")
    return f"table {split}: {'; '.join(parts)}"


def _where(data: Data) -> str:
    """Where pictures lie, if not beside the table."""
    text = f" + {data.suffixes[0]}" if data.suffixes else ""
    return text + (f" below {', '.join(data.folders[:3])}" if data.folders else "")


def _named(reading: _Reading, index: int) -> str:
    name = reading.columns[index]
    return f"column {index + 1}" + (f" {name!r}" if name else "")


def label_of(reference: str, columns: Sequence[str]) -> str:
    """The label of a column that a setting names: label_1 for column 2 if it has no name."""
    is_number = reference not in columns and reference.isdigit()
    return f"label_{int(reference) - 1}" if is_number else reference


def _reference(columns: Sequence[str], index: int) -> str:
    """What a setting calls a column: its name, or its number if it has none of its own."""
    name = columns[index]
    return name if name and columns.count(name) == 1 else str(index + 1)


def _key(name: str) -> str:
    """A column's name in lower case, letters and digits alone."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _is_share(cell: str) -> bool:
    return _is_number(cell) and 0 <= float(cell) <= 1


def _as_long(record: Sequence[str], width: int) -> list[str]:
    return ([*record] + [""] * width)[:width]
