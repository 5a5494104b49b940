"""Reads predictions from tables of text."""

import warnings
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lcnet.config import Table
from lcnet.data.readers.checks import is_number
from lcnet.data.readers.table_file import SPACE, Form, TableFile, forms
from lcnet.errors import DataError
from lcnet.evaluating.gathered import Gathered
from lcnet.evaluating.prediction_columns import (
    PEEKED,
    PLAIN,
    PREFIXES,
    VALUES_AT_ONCE,
    Columns,
    Peek,
    kind_of_cells,
    left_alone,
    rows_of_text,
    understood,
)
from lcnet.evaluating.writing_predictions import PROBABILITY, TARGET

if TYPE_CHECKING:
    import pandas

PREDICTED = ("image", "error", "labels")
"""The columns before the probabilities in a table of `lcnet predict`."""
BETWEEN_NAMES = "|"
"""What stands between the names in its column `labels`."""


def read_csv(path: Path, gathered: Gathered) -> None:
    """Add the rows of a table of text with a header; also of that of `lcnet predict`."""
    table, columns, is_own = _opened(path)
    if is_own:
        _check_end(path)
    is_predicted = table.columns[:3] == PREDICTED
    gathered.expected = gathered.expected or rows_of_text(path)
    for text in left_alone(columns):
        gathered.note(text)
    blank = 0
    for first, frame in _frames(table, columns):
        if is_predicted:
            is_read = frame[1].isna()
            gathered.unread += int((~is_read).sum())
            frame = frame[is_read]
        numbers = {
            kind: _numbers(frame, places, f"{path}", first, table.columns)
            for kind, places in columns.places.items()
        }
        blank += int(np.isnan(numbers[TARGET]).sum()) if TARGET in numbers else 0
        pictures = frame[columns.picture].fillna("").tolist()
        named = _named(frame[2]) if is_predicted else None
        gathered.add(columns.labels, pictures, numbers, named=named, where=str(path))
    if blank:
        gathered.note(f"{blank:,} blank targets: taken as unknown")


def _named(cells: "pandas.Series[str]") -> list[list[str]]:
    """The labels in each cell."""
    return [cell.split(BETWEEN_NAMES) if cell else [] for cell in cells.fillna("")]


def _frames(table: TableFile, columns: Columns) -> "Iterator[tuple[int, pandas.DataFrame]]":
    """The rows in blocks, each with the number of its first record; columns are numbers.

    pandas takes a quarter of the time of the csv module for tables of numbers.
    """
    import pandas

    width = len(table.columns)
    texts = {columns.picture} | ({1, 2} if table.columns[:3] == PREDICTED else set())
    with (
        warnings.catch_warnings(),
        pandas.read_csv(
            table.path,
            sep=r"\s+" if table.form.delimiter == SPACE else table.form.delimiter,
            encoding=table.form.encoding,
            skiprows=table.form.skip,
            header=0,
            names=list(range(width)),
            index_col=False,
            dtype=dict.fromkeys(texts, str),
            keep_default_na=False,
            na_values=[""],
            chunksize=max(1, VALUES_AT_ONCE // width),
        ) as reader,
    ):
        warnings.simplefilter("error", pandas.errors.ParserWarning)  # it tells of cells left out
        warnings.simplefilter("ignore", pandas.errors.DtypeWarning)
        for frame in reader:
            if len(frame):
                yield table.first + int(frame.index[0]), frame


def _numbers(
    frame: "pandas.DataFrame", places: Sequence[int], where: str, first: int, header: Sequence[str]
) -> NDArray[np.float64]:
    """The numbers in some columns; an empty cell is NaN. Raises DataError for other cells."""
    import pandas

    for place in places:
        if frame[place].dtype.kind not in "iufb":
            numbers = pandas.to_numeric(frame[place], errors="coerce")
            for row in np.flatnonzero((numbers.isna() & frame[place].notna()).to_numpy())[:1]:
                raise DataError(
                    f"{where}:{first + row}: column {header[place]!r}: expected a number, got "
                    f"{str(frame[place].iloc[row])[:40]!r}. Correct it, or drop the column."
                )
    return frame[list(places)].to_numpy(dtype=np.float64)


def peek_csv(path: Path) -> Peek:
    """What a table of text holds, from its header and first rows."""
    table, columns, is_own = _opened(path)
    if is_own:
        return Peek("predictions", has_targets=TARGET in columns.places)
    cells = (
        record[place]
        for _, record in islice(table.records(), PEEKED)
        for place in columns.places[PLAIN]
    )
    return Peek(kind_of_cells(cells))


def _opened(path: Path) -> tuple[TableFile, Columns, bool]:
    """The table, what its columns are, and whether lcnet wrote it."""
    own = Form("utf-8-sig", ",", header=True)
    with path.open("rb") as opened:
        start = opened.readline(10_000_000).decode("utf-8-sig", errors="replace")
    is_own = any(f",{kind}" in start or f',"{kind}' in start for kind in PREFIXES)
    is_own = is_own or start.startswith(",".join(PREDICTED) + ",")
    form = own if is_own else next(iter(forms(path, Table())), (own, []))[0]
    whole = TableFile(path, Form(form.encoding, form.delimiter, False, form.skip), ())
    records = [record for _, record in islice(whole.records(), 2)]
    if not records:
        raise DataError(f"{path}: expected a table with a header, got an empty file. Write it.")
    header = tuple(name.strip("\ufeff") for name in records[0])
    _check_header(header, path)
    table = TableFile(path, Form(form.encoding, form.delimiter, True, form.skip), header)
    if header[:3] == PREDICTED:
        places = {PROBABILITY: tuple(range(3, len(header)))}
        return table, Columns(0, header[3:], places), is_own
    texts = [place for place, cell in enumerate(records[-1]) if cell and not is_number(cell)]
    return table, understood(header, str(path), texts=texts), is_own


def _check_header(header: Sequence[str], path: Path) -> None:
    """Raise DataError if the first row holds numbers, so that a picture would be taken for it."""
    if any("." in cell and is_number(cell) for cell in header):
        raise DataError(
            f"{path}: expected a header that names the labels, got numbers in the first row. Add "
            "one: picture,LABEL,LABEL."
        )


def _check_end(path: Path) -> None:
    """Raise DataError if the last line has no end: then its last number may be cut."""
    with path.open("rb") as opened:
        opened.seek(-1, 2)
        if opened.read() != b"\n":
            raise DataError(f"{path}: cut short: its last line has no end. Copy or write it again.")
