"""metrics.json: what was measured, for programs and later readers."""

import json
from collections.abc import Mapping
from pathlib import Path

from lcnet.evaluating.measuring import Measured, how_measured
from lcnet.files import write_text
from lcnet.metrics.bootstrap import Interval


def write_metrics(
    file: Path, measured: Measured, ranges: Mapping[str, Interval] | None = None
) -> None:
    """Write the numbers, and their intervals if there are any, as JSON."""
    calibration = measured.calibration
    said = {
        "split": measured.samples.name,
        "role": _role(measured),
        "root": measured.data.root,
        "format": measured.data.format,
        "model": measured.fingerprint,
        "protocol": measured.protocol or None,
        "calibration": calibration.source if calibration else None,
        "how": list(how_measured(measured)),
        **measured.verification.to_dict(),
        "positives": _positives(measured),
    }
    if ranges:
        said["intervals"] = {
            name: [round(one.low, 4), round(one.high, 4)] for name, one in ranges.items()
        }
    write_text(file, json.dumps(said, indent=1, ensure_ascii=False))


def _role(measured: Measured) -> str | None:
    """What the data set has the split for, what says most first: train, val, test or nothing."""
    data, name = measured.data, measured.samples.name
    roles = {"train": data.train, "val": data.val, "test": data.test}
    return next((role for role, split in roles.items() if split == name), None)


def _positives(measured: Measured) -> dict[str, int]:
    """In how many of the pictures each label is there."""
    counts = (measured.targets == 1).sum(axis=0).tolist()
    return dict(zip(measured.verification.labels, counts, strict=True))
