"""Targets of a split, written as lists."""

import numpy as np
from numpy.typing import NDArray


def marks(rows: list[list[int]]) -> NDArray[np.int8]:
    """The targets of pictures, a row each: 1, 0 and -1."""
    return np.array(rows, dtype=np.int8)
