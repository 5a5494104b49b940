"""Rows of numbers that grow: in memory while they are few, then in a file without a name."""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lcnet.errors import DataError
from lcnet.metrics.blocks import release, resident, row_blocks, spans
from lcnet.progress import disk_size

IN_MEMORY = 64 * 2**20
"""Bytes of an array up to which it stays in memory."""

Array = NDArray[Any]


class KeptRows:
    """An array that grows by blocks of rows.

    The file has no name, so that the system removes it in any case, also after a kill.
    """

    def __init__(self, place: Path | None) -> None:
        """`place` is the folder of the file; None: all rows stay in memory."""
        self.place = place
        self.size = 0
        """Bytes."""
        self._blocks: list[Array] = []
        self._file: BinaryIO | None = None

    def add(self, block: Array) -> None:
        """Add rows; all blocks must have the type and width of the first."""
        self._blocks.append(block)
        self.size += block.nbytes
        if self.place is None or (self._file is None and self.size <= IN_MEMORY):
            return
        with _space_in(self.place):
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self.place)  # noqa: SIM115
            for one in self._blocks:
                self._file.write(np.ascontiguousarray(one).data)
        self._blocks = [block[:0]]

    def array(self) -> Array:
        """All rows; to be called once."""
        if self._file is None:
            return self._blocks[0] if len(self._blocks) == 1 else np.concatenate(self._blocks)
        first = self._blocks[0]
        with self._file as file, _space_in(self.place or Path()):
            file.flush()
            return np.memmap(file, first.dtype, "r", shape=_shape(first, self.size))

    def close(self) -> None:
        """Close the file, if there is one; the rows are gone then."""
        if self._file is not None:
            self._file.close()

    @property
    def is_in_file(self) -> bool:
        """Whether the rows did not stay in memory."""
        return self._file is not None


def mapped(function: Callable[..., Array], *arrays: Array, place: Path | None) -> Array:
    """What a function makes of rows, applied to the same rows of all arrays, block by block.

    In a file in `place` if it is large, and in memory without one.
    """
    rows = KeptRows(place)
    for blocks in row_blocks(*arrays):
        rows.add(function(*blocks))
    return rows.array()


def picked(values: Array, rows: NDArray[np.intp], *, place: Path | None) -> Array:
    """Some rows of an array, in their order."""
    if not isinstance(values, np.memmap):
        return values[rows]
    kept = KeptRows(place)
    for block in spans(len(rows), values.shape[1]):
        kept.add(resident(values[rows[block]]))
        release(values)
    return kept.array()


def place_beside(out: Path | None) -> Path:
    """The folder for large arrays: what TMPDIR names, else the folder that `out` will be in."""
    if out is None or os.environ.get("TMPDIR"):
        return Path(tempfile.gettempdir())
    folder = out.absolute().parent
    return next(one for one in (folder, *folder.parents) if one.is_dir())


def check_space(place: Path, needed: int, what: str) -> None:
    """Raise DataError if a folder's disk has not so many bytes free."""
    free = shutil.disk_usage(place).free
    if free < needed:
        raise _no_space(place, f"{disk_size(needed)} free for {what}, got {disk_size(free)}")


@contextmanager
def _space_in(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise _no_space(place, "space for the rows that do not fit into memory, got none") from None


def _no_space(place: Path, expected: str) -> DataError:
    return DataError(
        f"{place}: expected {expected}. Free some, or set TMPDIR to a folder on a larger disk."
    )


def _shape(block: Array, size: int) -> tuple[int, ...]:
    each = block.itemsize * int(np.prod(block.shape[1:], dtype=np.int64))
    return (size // each, *block.shape[1:])
