"""Finds the thresholds of rows of `lcnet predict`, which name the labels that count as present."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lcnet.evaluating.writing_predictions import USUAL_THRESHOLD
from lcnet.metrics import Floats

Named = Sequence[Sequence[str]]
"""The labels that each row names."""
FOUND = "thresholds are read from the labels that its rows name"
NOT_FOUND = (
    "its rows do not name each label above a probability (by rules between labels, or by hand), so "
    "the labels that they name are not judged"
)


class NamedLabels:
    """Between which probabilities each label's threshold lies, as the rows name labels."""

    def __init__(self, labels: int) -> None:
        self.left_out = np.full(labels, -np.inf)
        """Per label, the highest probability in a row that does not name it."""
        self.taken = np.full(labels, np.inf)
        """Per label, the lowest probability in a row that names it."""

    def add(self, named: Named, labels: Sequence[str], probabilities: Floats) -> None:
        """Add rows; `probabilities` are N x L. Raises KeyError if a row names no label of these."""
        places = {label: place for place, label in enumerate(labels)}
        is_named = np.zeros(probabilities.shape, dtype=bool)
        for row, names in enumerate(named):
            is_named[row, [places[name] for name in names]] = True
        left_out = np.where(is_named, -np.inf, probabilities).max(axis=0, initial=-np.inf)
        taken = np.where(is_named, probabilities, np.inf).min(axis=0, initial=np.inf)
        self.left_out = np.maximum(self.left_out, left_out)
        self.taken = np.minimum(self.taken, taken)

    def thresholds(self) -> NDArray[np.float64] | None:
        """Per label, a probability above which the rows name it, 0 to 1: 0.5 where it can be.

        None if there is no such probability for some label.
        """
        low, high = np.maximum(self.left_out, 0), np.minimum(self.taken, 1)
        is_usual = (low <= USUAL_THRESHOLD) & (high > USUAL_THRESHOLD)
        found = np.where(is_usual, USUAL_THRESHOLD, (low + high) / 2)
        is_right = (self.left_out <= found) & (found < self.taken)
        return found if is_right.all() else None
