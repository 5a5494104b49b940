"""Reads a table: rows of pictures, their labels as columns or as a list of names."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcnet.config import Data, Table
from lcnet.data.dataset import NEGATIVE, POSITIVE, UNKNOWN, Sample, Split, StoredSamples
from lcnet.data.dividing import file_of
from lcnet.data.readers.blanks import blank_entries
from lcnet.data.readers.checks import check_known, check_labels, check_root, missing_split
from lcnet.data.readers.locating import Folders, Located, Place, locate, place_for, spelling
from lcnet.data.readers.table_cells import Meanings, SingleSigns, plain_cell
from lcnet.data.readers.table_columns import column, label_of, long_row
from lcnet.data.readers.table_file import Form, TableFile, is_table, named_columns, opened_records
from lcnet.data.readers.table_names import Entry, entry_of, plain_names
from lcnet.data.readers.table_understanding import understand
from lcnet.errors import DataError


def read_table(data: Data, split: str, labels: Sequence[str] | None = None) -> Split:
    """The pictures of the table `split`, a path relative to the root.

    What `data.table` leaves empty is recognised from the training table, see `understand`. A label
    column holds the cells that mean present, absent or unknown; in a row that ends early, the
    labels from there on are unknown. A column of names lists the present labels; the others are
    absent. With a row per label, all rows of a picture are joined. A cell that
    names no label means that all are absent, which `Split.doubts` says, unless
    `data.table.unknown` has it.

    Without `labels`, the labels are the columns in the file's order, or the sorted names. Empty
    rows are skipped. Raises DataError for anything that does not fit.
    """
    root = Path(data.root)
    check_root(root, f"{split} and the pictures that it lists")
    data = settled(data, split, labels)
    table, file = data.table, open_table(root, split, data.table)
    rows = _Rows(table, file, split)
    if table.names:
        order, targets = rows.names(labels, data.separator)
    else:
        order, targets = rows.marks(labels)
    if not rows.pictures:
        raise DataError(f"{split}: no rows. Write one row per picture under the header.")
    return _joined(data, split, rows, order, targets)


def settled(data: Data, split: str, labels: Sequence[str] | None = None) -> Data:
    """The settings with all that is recognised from the training table, or from this one."""
    if data.table.picture:
        return data
    root, training = Path(data.root), file_of(data.train)
    known = training if (root / training).is_file() and is_table(training) else split
    _existing(root, known, split)
    understood = understand(data, known, labels, strict=False).data
    if known != split and (root / split).is_file():
        table = understood.table
        there = open_table(root, split, table).columns
        needed = {table.picture, *([table.names] if table.names else table.labels)}
        if not all(name in there or name.isdigit() for name in needed):
            return understand(data, split, labels, strict=False).data  # it has its own columns
    return understood


def open_table(root: Path, split: str, table: Table) -> TableFile:
    """The table of a split, whose form the settings say.

    Raises DataError if it does not exist, or if a column has the name of another.
    """
    path = _existing(root, split, split)
    form = Form(
        table.encoding, table.delimiter, table.header == "yes" and not table.columns, table.skip
    )
    columns = named_columns(opened_records(path, form), form, table)
    for number, name in enumerate(columns):
        if name and name in columns[:number] and name in (table.names, *table.labels):
            raise DataError(
                f"{split}:1: expected each column once, got {name!r} twice. Rename or drop one."
            )
    return TableFile(path, form, columns)


def _existing(root: Path, table: str, split: str) -> Path:
    """The path of a table. Raises DataError with the tables that exist if it does not."""
    path = root / table
    if not path.is_file():
        raise missing_split(path, split, (str(p.relative_to(root)) for p in root.glob("*.csv")))
    return path


class _Rows:
    """The rows of a table: the picture of each, and its group, part and number in the file."""

    def __init__(self, table: Table, file: TableFile, split: str) -> None:
        self.table, self.file, self.split = table, file, split
        self.pictures: list[str] = []
        self.numbers: list[int] = []
        self.groups: list[str] = []
        self.parts: list[str] = []
        self._split = self._column("split") if table.split else None
        self._picture = self._column("picture")
        self._group = self._column("group") if table.group else None
        self.blank: list[str] = []
        """What each cell that names no label is called, where it is read as all absent."""

    def _column(self, setting: str) -> int:
        name = getattr(self.table, setting)
        return column(self.file.columns, name, setting, f"{self.split}:1")

    def _take(self, number: int, record: list[str]) -> None:
        """Remember a row's picture. Raises DataError for a row that does not fit the header."""
        width = len(self.file.columns)
        if len(record) > width and (too_long := long_row(number, record, width, self.split)):
            raise too_long
        picture = record[self._picture].strip() if self._picture < len(record) else ""
        if not picture:
            name = self.file.columns[self._picture] or self._picture + 1
            raise DataError(
                f"{self.split}:{number}: no picture in column {name!r}. Write its path."
            )
        self.pictures.append(picture)
        self.numbers.append(number)
        if self._group is not None:
            self.groups.append(record[self._group].strip() if self._group < len(record) else "")
        if self._split is not None:
            self.parts.append(record[self._split].strip() if self._split < len(record) else "")

    def marks(self, labels: Sequence[str] | None) -> tuple[tuple[str, ...], NDArray[np.int8]]:
        """The labels and the targets of label columns, a row each."""
        order, positions = self._label_columns(labels)
        meanings, rows = Meanings(self.table), bytearray()
        width = len(self.file.columns)
        cells_of: Callable[[list[str]], Any] = itemgetter(*positions)
        pick = cells_of if len(positions) > 1 else lambda record: (cells_of(record),)
        mean, signs = meanings.__getitem__, SingleSigns(meanings, len(positions))
        for number, record in self.file.records():
            self._take(number, record)
            try:
                cells = pick(record)
                rows += signs.row(cells) or bytes(map(mean, cells))
            except IndexError:
                record += [""] * (width - len(record))
                rows += bytes(map(self._unless_short(mean), pick(record)))
            except KeyError:
                raise self._unknown_cell(number, record, positions, meanings) from None
        return order, np.frombuffer(rows, np.int8).reshape(-1, len(order))

    @staticmethod
    def _unless_short(mean: Callable[[str], int]) -> Callable[[str], int]:
        return lambda cell: mean(cell) if cell else UNKNOWN % 256

    def _label_columns(self, labels: Sequence[str] | None) -> tuple[tuple[str, ...], list[int]]:
        """The labels, and the column of each."""
        columns = self.file.columns
        here = f"{self.split}:1"
        own = {name: index for index, name in enumerate(columns) if name}
        given = list(self.table.labels)
        names = [name if name in own else label_of(name, columns) for name in given]
        order = check_labels(names if labels is None else list(labels), self.split)
        for name in (*self._unlisted(columns), *names):
            check_known(name, order, here)
        position_of = dict(zip(names, given, strict=True))
        positions = []
        for name in order:
            reference = position_of.get(name, name)
            if reference not in own and not reference.isdigit():
                raise DataError(
                    f"{here}: expected a column for each label, got none for {name!r}. "
                    "Add it; leave its cells empty where it is not known."
                )
            positions.append(column(columns, reference, "labels", here))
        return order, positions

    def _unlisted(self, columns: Sequence[str]) -> list[str]:
        """Columns that the training table has not and that hold marks: labels of another table."""
        table = self.table
        known = {table.picture, table.names, table.split, table.group, table.confidence}
        known |= {*table.labels, *table.ignore, ""}
        numbers = {str(index + 1) for index in range(len(columns))}
        new = [name for name in columns if name not in known and not numbers & {*table.labels}]
        meanings = Meanings(table).plain
        rows = self.file.sample() if new else []
        found = []
        for name in new:
            index = list(columns).index(name)
            cells = {plain_cell(row[index]) for row in rows}
            if cells <= meanings.keys() and any(meanings[cell] != UNKNOWN % 256 for cell in cells):
                found.append(name)
        return found

    def _unknown_cell(
        self, number: int, record: list[str], positions: Sequence[int], meanings: Meanings
    ) -> DataError:
        index = next(i for i in positions if plain_cell(record[i]) not in meanings.plain)
        name = self.file.columns[index] or index + 1
        known = {
            what: " or ".join(cell or "an empty cell" for cell in cells)
            for what, cells in (
                ("present", self.table.present),
                ("absent", self.table.absent),
                ("unknown", self.table.unknown),
            )
            if cells
        }
        expected = ", ".join(f"{cells} ({what})" for what, cells in known.items())
        return DataError(
            f"{self.split}:{number}: column {name!r}: expected {expected}, got "
            f"{record[index].strip()!r}. Correct the cell; name what it means with "
            "--data.table.unknown, or the column with --data.table.ignore if it is no label."
        )

    def names(
        self, labels: Sequence[str] | None, separator: str
    ) -> tuple[tuple[str, ...], NDArray[np.int8]]:
        """The labels and the targets of a column of names, a row each."""
        listed, sure = self._listed(separator)
        found = sorted({name for entry in listed for name in entry.names})
        order = check_labels(found if labels is None else list(labels), self.split)
        places = {name: place for place, name in enumerate(order)}
        others = UNKNOWN if self._others_unknown(sure) else NEGATIVE
        targets = np.full((len(listed), len(order)), others, np.int8)
        for row, entry in enumerate(listed):
            if entry.is_unknown:
                targets[row] = UNKNOWN
            for name in entry.names:
                if name not in places:
                    check_known(name, order, f"{self.split}:{self.numbers[row]}")
                targets[row, places[name]] = sure[row] if sure else POSITIVE
        if others == NEGATIVE:
            self.blank = [
                entry.blank for entry in listed if entry.blank is not None and not entry.is_unknown
            ]
        return order, targets

    def _listed(self, separator: str) -> tuple[list[Entry], list[int]]:
        """What each row says, and with a confidence the target of each row."""
        index = self._column("names")
        nothing, unknown = plain_names(self.table.none), plain_names(self.table.unknown)
        by_cell: dict[str, Entry] = {}
        listed: list[Entry] = []
        sure: list[int] = []
        confidence = self._column("confidence") if self.table.confidence else None
        for number, record in self.file.records():
            self._take(number, record)
            cell = record[index] if index < len(record) else ""
            if (entry := by_cell.get(cell)) is None:
                entry = by_cell[cell] = entry_of(cell, separator, nothing, unknown)
            listed.append(entry)
            if confidence is not None:
                sure.append(self._sure(number, record, confidence))
        return listed, sure

    def _sure(self, number: int, record: list[str], index: int) -> int:
        cell = record[index].strip() if index < len(record) else ""
        try:
            value = float(cell or "nan")
        except ValueError:
            value = -1.0
        if not (0 <= value <= 1 or not cell):
            raise DataError(
                f"{self.split}:{number}: column {self.table.confidence!r}: expected a number from "
                f"0 to 1, got {cell!r}. Correct the cell."
            )
        return POSITIVE if value >= self.table.sure else NEGATIVE if value == 0 else UNKNOWN

    def _others_unknown(self, sure: Sequence[int]) -> bool:
        if self.table.rows != "label" or self.table.unlisted == "absent":
            return False
        return self.table.unlisted == "unknown" or NEGATIVE in sure


# From rows to pictures


def _joined(
    data: Data, split: str, rows: _Rows, order: tuple[str, ...], targets: NDArray[np.int8]
) -> Split:
    """The split, with the rows of a picture joined if the settings say so."""
    numbers, pictures = rows.numbers, rows.pictures
    notes: list[str] = []
    if data.table.rows == "label":
        first: dict[str, int] = {}
        row_of = np.array([first.setdefault(p, len(first)) for p in pictures], dtype=np.int64)
        kept = np.unique(row_of, return_index=True)[1]
        if not data.table.names:
            notes += _contradictions(targets, row_of, split)
        _check_parts(rows, row_of)
        targets = _joined_targets(targets, row_of, len(first))
        pictures, numbers = list(first), [numbers[index] for index in kept.tolist()]
        rows.groups = [rows.groups[index] for index in kept.tolist()] if rows.groups else []
        rows.parts = [rows.parts[index] for index in kept.tolist()] if rows.parts else []
    folders = Folders(Path(data.root))
    place = place_for(data, split, pictures, folders) or Place(
        ("",), suffixes=tuple(data.suffixes) or ("",)
    )
    located, *others = (
        locate(pictures, folders, replace(place, suffixes=(suffix,))) for suffix in place.suffixes
    )
    _check_once(located.files, numbers, pictures, targets, split)
    if located.other_spelling:
        index = located.other_spelling[0]
        notes.append(
            f"{split}: {len(located.other_spelling):,} pictures are spelled otherwise on disk "
            f"({spelling(located, pictures)}), such as {pictures[index]!r}"
        )
    samples = _Listed(located, others, numbers, split)
    return Split(
        order,
        samples,
        targets,
        split,
        groups=tuple(rows.groups),
        parts=tuple(rows.parts),
        notes=tuple(notes),
        doubts=blank_entries(split, rows.blank, len(rows.numbers), f"column {data.table.names!r}"),
    )


def _contradictions(
    targets: NDArray[np.int8], row_of: NDArray[np.int64], split: str
) -> Iterator[str]:
    """A note if rows of a picture contradict each other: one says present, another absent."""
    says = []
    for mark in (POSITIVE, NEGATIVE):
        said = np.zeros((row_of.max(initial=-1) + 1, targets.shape[1]), bool)
        np.logical_or.at(said, row_of, targets == mark)
        says.append(said)
    if count := int((says[0] & says[1]).any(axis=1).sum()):
        yield (
            f"{split}: rows of {count:,} picture{'s' * (count != 1)} contradict each other: present"
            " where any row says so"
        )


def _check_parts(rows: _Rows, row_of: NDArray[np.int64]) -> None:
    """Raises DataError if rows of one picture are of several splits."""
    first: dict[int, int] = {}
    for row, part in enumerate(rows.parts):
        earlier = first.setdefault(int(row_of[row]), row)
        if rows.parts[earlier] != part:
            raise DataError(
                f"{rows.split}:{rows.numbers[row]}: picture {rows.pictures[row]!r} is in split "
                f"{part!r} here and in {rows.parts[earlier]!r} in line {rows.numbers[earlier]}. "
                "Correct one of them."
            )


def _joined_targets(
    targets: NDArray[np.int8], row_of: NDArray[np.int64], pictures: int
) -> NDArray[np.int8]:
    """The targets of pictures from those of rows: present wins, then absent, then unknown."""
    ranks = np.array([1, 2, 0], np.int8)  # of 0, 1 and, from the end, -1
    joined = np.zeros((pictures, targets.shape[1]), np.int8)
    np.maximum.at(joined, row_of, ranks[targets])
    return (joined - 1).astype(np.int8)


def _check_once(
    files: Sequence[str],
    numbers: Sequence[int],
    pictures: Sequence[str],
    targets: NDArray[np.int8],
    split: str,
) -> None:
    """Raises DataError if two rows list the same picture."""
    first: dict[str, int] = {}
    for index, file in enumerate(files):
        earlier = first.setdefault(file, index)
        if earlier != index:
            same = bool((targets[earlier] == targets[index]).all())
            how = "the same labels" if same else "other labels"
            advice = (
                "Drop one of them, or join such rows with --data.table.rows label."
                if same
                else "Correct the table, or join such rows with --data.table.rows label: then a "
                "label is present if any of them says so."
            )
            raise DataError(
                f"{split}:{numbers[index]}: picture {pictures[index]!r} is already listed in line "
                f"{numbers[earlier]} with {how}. {advice}"
            )


class _Listed(StoredSamples):
    """The pictures of a table."""

    def __init__(
        self, located: Located, others: Sequence[Located], numbers: list[int], split: str
    ) -> None:
        """Take the pictures' files; `others` are those of their further channels."""
        self.files, self.others = located.files, [other.files for other in others]
        self.missing = sorted({index for one in (located, *others) for index in one.missing})
        self.numbers = np.array(numbers, np.int64)
        self.split = split

    def __len__(self) -> int:
        return len(self.files)

    def sample(self, index: int) -> Sample:
        """The sample at an index from 0 to N - 1."""
        return Sample(
            Path(self.files[index]),
            f"{self.split}:{self.numbers[index]}",
            channel_files=tuple(Path(files[index]) for files in self.others),
        )
