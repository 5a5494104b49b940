"""The types of the arrays that metrics take, and what they must and can hold."""

import numpy as np
from numpy.typing import NDArray

from lcnet.errors import DataError

Floats = NDArray[np.floating]
Targets = NDArray[np.integer]
Flags = NDArray[np.bool_]


def with_absent(targets: Targets) -> Flags:
    """Which labels have an absent entry (L).

    A label without one has no AP and no precision: no picture could be a false alarm.
    """
    return np.asarray((targets == 0).any(axis=0))


def with_both(targets: Targets) -> Flags:
    """Which labels have a present and an absent entry (L)."""
    return np.asarray((targets == 1).any(axis=0)) & with_absent(targets)


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
    if not probabilities.size or (probabilities.min() >= 0 and probabilities.max() <= 1):
        return  # A NaN would be the minimum and fail the comparison.
    finite = np.isfinite(probabilities)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise DataError(
            f"probabilities: expected finite numbers, got {probabilities[row, column]} for image "
            f"{row}, label {column} (from 0), the first of {int((~finite).sum())} such values. "
            "The model has diverged: go back to an earlier checkpoint or train with a lower "
            "learning rate."
        )
    raise ValueError(
        "probabilities: expected values in [0, 1], "
        f"got {probabilities.min()} to {probabilities.max()}. Logits need a sigmoid first."
    )
