"""How well probabilities match what is present: ECE, Brier score and reliability curve."""

from dataclasses import dataclass

import numpy as np

from lcnet.metrics.array_checks import (
    Floats,
    Targets,
    check_probabilities,
    check_shapes,
    rounded,
    with_absent,
)

BINS = 15
"""The number of bins, of equal width, as in Guo et al. 2017."""


@dataclass(frozen=True)
class Reliability:
    """The entries with a probability in one bin."""

    probability: float
    """Their mean probability, 0 to 1."""
    present: float
    """The share of them that is present, 0 to 1; about `probability` if well calibrated."""
    entries: int


@dataclass(frozen=True)
class CalibrationScores:
    """How far probabilities are from the shares of present entries; lower is better."""

    ECE: float
    """Expected calibration error, in percent (0 to 100)."""
    Brier: float
    """Mean squared difference of probability and target, 0 to 1."""
    reliability: tuple[Reliability, ...]
    """The bins that hold an entry, from low probabilities to high."""

    def headline(self) -> dict[str, float | None]:
        """ECE and Brier by name, rounded to 4 and 6 digits for JSON files; None if NaN."""
        return {"ECE": rounded(self.ECE, 4), "Brier": rounded(self.Brier, 6)}


def calibration_scores(
    probabilities: Floats, targets: Targets, *, bins: int = BINS
) -> CalibrationScores:
    """The calibration of all known entries together, labels pooled; NaN if there are none.

    Labels without an absent entry are left out: always saying yes would be perfect there.

    ECE = sum over bins b of n_b / n * |mean probability in b - share of present in b|, where bin b
    of B holds probabilities in ((b - 1) / B, b / B], and 0 is in the first. With many labels most
    entries are easy absent ones near 0, so both numbers are small; the curve shows the rest.

    Source: Naeini et al. 2015; Guo et al. 2017, equation 3; Brier 1950.
    Raises DataError if a probability is not finite.
    """
    check_shapes(probabilities, targets)
    check_probabilities(probabilities)
    known = (targets >= 0) & with_absent(targets)
    values, present = probabilities[known].astype(np.float64), targets[known].astype(np.float64)
    if not values.size:
        return CalibrationScores(float("nan"), float("nan"), ())
    bin_of = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], values)
    entries = np.bincount(bin_of, minlength=bins)
    filled = entries > 0
    entries = entries[filled]
    mean = np.bincount(bin_of, values, bins)[filled] / entries
    share = np.bincount(bin_of, present, bins)[filled] / entries
    return CalibrationScores(
        ECE=100 * float((entries * np.abs(mean - share)).sum() / values.size),
        Brier=float(np.square(values - present).mean()),
        reliability=tuple(
            Reliability(float(p), float(s), int(n))
            for p, s, n in zip(mean, share, entries, strict=True)
        ),
    )
