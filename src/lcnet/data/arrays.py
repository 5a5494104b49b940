"""Reads a matrix of numbers from a .npy file; refuses pickled objects and archives."""

from pathlib import Path

import numpy as np

from lcnet.errors import DataError, reason_of


def read_matrix(file: Path, rows: int, *, columns: int | None = None) -> np.ndarray:
    """The finite numbers of a .npy file, of shape (rows, columns), as float32.

    If `columns` is None, one or more columns are read. Raises DataError for anything else, also
    for pickled objects, which could run code.
    """
    try:
        stored = np.load(file, allow_pickle=False)
    except Exception as error:  # numpy parses the header as Python: a dozen error types
        raise DataError(
            f"{file}: expected an array of numbers in .npy form, got: {reason_of(error)}. "
            "Store it with numpy.save."
        ) from None
    # For a .npz archive named .npy, np.load gives no array.
    shape = stored.shape if isinstance(stored, np.ndarray) else None
    wide = shape is not None and len(shape) == 2 and shape[1] == (columns or max(1, shape[1]))
    if shape is None or not wide or shape[0] != rows:
        raise DataError(
            f"{file}: expected an array of shape ({rows}, {columns or 'length'}), one row per "
            f"label, got shape {shape}. Store the rows in the order of the labels."
        )
    if stored.dtype.kind not in "fiu":
        raise DataError(
            f"{file}: expected real numbers, got type {stored.dtype}. Store it as float32."
        )
    with np.errstate(over="ignore"):  # too large numbers become infinite
        matrix = stored.astype(np.float32)
    for row in np.flatnonzero(~np.isfinite(matrix).all(axis=1))[:1]:
        raise DataError(
            f"{file}: row {row + 1}: expected finite numbers that fit float32, got nan, infinite "
            "or larger ones. Correct the row."
        )
    return matrix
