"""How a table is read: settings recognised from its first rows, and one line that says them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from lcnet.config import Data
from lcnet.data.readers.table_cells import meaning_in_words
from lcnet.data.readers.table_columns import column, label_of, reference_of
from lcnet.data.readers.table_file import SPACE
from lcnet.data.readers.table_labels import with_labels
from lcnet.data.readers.table_names import NO_VALUE, as_list
from lcnet.data.readers.table_reading import Reading, reading_of, with_place
from lcnet.data.readers.table_splits import parts_in


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
    said = _said(data, reading, split)
    return Understood(data, said, reading.place is not None, example, name, parts)


def _said(data: Data, reading: Reading, split: str) -> str:
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


def _named(reading: Reading, index: int) -> str:
    name = reading.columns[index]
    return f"column {index + 1}" + (f" {name!r}" if name else "")
