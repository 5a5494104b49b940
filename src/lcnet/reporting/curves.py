"""How precision, recall and F1 change with the threshold."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lcnet.metrics import Floats, Targets

POINTS = 120
"""The most points of a curve: more cannot be seen."""


@dataclass(frozen=True)
class Curves:
    """The curves of one label, or of several pooled; all values are from 0 to 1."""

    recall: NDArray[np.float64]
    """Rising, a value for each of `precision`. The area under this curve is the AP."""
    precision: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    """Evenly spaced from 0 to 1, a value for each of the three below."""
    precision_at: NDArray[np.float64]
    """Precision of the entries strictly above each threshold; NaN where there are none."""
    recall_at: NDArray[np.float64]
    F1_at: NDArray[np.float64]
    best_threshold: float
    """A threshold with the best F1, halfway between two probabilities that occur."""
    best_F1: float


def curves(probabilities: Floats, targets: Targets) -> Curves | None:
    """The curves of the known entries of two arrays of one shape.

    None without a present or without an absent entry.
    """
    from sklearn.metrics import precision_recall_curve

    known = targets >= 0
    values, present = probabilities[known].astype(np.float64), targets[known] == 1
    if not present.any() or present.all():
        return None
    # From low to high; entry k counts what is at least cuts[k], and the last counts nothing.
    precision, recall, cuts = precision_recall_curve(present, values)
    F1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    grid = np.linspace(0, 1, 101)
    above = np.searchsorted(cuts, grid, side="right")
    nothing = above == len(cuts)
    best = int(np.argmax(F1))
    below = cuts[best - 1] if best else 0.0
    falling = np.flatnonzero(np.diff(recall) < 0)[::-1]  # recall falls at positives
    kept = falling[np.unique(np.linspace(0, len(falling) - 1, POINTS).round().astype(int))]
    return Curves(
        recall=recall[kept],
        precision=precision[kept],
        thresholds=grid,
        precision_at=np.where(nothing, np.nan, precision[above]),
        recall_at=recall[above],
        F1_at=F1[above],
        best_threshold=float((below + cuts[best]) / 2),
        best_F1=float(F1[best]),
    )
