"""What a model that is not calibrated would gain by it."""

from lcnet.data.dataset import evenly
from lcnet.errors import DataError, quoted
from lcnet.evaluating.calibrate import SHRINKAGE
from lcnet.evaluating.measuring import Measured
from lcnet.files import AnyPath
from lcnet.metrics import calibration_scores
from lcnet.metrics.crossfit import FEWEST_FOLDS, fit
from lcnet.metrics.thresholds import Goal, logits_of

MOST_PICTURES = 2_000
"""Pictures that the estimate is made with, spread evenly."""
WORTH_SAYING = 1.0
"""Points of ECE or CF1."""


def gain_of_calibrating(measured: Measured, model: AnyPath) -> str:
    """A line with the ECE and CF1 to expect of `lcnet calibrate`; empty if there is little to gain.

    The estimate is cross-fitted on the measured pictures. A model with thresholds or a calibration
    of its own, and one that is measured by a protocol, gets no line.
    """
    info = measured.info
    if measured.protocol or info.calibration or set(info.thresholds) != {0.5}:
        return ""
    rows = evenly(len(measured.targets), MOST_PICTURES)
    logits = logits_of(measured.probabilities[rows])
    try:
        fitted = fit(
            logits, measured.targets[rows],
            method="platt", goal=Goal(), shrinkage=SHRINKAGE, folds=FEWEST_FOLDS,
        )  # fmt: skip
    except DataError:
        return ""
    before = measured.verification
    error = calibration_scores(fitted.expected_probabilities, measured.targets[rows]).ECE
    gains = (before.calibration.ECE - error, fitted.expected.CF1 - before.at_threshold.CF1)
    if not max(gains) >= WORTH_SAYING:
        return ""
    return (
        f"not calibrated: lcnet calibrate {quoted(model)} would bring ECE from "
        f"{before.calibration.ECE:.1f} to about {error:.1f}, and CF1 from "
        f"{before.at_threshold.CF1:.1f} to about {fitted.expected.CF1:.1f}"
    )
