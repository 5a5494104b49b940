"""Reads predictions from Parquet files."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcnet.data.containers import pyarrow_parquet
from lcnet.errors import DataError
from lcnet.evaluating.gathered import Gathered
from lcnet.evaluating.prediction_arrays import take_about
from lcnet.evaluating.prediction_columns import (
    PEEKED,
    PLAIN,
    PREFIXES,
    VALUES_AT_ONCE,
    Columns,
    Peek,
    kind_of_cells,
    left_alone,
    understood,
)
from lcnet.evaluating.writing_predictions import KEY, PROBABILITY, TARGET


def read_parquet(path: Path, gathered: Gathered) -> None:
    """Add the rows of a table with a column per label, or those of `lcnet predict`."""
    with pyarrow_parquet().ParquetFile(path) as table:
        schema = table.schema_arrow
        said = (schema.metadata or {}).get(KEY.encode(), b"").decode("utf-8")
        gathered.expected = gathered.expected or table.metadata.num_rows
        if "probabilities" in schema.names and "image" in schema.names:
            _read_predicted(path, table, gathered)
            return
        columns = _parquet_columns(path, schema)
        for text in left_alone(columns):
            gathered.note(text)
        for batch in _batches(table, len(schema.names)):
            numbers = {
                kind: _matrix_of(batch, places, kind, path)
                for kind, places in columns.places.items()
            }
            pictures = [str(name) for name in batch.column(columns.picture).to_pylist()]
            gathered.add(columns.labels, pictures, numbers, where=str(path))
    take_about(gathered, said, columns.labels)


def peek_parquet(path: Path) -> Peek:
    """What a Parquet file holds, from its columns and first rows."""
    with pyarrow_parquet().ParquetFile(path) as table:
        schema = table.schema_arrow
        has_targets = any(name.startswith(TARGET) for name in schema.names)
        if "probabilities" in schema.names or any(
            name.startswith(PREFIXES) for name in schema.names
        ):
            return Peek("predictions", has_targets=has_targets)
        columns = _parquet_columns(path, schema)
        for batch in table.iter_batches(PEEKED):
            cells = (
                cell for place in columns.places[PLAIN] for cell in batch.column(place).to_pylist()
            )
            return Peek(kind_of_cells(cells))
    return Peek("other")


def _parquet_columns(path: Path, schema: Any) -> Columns:
    from pyarrow import types

    texts = [
        place
        for place, entry in enumerate(schema)
        if types.is_string(entry.type) or types.is_large_string(entry.type)
    ]
    columns = understood(schema.names, str(path), texts=texts)
    for places in columns.places.values():
        for place in places:
            kind = schema.field(place).type
            if not (types.is_floating(kind) or types.is_integer(kind) or types.is_boolean(kind)):
                raise DataError(
                    f"{path}: column {schema.names[place]!r}: expected numbers, got {kind}. Drop "
                    "the column, or store numbers."
                )
    return columns


def _matrix_of(batch: Any, places: Sequence[int], kind: str, path: Path) -> NDArray[Any]:
    """The numbers of some columns, rows by columns; an empty cell is NaN."""
    values = [batch.column(place).to_numpy(zero_copy_only=False) for place in places]
    return _together(
        [one.astype(np.float64) if one.dtype.kind in "biuO" else one for one in values]
    )


def _together(values: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.stack(values, axis=1)


def _batches(table: Any, width: int, *, columns: Sequence[str] | None = None) -> Iterator[Any]:
    """The rows in blocks. Group by group, since a reader of several keeps what it has read."""
    for group in range(table.num_row_groups):
        yield from table.iter_batches(
            max(1, VALUES_AT_ONCE // max(1, width)), row_groups=[group], columns=columns
        )


def _read_predicted(path: Path, table: Any, gathered: Gathered) -> None:
    """The rows of `lcnet predict`; a picture that could not be read has no probabilities."""
    schema = table.schema_arrow
    labels = tuple(entry.name for entry in schema.field("probabilities").type)
    columns = [name for name in ("image", "probabilities", "labels") if name in schema.names]
    for batch in _batches(table, len(labels), columns=columns):
        is_read = ~batch.column(1).is_null().to_numpy(zero_copy_only=False)
        gathered.unread += int((~is_read).sum())
        pictures = batch.column(0).to_pylist()
        names = [name for name, there in zip(pictures, is_read, strict=True) if there]
        fields = [one.to_numpy(zero_copy_only=False) for one in batch.column(1).flatten()]
        numbers = {PROBABILITY: _together(fields)[is_read]}
        named = batch.column("labels").filter(is_read).to_pylist() if len(columns) == 3 else None
        gathered.add(labels, names, numbers, named=named, where=str(path))
