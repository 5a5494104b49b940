"""Opens a table: its compression, encoding, delimiter and header, and its records."""

import bz2
import csv
import gzip
import io
import lzma
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import IO

from lcnet.config import Table
from lcnet.data.decoding import PICTURE_SUFFIXES
from lcnet.data.readers.checks import unreadable
from lcnet.errors import DataError

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".tab", ".txt"})
COMPRESSED = frozenset({".gz", ".bz2", ".xz", ".zip"})
SPACE = "space"
"""The delimiter setting for any number of blanks."""
DELIMITERS = (",", ";", "\t", "|", SPACE)
UNREADABLE = (OSError, ValueError, EOFError, lzma.LZMAError, zipfile.BadZipFile)
"""What opening and reading a file of text can raise."""
SAMPLE = 2_000
"""Records from which delimiter and columns are recognised."""
SAMPLE_CELLS = 500_000
"""Most cells of these records."""
SAMPLE_CHARACTERS = 2**23
"""Most characters of the table that are looked at for that."""
BLOCK = 2**20
BYTE_ORDER_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)

ABOVE = re.compile(r"\ufeff?(sep=.\s*$|\s*$|\"?#)")
"""The start of a line above the header that is no record."""
REMARK = re.compile(r"\ufeff?\"?#")
LOOKED_AT = 50
"""Lines that tell whether one above them is their header."""

csv.field_size_limit(sys.maxsize)  # a cell may list any number of names


@dataclass(frozen=True)
class Form:
    """How the text of a table becomes records."""

    encoding: str
    delimiter: str
    """One character, or `SPACE`."""
    header: bool
    """Whether the first record names the columns."""
    skip: int = 0
    """Lines before the header that are left out."""


@dataclass(frozen=True)
class TableFile:
    """A table on disk whose form is known."""

    path: Path
    form: Form
    columns: tuple[str, ...]
    """The names of the columns; empty where a column has none."""

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """Each record below the header that is not empty, with its number in the file, from 1.

        Raises DataError if the file cannot be read to its end.
        """
        first = self.first
        for number, record in self._numbered():
            if number >= first and any(record):
                yield number, record

    @property
    def first(self) -> int:
        """The number of the first record below the header."""
        return self.form.skip + (2 if self.form.header else 1)

    def raw_records(self) -> Iterator[tuple[int, str, list[str]]]:
        """Each record with its number and its text, line end included; also what is above."""
        kept: list[str] = []
        for number, record in self._numbered(kept):
            yield number, "".join(kept), record
            kept.clear()

    def _numbered(self, kept: list[str] | None = None) -> Iterator[tuple[int, list[str]]]:
        """All records with their numbers; the lines of the last one are added to `kept`."""
        skip = self.form.skip
        try:
            with _opened(self.path, self.form.encoding) as text:
                lines: Iterator[str] = iter(text)
                if kept is not None:
                    lines = _keeping(lines, kept)
                for number in range(1, skip + 1):
                    yield number, [next(lines, "")]
                for number, record in enumerate(_parsed(lines, self.form.delimiter), 1 + skip):
                    yield number, record
        except (
            OSError,
            ValueError,
            EOFError,
            csv.Error,
            lzma.LZMAError,
            zipfile.BadZipFile,
        ) as error:
            raise unreadable(self.path.name, f"a table in {self.form.encoding}", error) from None

    def sample(self) -> list[list[str]]:
        """The first records below the header, each as long as the header."""
        width = len(self.columns)
        return [(record + [""] * width)[:width] for _, record in islice(self.records(), SAMPLE)]


def opened_records(path: Path, form: Form) -> list[list[str]]:
    """The first two records of a table, from which the columns follow."""
    whole = TableFile(path, replace(form, header=False), ())
    return [record for _, record in islice(whole.records(), 2)]


def _keeping(lines: Iterable[str], kept: list[str]) -> Iterator[str]:
    for line in lines:
        kept.append(line)
        yield line


def is_table(name: str) -> bool:
    """Whether a file's name is that of a table of text, compressed or not."""
    path = Path(name)
    if path.suffix.lower() in COMPRESSED:
        path = Path(path.stem)
    return path.suffix.lower() in TABLE_SUFFIXES


def forms(path: Path, table: Table) -> list[tuple[Form, list[list[str]]]]:
    """The forms in which a table can be read, each with its first records; the likeliest first.

    With a header, that is the first of the records. The settings of the table leave less to
    choose. Raises DataError if the file is no text. The records are shared: do not change them.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise unreadable(path.name, "a table of text, such as CSV", error) from None
    header = table.header != "no" and not table.columns
    asked = (table.encoding, table.delimiter.replace("\\t", "\t"), header, table.skip)
    return _forms(path, (stat.st_size, stat.st_mtime_ns), *asked)


@lru_cache(maxsize=16)  # each known layout asks for the columns of each table
def _forms(
    path: Path, state: tuple[int, int], encoding: str, delimiter: str, header: bool, skip: int
) -> list[tuple[Form, list[list[str]]]]:
    encoding = encoding or _encoding(path)
    lines, is_whole = _head(path, encoding)
    skip = skip or _remarks(lines)
    while skip < len(lines) and not lines[skip].strip():
        skip += 1
    found = []
    wrong: csv.Error | None = None
    for tried in (delimiter,) if delimiter else DELIMITERS:
        form = Form(encoding, tried, header, skip)
        try:
            records = _first_records(lines[skip:], tried, is_whole=is_whole)
        except csv.Error as error:
            wrong = wrong or error
            continue
        if score := _regularity(records):
            found.append((score, len(records[0]), (form, records)))
        elif delimiter and records:
            return [(form, records)]
    if not found and wrong:
        raise unreadable(path.name, "a table of text, such as CSV", wrong) from None
    return [entry for _, _, entry in sorted(found, key=lambda one: one[:2], reverse=True)]


def _head(path: Path, encoding: str) -> tuple[list[str], bool]:
    """The first lines of a file, and whether they are all."""
    try:
        with _opened(path, encoding) as text:
            head = text.read(SAMPLE_CHARACTERS)
            is_whole = not text.read(1)
    except (*UNREADABLE, LookupError) as error:
        raise unreadable(path.name, "a table of text, such as CSV", error) from None
    if not head.strip():
        raise DataError(
            f"{path.name}: expected a table, got an empty file. Write one row a picture."
        )
    lines = list(io.StringIO(head, newline=""))
    if not is_whole and len(lines) > 1:
        lines.pop()  # it may be cut
    return lines, is_whole


def _remarks(lines: Sequence[str]) -> int:
    """How many lines above the header are no records: Excel's `sep=;`, blanks, and remarks.

    Remarks start with `#`. The last of them is the header if no other line can be.
    """
    count = 0
    while count < len(lines) and ABOVE.match(lines[count]):
        count += 1
    if count == len(lines):
        return 0
    last = lines[count - 1] if count else ""
    return count - (REMARK.match(last) is not None and _is_header(last, lines[count:]))


def _is_header(line: str, below: Sequence[str]) -> bool:
    """Whether a line that starts with `#` names the columns of the lines below it."""
    for delimiter in DELIMITERS[:4]:
        rows = [row.strip("\r\n").split(delimiter) for row in below[:LOOKED_AT] if row.strip()]
        width = len(line.split(delimiter))
        if width > 1 and all(len(row) == width for row in rows):
            return not is_header_row(rows[0], rows[1:])
    return False


def is_header_row(row: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether a row without numbers and pictures stands above rows that have them."""
    columns = zip(*below, strict=False)
    return not any(map(_is_value, row)) and any(all(map(_is_value, cells)) for cells in columns)


def _is_value(cell: str) -> bool:
    """Whether a cell is a number or the name of a picture, which no column is called."""
    cell = cell.strip().strip('"')
    if Path(cell).suffix.lower() in PICTURE_SUFFIXES:
        return True
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _first_records(lines: list[str], delimiter: str, *, is_whole: bool) -> list[list[str]]:
    """The first records of lines that are not empty. Raises csv.Error for wrong quotation marks."""
    records: list[list[str]] = []
    try:
        for record in _parsed(lines, delimiter):
            if not any(record):
                continue
            records.append(record)
            if len(records) == SAMPLE or len(records) * len(record) > SAMPLE_CELLS:
                break
    except csv.Error:
        if is_whole or not records:
            raise  # else the last cell is cut in the middle
    return records


def named_columns(records: Sequence[Sequence[str]], form: Form, table: Table) -> tuple[str, ...]:
    """The names of the columns: those of the settings or of the header; else empty names."""
    if table.columns:
        return tuple(table.columns)
    if not form.header:
        return ("",) * max(map(len, records), default=0)
    header = tuple(name.strip("\ufeff \t") for name in records[0])  # some files have two marks
    widths = {len(record) for record in records[1:]}
    if widths != {len(header) + 1}:
        return header
    if not any(record[-1].strip() for record in records[1:]):
        return (*header, "")  # each row ends with a separator
    # R's write.table and CelebA name all columns but the first.
    return ("", *header) if form.delimiter == SPACE else header


def _regularity(records: Sequence[Sequence[str]]) -> float:
    """The share of records that are as long as the header demands; 0 below half."""
    if not records or max(len(records[0]), len(records[-1])) < 2:
        return 0.0
    width = len(records[0])
    longer = sum(len(record) == width + 1 for record in records[1:])
    if longer and longer == len(records) - 1:
        return 1.0
    if width < 2:
        return 0.0
    same = sum(len(record) == width for record in records)
    shorter = sum(1 < len(record) < width for record in records)
    share = (same + shorter / 2) / len(records)
    return share if share > 0.5 else 0.0


def _parsed(text: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    """The records in lines of text. Raises csv.Error for wrong quotation marks."""
    if delimiter == SPACE:
        return (line.split() for line in text)
    return _separated(iter(text), delimiter)


def _separated(lines: Iterator[str], delimiter: str) -> Iterator[list[str]]:
    """The same; most lines have no quotation marks, and then need no parser, which takes longer."""
    for line in lines:
        if '"' not in line:
            yield line.rstrip("\r\n").split(delimiter)
            continue
        # strict: a quotation mark that is never closed would make one cell of all rows after it.
        blanks = delimiter != "\t"
        rest = chain((line,), lines)  # a cell in quotation marks may go on in the next lines
        yield next(csv.reader(rest, delimiter=delimiter, skipinitialspace=blanks, strict=True))


# Bytes and text


def _encoding(path: Path) -> str:
    """UTF-8 if the whole file is; UTF-16 with a mark; else Windows' Western encoding."""
    try:
        with _bytes(path) as file:
            start = file.read(4)
            for mark, name in BYTE_ORDER_MARKS:
                if start.startswith(mark):
                    return name
            if b"\0" in start:
                return "utf-16-be" if start.startswith(b"\0") else "utf-16-le"
    except (OSError, EOFError, ValueError, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise unreadable(path.name, "a table of text, such as CSV", error) from None
    for name in ("utf-8", "cp1252"):
        try:
            with _opened(path, name) as text:
                while block := text.read(BLOCK):
                    if "\0" in block:
                        raise DataError(
                            f"{path.name}: expected a table of text, got zero bytes. Save it "
                            "as CSV."
                        )
            return name
        except UnicodeDecodeError:
            continue
        except (OSError, EOFError, lzma.LZMAError, zipfile.BadZipFile) as error:
            raise unreadable(path.name, "a table of text, such as CSV", error) from None
    raise DataError(
        f"{path.name}: expected text in UTF-8, UTF-16 or cp1252, got another encoding. Set "
        "--data.table.encoding, or save the table as UTF-8."
    )


@contextmanager
def _opened(path: Path, encoding: str) -> Iterator[IO[str]]:
    with _bytes(path) as file, io.TextIOWrapper(file, encoding=encoding, newline="") as text:
        yield text


@contextmanager
def _bytes(path: Path) -> "Iterator[IO[bytes]]":
    """The bytes of a file, decompressed as its suffix says."""
    openers = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    suffix = path.suffix.lower()
    if suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if is_table(name)]
            if len(names) != 1:
                raise DataError(
                    f"{path.name}: expected one table inside, got {', '.join(names) or 'none'}. "
                    "Unpack it and name the table."
                )
            with archive.open(names[0]) as file:
                yield file
        return
    with openers.get(suffix, open)(path, "rb") as file:  # type: ignore[operator]
        yield file
