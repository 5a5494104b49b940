"""How well probabilities match what is present: ECE, Brier score and reliability curve."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lcnet.metrics.array_checks import (
    Flags,
    Floats,
    Targets,
    check_probabilities,
    check_shapes,
    rounded,
    with_absent,
)
from lcnet.metrics.blocks import row_blocks, total

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
    counted = with_absent(targets)
    size = sum(int((block[:, counted] >= 0).sum()) for (block,) in row_blocks(targets))
    if not size:
        return CalibrationScores(float("nan"), float("nan"), ())
    sums = _Sums(np.zeros(bins, dtype=np.intp), np.zeros(bins), np.zeros(bins))
    squares = total(_squares(probabilities, targets, counted, sums), size)
    filled = sums.entries > 0
    entries = sums.entries[filled]
    mean, share = sums.probability[filled] / entries, sums.present[filled] / entries
    return CalibrationScores(
        ECE=100 * float((entries * np.abs(mean - share)).sum() / size),
        Brier=squares / size,
        reliability=tuple(
            Reliability(float(p), float(s), int(n))
            for p, s, n in zip(mean, share, entries, strict=True)
        ),
    )


@dataclass
class _Sums:
    """The sums of each bin."""

    entries: NDArray[np.intp]
    probability: NDArray[np.float64]
    present: NDArray[np.float64]


def _squares(
    probabilities: Floats, targets: Targets, counted: Flags, sums: _Sums
) -> Iterator[NDArray[np.float64]]:
    """The squared errors of the known entries in blocks, which are added to the sums on the way."""
    bins = len(sums.entries)
    edges, every = np.linspace(0, 1, bins + 1)[1:-1], np.arange(bins)
    for block, marks in row_blocks(probabilities, targets):
        known = (marks >= 0) & counted
        values, present = block[known].astype(np.float64), marks[known].astype(np.float64)
        bin_of = np.searchsorted(edges, values)
        sums.entries += np.bincount(bin_of, minlength=bins)
        # The sums so far come first, so that the order of adding is that of one block.
        places = np.concatenate([every, bin_of])
        sums.probability, sums.present = (
            np.asarray(np.bincount(places, np.concatenate([so_far, more]), bins), np.float64)
            for so_far, more in ((sums.probability, values), (sums.present, present))
        )
        yield np.square(values - present)
