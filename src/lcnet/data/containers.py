"""Pictures inside larger files: members of tar files, rows of Parquet files."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from lcnet.errors import ConfigError, DataError, reason_of

TAR, PARQUET = ".tar", ".parquet"
KEPT_BYTES = 2**28
"""Most bytes of row groups that a process keeps; the group read last is kept in any case."""


@dataclass(frozen=True)
class Slice:
    """A picture's bytes inside a larger file."""

    file: Path
    start: int
    size: int

    def read(self) -> bytes:
        """The bytes; raises OSError if the file is gone."""
        with self.file.open("rb") as opened:
            opened.seek(self.start)
            return opened.read(self.size)


@dataclass(frozen=True)
class ParquetRow:
    """A picture's bytes in a Parquet file."""

    file: Path
    group: int
    """Row group."""
    row: int
    """Row in the group."""

    def read(self) -> bytes:
        """The bytes; empty if the row has none. The whole row group is read, and kept in memory.

        Raises DataError if the file is damaged.
        """
        return _groups.pictures(self.file, self.group)[self.row]


class _RowGroups:
    """The row groups read last; the least recently used one is dropped first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Path, int], list[bytes]] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def pictures(self, file: Path, group: int) -> list[bytes]:
        """The pictures in a row group."""
        key = file, group
        with self._lock:
            if key not in self._kept:
                self._kept[key] = _read_group(file, group)
                self._bytes += sum(map(len, self._kept[key]))
                while self._bytes > KEPT_BYTES and len(self._kept) > 1:
                    _, dropped = self._kept.popitem(last=False)
                    self._bytes -= sum(map(len, dropped))
            self._kept.move_to_end(key)
            return self._kept[key]


_groups = _RowGroups()


def _read_group(file: Path, group: int) -> list[bytes]:
    parquet = pyarrow_parquet()
    import pyarrow

    try:
        with parquet.ParquetFile(file) as table:
            column = picture_column(file, table.schema_arrow)
            return list(contents_of(table.read_row_group(group, columns=[column]).column(0)))
    except (pyarrow.ArrowException, OSError) as error:
        raise damaged(file, error) from None


def contents_of(column: Any) -> Iterator[bytes]:
    """The encoded pictures in a column; empty bytes for a row without one."""
    for value in column.to_pylist():
        yield (value.get("bytes") if isinstance(value, dict) else value) or b""


def picture_column(file: Path, schema: Any) -> str:
    """The name of the column with encoded pictures: bytes, or a struct with a field `bytes`.

    Raises DataError if no column fits, or if several fit and none is called `image`.
    """
    from pyarrow import types

    def is_bytes(kind: Any) -> bool:
        return types.is_binary(kind) or types.is_large_binary(kind)

    fitting = []
    for field in schema:
        inner = types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0
        if is_bytes(field.type.field("bytes").type if inner else field.type):
            fitting.append(field.name)
    if len(fitting) == 1 or "image" in fitting:
        return "image" if "image" in fitting else fitting[0]
    raise DataError(
        f"{file}: expected encoded pictures in a column `image` or in the only column of bytes, "
        f"got {', '.join(schema.names)}. Rename the column."
    )


def damaged(file: Path, error: Exception) -> DataError:
    """The error for a Parquet file that cannot be read."""
    return DataError(
        f"{file}: not a readable Parquet file ({reason_of(error)}). Copy or write it again."
    )


def pyarrow_parquet() -> Any:
    """`pyarrow.parquet`; raises ConfigError if it is not installed."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise ConfigError.missing("pyarrow", "parquet", use="a Parquet file") from None
    return pyarrow.parquet
