"""Predictions as rows of a file, in JSON Lines, CSV or Parquet."""

import csv
import json
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, TextIO

from lcnet.data.containers import pyarrow_parquet
from lcnet.errors import ConfigError, DataError, reason_of
from lcnet.predicting.prediction import Prediction

SEPARATOR = "|"
"""Separates the predicted labels in a CSV cell, as in the tables that lcnet reads."""
CSV_COLUMNS = ("image", "error", "labels")
"""The columns before the probabilities, which have a column per label."""
VALUES_AT_ONCE = 1_000_000
"""Probabilities kept in memory until they are written to a Parquet file as a row group."""


class Rows(Protocol):
    """A file of predictions in one format.

    `labels` are those of which a row can have probabilities, in their order. With `top`, each row
    has that many of them, its most probable ones.
    """

    def __init__(self, file: Path, labels: Sequence[str], top: int = 0) -> None:
        """Start a file, in place of an older one."""

    @staticmethod
    def refuse(labels: Sequence[str], top: int = 0) -> None:
        """Raise ConfigError if the format cannot be written here, or not for these labels."""

    @staticmethod
    def read(file: Path) -> Iterator[tuple[str, bool]]:
        """Each row's picture, and whether it was read; any error if the file is damaged."""

    def write(self, prediction: Prediction) -> None:
        """Add a row."""

    def close(self) -> None:
        """Write what is left."""


class JsonLines:
    """One JSON object per line, from `Prediction.to_dict`."""

    def __init__(self, file: Path, labels: Sequence[str], top: int = 0) -> None:
        self.opened: TextIO = file.open("w", encoding="utf-8")

    @staticmethod
    def refuse(labels: Sequence[str], top: int = 0) -> None:
        """Refuse nothing."""

    @staticmethod
    def read(file: Path) -> Iterator[tuple[str, bool]]:
        """Each row's picture, and whether it was read."""
        with file.open(encoding="utf-8", newline="\n") as lines:
            for line in lines:
                row = json.loads(line)
                yield row["image"], "error" not in row

    def write(self, prediction: Prediction) -> None:
        """Add a line."""
        self.opened.write(to_json_line(prediction))

    def close(self) -> None:
        """Write what is left."""
        self.opened.close()


class CsvTable:
    """Columns image, error, labels (joined by |), and each label's probability.

    With `top` there are pairs of columns instead: label_1, probability_1, label_2 and so on.
    """

    def __init__(self, file: Path, labels: Sequence[str], top: int = 0) -> None:
        self.opened: TextIO = file.open("w", encoding="utf-8", newline="")
        self.labels, self.top = labels, top
        self.table = csv.writer(self.opened, lineterminator="\n")
        self.table.writerow(csv_header(labels, top))

    @staticmethod
    def refuse(labels: Sequence[str], top: int = 0) -> None:
        """Refuse labels that would be mistaken for another column or for several labels."""
        for label in labels:
            if (label in CSV_COLUMNS and not top) or SEPARATOR in label:
                raise ConfigError(
                    f"--format csv: label {label!r} is the name of another column or has a "
                    f"{SEPARATOR!r} in it. Choose jsonl or parquet."
                )

    @staticmethod
    def read(file: Path) -> Iterator[tuple[str, bool]]:
        """Each row's picture, and whether it was read."""
        with file.open(encoding="utf-8", newline="\n") as lines:
            table = csv.reader(_whole_lines(lines), strict=True)
            header = next(table)
            for row in table:
                if len(row) != len(header):
                    raise ValueError(
                        f"line {table.line_num}: expected {len(header)} cells, got {len(row)}"
                    )
                yield row[0], not row[1]

    def write(self, prediction: Prediction) -> None:
        """Add a row; the probabilities of a picture that could not be read are empty."""
        self.table.writerow(csv_row(prediction, self.labels, self.top))

    def close(self) -> None:
        """Write what is left."""
        self.opened.close()


class ParquetTable:
    """Typed columns: image, error, labels (list), probabilities (struct, a field per label).

    With `top`, probabilities are a list of structs with `label` and `probability`.
    """

    def __init__(self, file: Path, labels: Sequence[str], top: int = 0) -> None:
        parquet = pyarrow_parquet()
        import pyarrow

        self.top = top
        numbers = pyarrow.struct([(label, pyarrow.float32()) for label in labels])
        if top:
            pair = [("label", pyarrow.string()), ("probability", pyarrow.float32())]
            numbers = pyarrow.list_(pyarrow.struct(pair))
        self.schema = pyarrow.schema(
            [
                pyarrow.field("image", pyarrow.string(), nullable=False),
                ("error", pyarrow.string()),
                ("labels", pyarrow.list_(pyarrow.string())),
                ("probabilities", numbers),
            ]
        )
        self.rows_at_once = max(1, VALUES_AT_ONCE // (top or len(labels)))
        self.rows: list[dict[str, Any]] = []
        self.writer = parquet.ParquetWriter(file, self.schema)

    @staticmethod
    def refuse(labels: Sequence[str], top: int = 0) -> None:
        """Raise ConfigError if pyarrow is not installed."""
        pyarrow_parquet()

    @staticmethod
    def read(file: Path) -> Iterator[tuple[str, bool]]:
        """Each row's picture, and whether it was read."""
        with pyarrow_parquet().ParquetFile(file) as table:
            for batch in table.iter_batches(columns=["image", "error"]):
                for row in batch.to_pylist():
                    yield row["image"], row["error"] is None

    def write(self, prediction: Prediction) -> None:
        """Add a row; labels and probabilities of a picture that could not be read are null."""
        known, unread = prediction.probabilities, prediction.probabilities is None
        values: object = known
        if known is not None and self.top:
            values = [{"label": name, "probability": value} for name, value in known.items()]
        self.rows.append(
            {
                "image": prediction.image,
                "error": prediction.error or None,
                "labels": None if unread else list(prediction.labels),
                "probabilities": values,
            }
        )
        if len(self.rows) == self.rows_at_once:
            self._flush()

    def close(self) -> None:
        """Write what is left, and the footer."""
        self._flush()
        self.writer.close()

    def _flush(self) -> None:
        import pyarrow

        if self.rows:
            self.writer.write_table(pyarrow.Table.from_pylist(self.rows, self.schema))
            self.rows = []


FORMATS: dict[str, type[Rows]] = {"jsonl": JsonLines, "csv": CsvTable, "parquet": ParquetTable}
"""The class that writes and reads each format; a format's files end in its name."""


def csv_header(labels: Sequence[str], top: int = 0) -> list[str]:
    """The names of the columns."""
    pairs = ((f"label_{place}", f"probability_{place}") for place in range(1, top + 1))
    return [*CSV_COLUMNS, *(chain.from_iterable(pairs) if top else labels)]


def csv_row(prediction: Prediction, labels: Sequence[str], top: int = 0) -> list[object]:
    """The cells under `csv_header`; no probabilities for an unreadable picture."""
    values = prediction.rounded()
    chosen = SEPARATOR.join(prediction.labels)
    cells: list[object] = [values.get(label, "") for label in labels]
    if top:
        cells = list(chain.from_iterable(values.items())) or [""] * (2 * top)
    return [prediction.image, prediction.error, chosen, *cells]


def to_json_line(prediction: Prediction) -> str:
    """A prediction as a line of JSON."""
    return json.dumps(prediction.to_dict(), ensure_ascii=False) + "\n"


def read_rows(file: Path) -> Iterator[tuple[str, bool]]:
    """Each row's picture, and whether it was read; the file's suffix says its format.

    Raises DataError if the file is damaged.
    """
    try:
        yield from FORMATS[file.suffix.removeprefix(".")].read(file)
    except ConfigError:
        raise
    except Exception as error:  # json, csv and pyarrow raise a dozen unrelated types
        raise DataError(
            f"{file}: damaged ({reason_of(error)}). Delete it; its pictures are predicted again."
        ) from None


def _whole_lines(lines: TextIO) -> Iterator[str]:
    """The lines; raises ValueError if the last has no line end: its last cell may be cut off."""
    for line in lines:
        if not line.endswith("\n"):
            raise ValueError("it was cut short")
        yield line
