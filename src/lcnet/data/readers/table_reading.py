"""Finds the form in which a table leads to pictures, and the column of the pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from pathlib import Path

from lcnet.config import Data
from lcnet.data.decoding import PICTURE_SUFFIXES
from lcnet.data.readers.layout import by_role
from lcnet.data.readers.locating import TRIED, Folders, Place, locate, place_for, place_of
from lcnet.data.readers.table_cells import is_marked, plain_cell
from lcnet.data.readers.table_columns import column, long_row, reference_of
from lcnet.data.readers.table_file import Form, TableFile, forms, is_header_row, named_columns
from lcnet.errors import DataError

MOST_ABOVE = 20
"""Lines above a header that are tried to be left out."""


@dataclass(frozen=True)
class Reading:
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


def reading_of(data: Data, split: str) -> Reading:
    """The form in which a column leads to pictures; failing that, the most regular one.

    Raises DataError if no form has two columns, or if the header seems to be further below.
    """
    folders = Folders(Path(data.root))
    try:
        reading = _reading_of(data, split, folders)
    except DataError as error:
        if lines := _above(data, split, folders):
            raise DataError(_skipped(split, lines)) from error
        raise
    first, *others = reading.rows or [[]]
    is_unsure = reading.form.header and is_header_row(first, others)
    if is_unsure and (lines := _above(data, split, folders)):
        raise DataError(_skipped(split, lines))
    return reading


def _above(data: Data, split: str, folders: Folders) -> int:
    """How many lines must be left out above the header to find pictures; 0 if that is not it."""
    if data.table.skip:
        return 0
    for lines in _like_headers(Path(data.root, split)):
        try:
            table = replace(data.table, skip=lines)
            reading = _reading_of(replace(data, table=table), split, folders)
        except DataError:
            continue
        if reading.place is not None and reading.form.header:
            return reading.form.skip
    return 0


def _like_headers(path: Path) -> list[int]:
    """How many lines stand above each that has as many separators as the next; few are tried."""
    whole = TableFile(path, Form("latin-1", "\x1f", header=False), ())
    first = [(number - 1, record[0]) for number, record in islice(whole.records(), MOST_ABOVE + 2)]
    return [
        above
        for (above, line), (_, below) in pairwise(first)
        if above and any(0 < line.count(sign) == below.count(sign) for sign in ",;\t|")
    ]


def _skipped(split: str, lines: int) -> str:
    return (
        f"{split}: expected the names of the columns in the first line, found them in line "
        f"{lines + 1}. Delete what is above, or set --data.table.skip {lines}."
    )


def _reading_of(data: Data, split: str, folders: Folders) -> Reading:
    path = Path(data.root, split)
    readings = []
    for form, records in forms(path, data.table):
        columns = named_columns(records, form, data.table)
        body, width = records[form.header :], len(columns)
        rows = [_as_long(record, width) for record in body]
        is_ragged = any(any(map(str.strip, record[width:])) for record in body)
        plain = Reading(form, columns, rows, 0, None, is_ragged)
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
            "Add the labels, and separate columns by commas; if there are other lines above the "
            "names of the columns, set --data.table.skip to their number."
        )
    reading = next((one for one in readings if one.place is not None), readings[0])
    if reading.is_ragged:
        _refuse_long(TableFile(path, reading.form, reading.columns), split)
    return _without_header(data, reading, folders)


def _refuse_long(file: TableFile, split: str) -> None:
    for number, record in file.records():
        if too_long := long_row(number, record, len(file.columns), split):
            raise too_long


def _first_line(data: Data, path: Path) -> tuple[str, ...]:
    whole = TableFile(path, Form(data.table.encoding or "utf-8", "\x1f", header=False), ())
    return next((tuple(record) for _, record in whole.records()), ())


def _without_header(data: Data, reading: Reading, folders: Folders) -> Reading:
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


def _pictures(data: Data, split: str, reading: Reading, folders: Folders) -> Reading | None:
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
        names = [reference_of(reading.columns, one[1]) for one in (best, rivals[0])]
        raise DataError(
            f"{split}: the columns {names[0]!r} and {names[1]!r} both lead to pictures. Set "
            f"--data.table.picture {names[0]!r} or --data.table.picture {names[1]!r}."
        )
    return replace(reading, picture=best[1], place=best[2])


def _leading(
    data: Data, split: str, reading: Reading, folders: Folders, columns: Sequence[int]
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


def _like_pictures(reading: Reading) -> tuple[list[int], list[int]]:
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


def _pictures_in(reading: Reading, index: int) -> bool:
    """Whether most cells of a column end as the names of pictures do."""
    cells = [row[index].strip() for row in reading.rows[:200] if row[index].strip()]
    pictures = sum(Path(cell).suffix.lower() in PICTURE_SUFFIXES for cell in cells)
    return 2 * pictures > len(cells)


def with_place(data: Data, reading: Reading, split: str) -> Data:
    """The settings with where the pictures lie, unless that is beside the table or in the root."""
    place = reading.place
    if place is None:
        return data
    suffixes = [suffix for suffix in place.suffixes if suffix]
    if place_of(data) is not None:
        return replace(data, strip=place.strip, suffixes=suffixes)
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


def cells_of(reading: Reading, index: int) -> set[str]:
    """The plain cells of a column."""
    return {plain_cell(row[index]) for row in reading.rows}


def _as_long(record: Sequence[str], width: int) -> list[str]:
    return ([*record] + [""] * width)[:width]
