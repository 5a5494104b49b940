"""How a table is read: settings recognised from its first rows, and one line that says them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lcnet.config import Data, Table
from lcnet.data.label_names import plain
from lcnet.data.readers.blanks import SAID
from lcnet.data.readers.locating import in_words, place_of
from lcnet.data.readers.table_cells import meaning_in_words, plain_cell
from lcnet.data.readers.table_columns import column, label_of, reference_of
from lcnet.data.readers.table_file import SAMPLE, SPACE
from lcnet.data.readers.table_labels import with_labels
from lcnet.data.readers.table_names import HASH, NO_VALUE, Entry, as_list, entry_of, plain_names
from lcnet.data.readers.table_reading import Reading, reading_of, with_place
from lcnet.data.readers.table_splits import parts_in

SHOWN = 5
"""Most names of labels in the line."""


@dataclass(frozen=True)
class Understood:
    """How a table is read."""

    data: Data
    """The settings, with everything that was recognised."""
    said: str
    """One line that says it."""
    said_in_parts: str
    """The same where a column of it says the splits."""
    has_pictures: bool
    """Whether a picture that it lists was found."""
    example: str
    """A picture that it lists, as it is written there."""
    split: str = ""
    """Column that says the split of a row; empty if there is none."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """The cell of that column for each of train, val and test."""


def understand(
    data: Data, split: str, labels: Sequence[str] | None = None, *, strict: bool = True
) -> Understood:
    """How the table `split` of `data.root` is read; what the settings say stays.

    `labels` are those of a model, if there is one. Unless `strict`, an empty cell and -1 are
    unknown even if no cell says absent. Raises DataError if the table has two readings;
    the message names both and the setting that decides.
    """
    reading = reading_of(data, split)
    table = replace(
        data.table,
        picture=reference_of(reading.columns, reading.picture),
        delimiter=reading.form.delimiter,
        encoding=reading.form.encoding,
        header="yes" if reading.form.header else "no",
        skip=reading.form.skip,
    )
    data = with_place(replace(data, table=table), reading, split)
    data = with_labels(data, reading, split, labels, strict=strict)
    example = next((row[reading.picture] for row in reading.rows), "")
    name, parts = parts_in(data.table, reading, split)
    said, in_parts = (_said(data, reading, split, taken) for taken in ("", name))
    return Understood(data, said, in_parts, reading.place is not None, example, name, parts)


def _said(data: Data, reading: Reading, split: str, taken: str) -> str:
    """The line, without the column that is `taken` for the split of a row."""
    table = data.table
    parts = [f"pictures in {_named(reading, reading.picture)}{_where(data, reading, split)}"]
    if table.names:
        parts += _names_said(data, reading, split)
    else:
        labels = [label_of(reference, reading.columns) for reference in table.labels]
        shown = ", ".join(labels[:5]) + ", ..." * (len(labels) > 5)
        parts.append(f"{len(labels)} label column{'s' * (len(labels) != 1)} ({shown})")
        parts.append(meaning_in_words(table))
    if table.rows == "label":
        parts.append(_joining(data, reading))
    parts += _form_said(reading, table)
    if table.group:
        parts.append(f"groups in {table.group!r}")
    ignored = [name for name in table.ignore if name != taken]
    if others := [name if name in reading.columns else f"column {name}" for name in ignored]:
        shown = ", ".join(others[:8]) + ", ..." * (len(others) > 8)
        parts.append(f"left alone: {shown}")
    return f"table {split}: {'; '.join(parts)}"


def _names_said(data: Data, reading: Reading, split: str) -> Iterator[str]:
    """What the column of names is, what joins the names, and what they are."""
    table = data.table
    index = column(reading.columns, table.names, "names", split)
    cells = [row[index] for row in reading.rows]
    nothing, unknown = plain_names(table.none), plain_names(table.unknown)
    entries = [entry_of(cell, data.separator, nothing, unknown) for cell in cells]
    listed = [entry.names for entry in entries]
    found = Counter(name for names in listed for name in names)
    how = f"joined by {data.separator!r}"
    if any(as_list(cell) is not None for cell in cells):
        how = "as lists"
    elif data.separator == HASH and any(cell.lstrip().startswith(HASH) for cell in cells):
        how = "each after a '#', which is left out"
    elif all(len(names) < 2 for names in listed):
        how = "one name a cell"
        if found and all(map(str.isdigit, found)):
            how = f"one of {len(found)} classes a picture"
    names = sorted(found, key=lambda name: (int(name) if name.isdecimal() else 0, name))
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    yield f"names in {_named(reading, index)}, {how} ({', '.join(names[:SHOWN])}{more})"
    if alike := _alike(names):
        yield f"{' and '.join(map(repr, alike))} are different labels"
    empty = sorted({cell.strip() for cell in cells if cell.strip().lower() in NO_VALUE} - {""})
    if none := [*table.none, *empty]:
        yield f"{', '.join(map(repr, none))} is no label"
    if table.rows != "label":
        yield "labels that a row does not name are absent"
    yield from _blank_said(entries)


def _blank_said(entries: Sequence[Entry]) -> Iterator[str]:
    """How many of the rows name no label, and what that means."""
    some = f" of the first {SAMPLE:,}" * (len(entries) >= SAMPLE)
    for is_unknown, meaning in ((False, "none of the labels"), (True, "unknown")):
        blank = [one.blank for one in entries if one.is_unknown == is_unknown]
        for kind, said in SAID.items():
            if count := blank.count(kind):
                yield f"{said} is {meaning} ({count:,}{some} row{'s' * (count != 1)})"


def _alike(names: Sequence[str]) -> list[str]:
    """The first names that differ only in case, spaces, hyphens or Unicode form."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(plain(name), []).append(name)
    return next((group for group in groups.values() if len(group) > 1), [])


def _joining(data: Data, reading: Reading) -> str:
    """How the rows of a picture are joined, and how many pictures have several."""
    table = data.table
    if table.names:
        return "a row per label" + (f", sure by {table.confidence!r}" * bool(table.confidence))
    rows: dict[str, list[tuple[str, ...]]] = {}
    places = [column(reading.columns, name, "labels", "") for name in table.labels]
    for row in reading.rows:
        marks = tuple(plain_cell(row[place]) for place in places)
        rows.setdefault(row[reading.picture].strip(), []).append(marks)
    several = [marks for marks in rows.values() if len(marks) > 1]
    unlike = sum(len(set(marks)) > 1 for marks in several)
    return (
        f"{len(several):,} picture{'s' * (len(several) != 1)} in several rows, {unlike:,} of them "
        "with other marks: a label is present if any row says so"
    )


def _form_said(reading: Reading, table: Table) -> Iterator[str]:
    """What is unusual in the form of the table."""
    form = reading.form
    if form.skip:
        yield f"{form.skip} line{'s' * (form.skip != 1)} above the header left out"
    if not form.header and not table.columns:
        yield "no header (--data.table.columns names the columns)"
    if form.delimiter != ",":
        signs = {"\t": "tabs", SPACE: "blanks"}
        yield f"columns separated by {signs.get(form.delimiter, repr(form.delimiter))}"
    if form.encoding not in ("utf-8", "utf-8-sig"):
        yield f"encoding {form.encoding}"


def _where(data: Data, reading: Reading, split: str) -> str:
    """Where pictures lie, if not beside the table, and how a listed path leads there."""
    text = f" + {data.suffixes[0]}" if data.suffixes else ""
    place = reading.place
    if place is None:
        return text
    beside = ("", ".", split.rpartition("/")[0])
    folders = data.folders if place_of(data) else place.folders
    folders = [one for one in folders if one not in beside]
    if folders:
        text += f" below {', '.join(folders[:3])}"
    if place.strip:
        text += f" by {in_words(place.strip)}"
    return text


def _named(reading: Reading, index: int) -> str:
    name = reading.columns[index]
    return f"column {index + 1}" + (f" {name!r}" if name else "")
