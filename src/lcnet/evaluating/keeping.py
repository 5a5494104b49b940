"""The predictions of a measured model, to be written to a file."""

from pathlib import Path

import numpy as np

from lcnet.evaluating.measuring import Measured
from lcnet.evaluating.predictions import Predictions


def predictions_of(measured: Measured) -> Predictions:
    """What a model predicted for each picture of a split that could be read.

    Pictures are named by their paths from the data set's folder, if they are in it.
    """
    root, unread = Path(measured.data.root), set(measured.unread)
    paths = [sample.path for sample in measured.samples.samples]
    threshold = measured.verification.threshold
    labels = measured.verification.labels
    whole = Predictions(
        labels=labels,
        pictures=tuple(_name(path, root) for path in paths),
        probabilities=measured.probabilities,
        targets=measured.targets,
        logits=measured.logits,
        thresholds=threshold if isinstance(threshold, tuple) else (threshold,) * len(labels),
        split=measured.samples.name,
        fingerprint=measured.fingerprint,
        calibrated=measured.calibration is not None,
    )
    if not unread:
        return whole
    return whole.chosen(np.flatnonzero([path not in unread for path in paths]))


def _name(path: Path, root: Path) -> str:
    """A path as any program can read it: a name may be of any bytes."""
    inside = path.relative_to(root) if path.is_relative_to(root) else path
    return inside.as_posix().encode("utf-8", "backslashreplace").decode("utf-8")
