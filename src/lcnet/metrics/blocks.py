"""Walks through arrays of pictures by labels in blocks, so that temporary arrays stay small.

An array can also be a `numpy.memmap` of a file that is larger than the memory. After each block its
pages are given back, so the process holds a block of it and no more.
"""

import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

VALUES_AT_ONCE = 4_000_000
"""Numbers of an array that are worked on at a time."""
TOGETHER = 64
"""Blocks have a multiple of so many rows. Processors work on some numbers at a time, and on what is
left over by another way, of which the last bit can differ."""
PAIRWISE = 128
"""Numbers up to which NumPy adds in a plain loop."""

Array = NDArray[Any]


def spans(rows: int, width: int, *, values: int = 0) -> Iterator[slice]:
    """The rows of each block of an array of so many rows and columns; without rows an empty one.

    A block has `values` numbers, or else `VALUES_AT_ONCE`; but a row or more.
    """
    step = max(1, (values or VALUES_AT_ONCE) // max(1, width))
    step -= step % TOGETHER if step > TOGETHER else 0
    for first in range(0, max(1, rows), step):
        yield slice(first, min(first + step, rows))


def row_blocks(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """The rows of arrays of one shape (N x L), in blocks of the same rows of each."""
    for rows in spans(*arrays[0].shape):
        yield tuple(map(resident, (one[rows] for one in arrays)))
        for one in arrays:
            release(one)


def resident(values: Array) -> Array:
    """The values in memory of the process: a copy if they are in a file."""
    return np.array(values) if isinstance(values, np.memmap) else values


def release(values: Array) -> None:
    """Give back the pages of an array that lies in a file; they are read again when needed."""
    # Only of a file that is read: pages of mode "c" hold changes that are nowhere else.
    if isinstance(values, np.memmap) and values.mode == "r":
        base = values.base
        while isinstance(base, np.ndarray):
            base = base.base
        if isinstance(base, mmap.mmap) and hasattr(base, "madvise"):
            base.madvise(mmap.MADV_DONTNEED)


def total(pieces: Iterator[NDArray[np.float64]], count: int) -> float:
    """The sum of `count` numbers that come in pieces; bit for bit `np.sum` of them in one array.

    NumPy adds the sums of two halves, and so on down. So the halves are summed as they come.
    """
    rest = np.empty(0)

    def taken(count: int) -> NDArray[np.float64]:
        nonlocal rest
        parts, have = [rest], len(rest)
        while have < count:
            parts.append(next(pieces))
            have += len(parts[-1])
        joined = np.concatenate(parts)
        rest = joined[count:]
        return joined[:count]

    def summed(count: int) -> float:
        if count <= max(PAIRWISE, VALUES_AT_ONCE):
            return float(taken(count).sum())
        half = count // 2
        half -= half % 8
        return summed(half) + summed(count - half)

    return summed(count)
