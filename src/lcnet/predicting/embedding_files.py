"""The file of embeddings that `lcnet predict --embeddings` writes, as NumPy's .npz or Parquet."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcnet.data.containers import pyarrow_parquet
from lcnet.errors import ConfigError
from lcnet.files import written_whole

Embedding = NDArray[np.float32]
"""What a model's backbone makes of a picture: C numbers."""
Add = Callable[[str, Embedding], None]
"""Adds a picture's name and its embedding."""
NPZ, PARQUET = ".npz", ".parquet"
VALUES_AT_ONCE = 1_000_000
"""Numbers kept in memory until they are written to a Parquet file as a row group."""


def check_embeddings_file(file: Path) -> None:
    """Raise ConfigError if embeddings cannot be written to this file."""
    if file.suffix.lower() not in (NPZ, PARQUET):
        raise ConfigError(
            f"--embeddings {file}: expected a file name that ends in {NPZ} or {PARQUET}. Change it."
        )
    if file.is_dir():
        raise ConfigError(f"--embeddings {file}: expected a file, got a folder. Name another.")
    if file.suffix.lower() == PARQUET:
        pyarrow_parquet()


@contextmanager
def embeddings_file(file: Path, length: int, about: dict[str, str]) -> Iterator[Add]:
    """A file of embeddings of `length` numbers, to add to; it appears once it is complete.

    `about` says what made them. It is in an .npz beside `images` (N names) and `embeddings` (N C,
    float32); in Parquet it is the schema's metadata, and the columns are `image` and `embedding`.
    """
    with written_whole(file) as unfinished:
        write = _npz if file.suffix.lower() == NPZ else _parquet
        with write(unfinished, length, about) as add:
            yield add


@contextmanager
def _npz(file: Path, length: int, about: dict[str, str]) -> Iterator[Add]:
    names: list[str] = []
    spooled = file.with_name(f"{file.name}.numbers")  # the array's length is known at the end
    try:
        with spooled.open("wb") as numbers:

            def add(name: str, embedding: Embedding) -> None:
                names.append(name)
                numbers.write(embedding.astype("<f4").tobytes())

            yield add
        shape = (len(names), length)
        stored: NDArray[Any] = np.empty(shape, "<f4")
        if names:
            stored = np.memmap(spooled, "<f4", "r", shape=shape)
        with file.open("wb") as out:
            np.savez(out, images=np.array(names, dtype=np.str_), embeddings=stored, **_texts(about))
        del stored  # Windows removes no mapped file
    finally:
        spooled.unlink(missing_ok=True)


def _texts(about: dict[str, str]) -> dict[str, Any]:
    return {name: np.array(text) for name, text in about.items()}


@contextmanager
def _parquet(file: Path, length: int, about: dict[str, str]) -> Iterator[Add]:
    parquet = pyarrow_parquet()
    import pyarrow

    schema = pyarrow.schema(
        [
            pyarrow.field("image", pyarrow.string(), nullable=False),
            ("embedding", pyarrow.list_(pyarrow.float32(), length)),
        ],
        metadata={f"lcnet.{name}": text for name, text in about.items()},
    )
    names: list[str] = []
    rows: list[Embedding] = []

    def flush() -> None:
        if names:
            numbers = pyarrow.array(np.concatenate(rows), pyarrow.float32())
            column = pyarrow.FixedSizeListArray.from_arrays(numbers, length)
            writer.write_table(pyarrow.table([pyarrow.array(names), column], schema=schema))
            names.clear()
            rows.clear()

    def add(name: str, embedding: Embedding) -> None:
        names.append(name)
        rows.append(embedding)
        if len(rows) * length >= VALUES_AT_ONCE:
            flush()

    with parquet.ParquetWriter(file, schema) as writer:
        yield add
        flush()
