"""On how many pictures each fitted threshold rests, as calibration.json keeps it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lcnet.evaluating.measuring import Measured
from lcnet.metrics.thresholds import FEW_POSITIVES
from lcnet.run_folder import RunFolder

POSITIVES = "positives"
"""The key of calibration.json with the pictures that show each label, by its name."""


def read_fitting(run: Path, fingerprint: str) -> dict[str, Any] | None:
    """The content of calibration.json, if it is of the model with this fingerprint."""
    try:
        stored = json.loads(RunFolder(run).calibration_file.read_text(encoding="utf-8"))
        return stored if stored.get("model") == fingerprint else None
    except (OSError, ValueError, AttributeError):
        return None


def resting_on_few(measured: Measured, fitting: Mapping[str, Any] | None) -> dict[str, int]:
    """The labels whose thresholds rest on few pictures, with their number, the fewest first.

    Empty where another threshold was measured, or where calibration.json does not say it.
    """
    counts = (fitting or {}).get(POSITIVES)
    own = np.equal(measured.verification.threshold, measured.info.thresholds).all()
    if not own or not isinstance(counts, dict):
        return {}
    return {
        label: count
        for label, count in sorted(counts.items(), key=lambda one: one[1])
        if isinstance(count, int) and count < FEW_POSITIVES
    }
