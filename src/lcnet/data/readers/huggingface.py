"""Reads Hugging Face's imagefolder: pictures with a metadata file in each split's folder."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lcnet.data.dataset import NEGATIVE, POSITIVE, UNKNOWN
from lcnet.data.readers.blanks import blank_entries
from lcnet.data.readers.label_file import Asked, LabelFile, chosen, layout_of
from lcnet.data.readers.layout import Given, role_of
from lcnet.data.readers.listing import Listing, Row, counted, listing_of, near_of
from lcnet.data.readers.metadata_file import read_rows
from lcnet.data.readers.table_names import EMPTY, EMPTY_LIST, HASH, parts_of
from lcnet.errors import DataError

FILES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
PICTURE = "file_name"
TEXTS = ("label", "labels", "tag", "tags", "class", "classes", "category", "categories")
"""Columns of text that hold label names; others are captions and the like."""
COLUMNS = "columns"
"""The value of `data.labels_in` that takes the 0/1 columns, one per label."""
BITS: dict[object, int] = {1: POSITIVE, 0: NEGATIVE, "1": POSITIVE, "0": NEGATIVE}
BITS |= {"True": POSITIVE, "False": NEGATIVE, "true": POSITIVE, "false": NEGATIVE}
HEAD_BYTES = 65_536
SEPARATORS = ("|", ";", ",")

Rows = list[dict[str, Any]]
Marks = dict[str, int] | None
"""The marks of a row; None if it says nothing."""


def said(content: Rows, asked: Asked) -> Listing:
    """The pictures of a metadata file, with labels from a column of names or from 0/1 columns.

    Rows whose labels are null are left out. Raises DataError if several columns may hold the labels
    and `data.labels_in` does not choose.
    """
    near = ("",) if asked.part else near_of(asked.file)
    return said_of_rows(content, asked, near=near, part_of=lambda row: _part(row, asked))


def said_of_rows(
    content: Rows,
    asked: Asked,
    *,
    near: tuple[str, ...],
    part_of: Callable[[dict[str, Any]], str],
) -> Listing:
    """The pictures of rows, as `said` reads them; `part_of` tells the split of a row."""
    kinds = kinds_of(content, asked)
    kind = chosen(kinds, asked)
    columns = asked.columns or tuple(_bits(content, asked))
    marks_of = _reader(kind, columns, asked)
    labels = columns if kind == COLUMNS else None
    rows, names, left, outside = [], set(), 0, 0
    for number, row in enumerate(content, start=1):
        where = f"{asked.where}: row {number}"
        marks = marks_of(row, where)
        names |= {*(marks or ())}
        if asked.part and part_of(row) != asked.part:
            outside += not role_of(part_of(row))
        elif marks is None:
            left += 1
        else:
            rows.append(Row(row.get(asked.picture or PICTURE), marks, where))
    if kind == COLUMNS:
        notes = ["labels of 0/1 columns"]
    else:
        notes = [f"labels of column {kind!r}, absent where a row does not name them"]
    # With 0/1 columns each row has a mark for each.
    blank = [index for index, row in enumerate(rows) if not row.marks]
    is_unknown = bool({EMPTY, EMPTY_LIST} & {*asked.unknown})
    doubts: tuple[str, ...] = ()
    if blank:
        count = counted(len(blank), "row")
        notes.append(f"an empty list is {'unknown' if is_unknown else 'no label'} ({count})")
        names_blank = [EMPTY_LIST] * (0 if is_unknown else len(blank))
        doubts = blank_entries(asked.where, names_blank, len(rows), repr(kind))
    if left:
        notes.append(f"{counted(left, 'row')} without labels left out")
    if outside:
        notes.append(f"{counted(outside, 'row')} outside the folders of splits left out")
    listing = listing_of(asked.where, rows, labels or sorted(names), near=near, notes=notes)
    return replace(listing, nothing_known=blank if is_unknown else (), doubts=doubts)


def kinds_of(content: Rows, asked: Asked) -> dict[str, str]:
    """The columns that may hold the labels, and what each is."""
    found: dict[str, str] = {}
    for name in _names(content, asked):
        values = [row[name] for row in content if row.get(name) not in (None, "")]
        is_asked = name.lower() in TEXTS or name == asked.labels_in
        if values and all(isinstance(value, list) for value in values):
            if is_asked or any(isinstance(entry, str) for value in values for entry in value):
                found[name] = "lists"  # others are boxes and sizes
        elif values and all(isinstance(value, str) for value in values):
            found |= {name: "text"} if is_asked and not _are_bits(values) else {}
    if bits := _bits(content, asked):
        found[COLUMNS] = f"0/1 columns {', '.join(bits[:3])}"
    return found


def _names(content: Rows, asked: Asked) -> list[str]:
    picture = asked.picture or PICTURE
    return [
        name for name in dict.fromkeys(key for row in content for key in row) if name != picture
    ]


def _bits(content: Rows, asked: Asked) -> list[str]:
    return [
        name
        for name in _names(content, asked)
        if _are_bits([row[name] for row in content if row.get(name) not in (None, "")])
    ]


def _are_bits(values: Sequence[object]) -> bool:
    return bool(values) and all(
        isinstance(value, str | int | float) and value in BITS for value in values
    )


def _reader(
    kind: str, columns: Sequence[str], asked: Asked
) -> Callable[[dict[str, Any], str], Marks]:
    """How the marks of a row are read."""
    if kind == COLUMNS:
        return lambda row, where: {name: _bit(row.get(name), name, where) for name in columns}
    return lambda row, where: _listed(row.get(kind), asked.separator, where)


def _bit(value: object, name: str, where: str) -> int:
    if value is None or value == "":
        return UNKNOWN
    if not isinstance(value, str | int | float) or value not in BITS:
        raise DataError(f"{where}: {name}: expected 0 or 1, got {value!r}. Correct it.")
    return BITS[value]


def _listed(value: object, separator: str, where: str) -> Marks:
    """The names in a list, in a joined text, or in a text that is a single name."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        joined = next((sign for sign in SEPARATORS if sign in value), "")
        if value.startswith(HASH) and HASH in value[1:]:
            joined = HASH
        if joined and not separator:
            raise DataError(
                f"{where}: expected a list of names or one name, got {value[:60]!r}. If several "
                f"names are joined, set --data.separator '{joined}'."
            )
        value = parts_of(value, separator) if separator else [value]
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise DataError(
            f"{where}: expected a list of names, got {str(value)[:60]!r}. Write names in place of "
            "numbers."
        )
    return {name: POSITIVE for name in value if name}


def _part(row: dict[str, Any], asked: Asked) -> str:
    """The first folder of a row's path."""
    path = str(row.get(asked.picture or PICTURE)).replace("\\", "/").removeprefix("./")
    return path.partition("/")[0] if "/" in path else ""


def _parts(content: Rows) -> Iterator[str]:
    return (_part(row, Asked("", Path())) for row in content)


def _found(given: Given) -> list[str]:
    """The metadata files; of several that say the same of a folder, the first."""
    names = [name for name in given.below if Path(name).name.lower() in FILES]
    folders: dict[str, list[str]] = {}
    for name in sorted(names, key=lambda name: FILES.index(Path(name).name.lower())):
        folders.setdefault(name.rpartition("/")[0], []).append(name)
    found = []
    for inside in folders.values():
        found += inside[:1] if len(inside) > 1 and _agree(given, inside) else inside
    return sorted(name for name in found if given.file or _is_metadata(given, name))


def _is_metadata(given: Given, name: str) -> bool:
    """Whether its rows name files; a file of that name may be something else."""
    wanted = given.data.table.picture or PICTURE
    if name.lower().endswith(".parquet"):
        content = read_rows(given.root / name, name)
        return bool(content) and wanted in content[0]
    try:
        with (given.root / name).open("rb") as opened:
            return wanted.encode() in opened.read(HEAD_BYTES).partition(b"\n")[0]
    except OSError:
        return False


def _agree(given: Given, names: Sequence[str]) -> bool:
    """Whether files of two forms have the same pictures with the same labels."""
    listings = []
    for name in names:
        asked = Asked(name, given.root, "", given.data.labels_in, given.data.table.picture)
        try:
            listings.append(said(read_rows(given.root / name, name), asked))
        except DataError:
            return False
    rows = [dict(zip(one.pictures, one.marks, strict=True)) for one in listings]
    return all(one == rows[0] for one in rows)


HUGGINGFACE = layout_of(
    LabelFile("huggingface", "Hugging Face metadata", said, _found, read_rows, _parts)
)
