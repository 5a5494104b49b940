"""metrics.json: the metrics of a split and how they were measured."""

import json
from collections.abc import Mapping
from pathlib import Path

from lcnet.evaluating.measuring import Measured, how_measured
from lcnet.files import write_text
from lcnet.metrics import Targets, Verification
from lcnet.metrics.array_checks import count_present
from lcnet.metrics.bootstrap import Interval


def write_metrics(
    file: Path,
    measured: Measured,
    ranges: Mapping[str, Interval] | None = None,
    *,
    more: Mapping[str, object] | None = None,
) -> None:
    """Write the metrics as JSON, with intervals (`ranges`) and `more` entries if given."""
    calibration = measured.calibration
    content = {
        "split": measured.samples.name,
        "role": _role(measured),
        "root": measured.data.root,
        "format": measured.data.format,
        "model": measured.fingerprint,
        "protocol": measured.protocol or None,
        "calibration": calibration.source if calibration else None,
        "how": list(how_measured(measured)),
        **numbers(measured.verification, measured.targets, ranges),
        **(more or {}),
    }
    write_text(file, json.dumps(content, indent=1, ensure_ascii=False))


def numbers(
    verification: Verification, targets: Targets, ranges: Mapping[str, Interval] | None
) -> dict[str, object]:
    """The metrics, each label's number of positives, and the intervals if given, for JSON."""
    counts = count_present(targets).tolist()
    content = {
        **verification.to_dict(),
        "positives": dict(zip(verification.labels, counts, strict=True)),
    }
    if ranges:
        content["intervals"] = {
            name: [round(interval.low, 4), round(interval.high, 4)]
            for name, interval in ranges.items()
        }
    return content


def _role(measured: Measured) -> str | None:
    """What the split is used for: train, val or test; None if the data set does not name it."""
    # A split can be named twice: training on the measured pictures matters most, so it wins.
    data, name = measured.data, measured.samples.name
    roles = {"train": data.train, "val": data.val, "test": data.test}
    return next((role for role, split in roles.items() if split == name), None)
