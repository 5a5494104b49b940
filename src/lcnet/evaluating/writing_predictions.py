"""Writes predictions to a file: CSV, Parquet or npz, as its suffix says."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcnet.data.containers import pyarrow_parquet
from lcnet.errors import ConfigError
from lcnet.evaluating.predictions import Predictions
from lcnet.files import written_whole
from lcnet.metrics.blocks import release

PICTURE = "picture"
TARGET, LOGIT, PROBABILITY, THRESHOLD = "target:", "logit:", "probability:", "threshold:"
"""What the name of a column begins with; the label follows."""
KEY = "lcnet"
"""The entry of a Parquet file's metadata, and the array of an npz file, that `about` is in."""
VALUES_AT_ONCE = 1_000_000
"""Numbers that are formatted or put into a row group at a time."""
USUAL_THRESHOLD = 0.5


def write_predictions(file: Path, predictions: Predictions) -> None:
    """Write a file that `read_predictions` reads; it is whole or not there.

    Raises ConfigError for another suffix, or if pyarrow is missing for a Parquet file.
    """
    check_writable(file)
    with written_whole(file) as unfinished:
        WRITERS[file.suffix.lower()](unfinished, predictions)


def check_writable(file: Path) -> None:
    """Raise ConfigError if predictions cannot be written to a file of this name."""
    if file.suffix.lower() not in WRITERS:
        raise ConfigError(
            f"--predictions {file}: expected a file that ends in {', '.join(WRITERS)}, got "
            f"{file.suffix or 'no suffix'}. Rename it."
        )
    if file.is_dir():
        raise ConfigError(f"--predictions {file}: expected a file, got a folder. Name a file.")
    if file.suffix.lower() == ".parquet":
        pyarrow_parquet()


def about(predictions: Predictions) -> str:
    """What a file says besides its numbers, as JSON."""
    said = {
        "format": 1,
        "labels": list(predictions.labels),
        "thresholds": predictions.thresholds and list(predictions.thresholds),
        "split": predictions.split,
        "fingerprint": predictions.fingerprint,
        "calibrated": predictions.calibrated,
    }
    return json.dumps(said, ensure_ascii=False)


# Formats


def _write_csv(file: Path, predictions: Predictions) -> None:
    """A row per picture; thresholds that are not 0.5 stand in every row."""
    kinds = list(_numbers(predictions))
    ends = ""
    header = [PICTURE, *(f"{kind}{label}" for kind, _ in kinds for label in predictions.labels)]
    if own := _own_thresholds(predictions):
        header += [f"{THRESHOLD}{label}" for label in predictions.labels]
        ends = "".join(f",{value!r}" for value in own)
    # 9 digits are enough to give each float32 back, 17 each float64.
    formats = [_digits(values) for _, values in kinds for _ in predictions.labels]
    pattern = ",".join(formats) + ends + "\n"
    with file.open("w", encoding="utf-8", newline="") as text:
        text.write(",".join(map(_cell, header)) + "\n")
        for first, last in _blocks(predictions):
            rows = zip(*(values[first:last].tolist() for _, values in kinds), strict=True)
            for name, row in zip(predictions.pictures[first:last], rows, strict=True):
                text.write(f"{_cell(name)},{pattern % tuple(one for part in row for one in part)}")


def _write_parquet(file: Path, predictions: Predictions) -> None:
    """The columns of a CSV file; all else in the metadata of the schema."""
    parquet = pyarrow_parquet()
    import pyarrow

    kinds = list(_numbers(predictions))
    fields = [pyarrow.field(PICTURE, pyarrow.string(), nullable=False)]
    for kind, values in kinds:
        number = pyarrow.from_numpy_dtype(values.dtype)
        fields += [(f"{kind}{label}", number) for label in predictions.labels]
    schema = pyarrow.schema(fields, metadata={KEY: about(predictions)})
    with parquet.ParquetWriter(file, schema) as writer:
        for first, last in _blocks(predictions):
            columns: list[Any] = [list(predictions.pictures[first:last])]
            for _, values in kinds:
                columns += list(np.ascontiguousarray(values[first:last].T))
            arrays = [
                pyarrow.array(column, field.type)
                for column, field in zip(columns, schema, strict=True)
            ]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))


def _write_npz(file: Path, predictions: Predictions) -> None:
    """Arrays without pickle: pictures, labels, probabilities, targets, logits and `about`."""
    arrays = {
        "pictures": np.array(predictions.pictures, dtype=np.str_),
        "labels": np.array(predictions.labels, dtype=np.str_),
        "probabilities": predictions.probabilities,
        KEY: np.array(about(predictions), dtype=np.str_),
    }
    if predictions.targets is not None:
        arrays["targets"] = predictions.targets
    if predictions.logits is not None:
        arrays["logits"] = predictions.logits
    with file.open("wb") as opened:
        np.savez_compressed(opened, **arrays)  # type: ignore[arg-type]


WRITERS: dict[str, Callable[[Path, Predictions], None]] = {
    ".csv": _write_csv,
    ".parquet": _write_parquet,
    ".npz": _write_npz,
}
"""What writes a file of each suffix."""


def _numbers(predictions: Predictions) -> Iterator[tuple[str, NDArray[Any]]]:
    """The arrays that are known, N x L each, with what their columns' names begin with."""
    for kind, values in (
        (TARGET, predictions.targets),
        (LOGIT, predictions.logits),
        (PROBABILITY, predictions.probabilities),
    ):
        if values is not None:
            yield kind, values


def _own_thresholds(predictions: Predictions) -> Sequence[float]:
    """The thresholds, if one of them is not 0.5."""
    thresholds = predictions.thresholds or ()
    return thresholds if set(thresholds) - {USUAL_THRESHOLD} else ()


def _blocks(predictions: Predictions) -> Iterator[tuple[int, int]]:
    """The first row of each block of rows, and the row after its last."""
    rows = max(1, VALUES_AT_ONCE // len(predictions.labels))
    for first in range(0, len(predictions), rows):
        yield first, min(first + rows, len(predictions))
        for _, values in _numbers(predictions):
            release(values)


def _digits(values: NDArray[Any]) -> str:
    if values.dtype.kind != "f":
        return "%d"
    return "%.9g" if values.dtype == np.float32 else "%.17g"


def _cell(text: str) -> str:
    """A text as the cell of a CSV file."""
    if re.search(r'[,"\s]', text):
        return '"' + text.replace('"', '""') + '"'
    return text
