"""The types of the arrays that metrics take, and what they must and can hold."""

import numpy as np
from numpy.typing import NDArray

from lcnet.errors import DataError
from lcnet.metrics.blocks import row_blocks

Floats = NDArray[np.floating]
Targets = NDArray[np.integer]
Flags = NDArray[np.bool_]


def with_absent(targets: Targets) -> Flags:
    """Which labels have an absent entry (L).

    A label without one has no AP and no precision: no picture could be a false alarm.
    """
    return _with(targets, 0)


def with_present(targets: Targets) -> Flags:
    """Which labels have a present entry (L)."""
    return _with(targets, 1)


def with_both(targets: Targets) -> Flags:
    """Which labels have a present and an absent entry (L)."""
    return with_present(targets) & with_absent(targets)


def count_present(targets: Targets) -> NDArray[np.intp]:
    """How many present entries each label has (L)."""
    found = np.zeros(targets.shape[1], dtype=np.intp)
    for (block,) in row_blocks(targets):
        found += (block == 1).sum(axis=0)
    return found


def _with(targets: Targets, mark: int) -> Flags:
    found = np.zeros(targets.shape[1], dtype=np.bool_)
    for (block,) in row_blocks(targets):
        found |= (block == mark).any(axis=0)
    return found


def rounded(value: float | None, digits: int) -> float | None:
    """The value for a JSON file; None if there is none, as JSON has no NaN."""
    return None if value is None or np.isnan(value) else round(value, digits)


def check_shapes(predictions: NDArray[np.generic], targets: Targets) -> None:
    """Raises ValueError unless both arrays are images x labels and have the same shape."""
    if predictions.ndim != 2 or predictions.shape != targets.shape:
        raise ValueError(
            "metrics: expected predictions and targets of one shape, images x labels, "
            f"got {predictions.shape} and {targets.shape}."
        )


def check_probabilities(probabilities: Floats) -> None:
    """Raises DataError unless all are finite, and ValueError unless all are in [0, 1]."""
    if not probabilities.size:
        return
    lows, highs = zip(
        *((one.min(), one.max()) for (one,) in row_blocks(probabilities)), strict=True
    )
    low, high = np.min(lows), np.max(highs)
    if low >= 0 and high <= 1:
        return  # A NaN would be the minimum and fail the comparison.
    place, count = _not_finite(probabilities)
    if place is not None:
        row, column = place
        raise DataError(
            f"probabilities: expected finite numbers, got {probabilities[row, column]} for image "
            f"{row}, label {column} (from 0), the first of {count} such values. "
            "The model has diverged: go back to an earlier checkpoint or train with a lower "
            "learning rate."
        )
    raise ValueError(
        "probabilities: expected values in [0, 1], "
        f"got {low} to {high}. Logits need a sigmoid first."
    )


def _not_finite(values: Floats) -> tuple[tuple[int, int] | None, int]:
    """Row and column of the first number that is not finite, and how many there are."""
    first, count, above = None, 0, 0
    for (block,) in row_blocks(values):
        is_odd = ~np.isfinite(block)
        if first is None and is_odd.any():
            row, column = np.argwhere(is_odd)[0].tolist()
            first = above + row, column
        count += int(is_odd.sum())
        above += len(block)
    return first, count
