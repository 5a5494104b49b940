"""metrics.json: the metrics of a split and how they were measured."""

import json
from collections.abc import Mapping
from pathlib import Path

from lcnet.evaluating.measuring import Measured, how_measured
from lcnet.evaluating.part_files import as_part, beside, part_of, part_of_other, place, role_of
from lcnet.files import write_text
from lcnet.metrics import Targets, Verification
from lcnet.metrics.array_checks import count_present
from lcnet.metrics.bootstrap import Interval
from lcnet.run_folder import RunFolder


def keep_metrics(
    folder: RunFolder,
    measured: Measured,
    ranges: Mapping[str, Interval] | None = None,
    *,
    more: Mapping[str, object] | None = None,
    is_own: bool = True,
) -> Path:
    """Write the metrics into a model's folder, and return the file.

    This is metrics.json; but where that is of the same model's test split, another split's are
    written beside it (metrics-val.json), and what the test split replaces is kept there. Those of
    another data set than the run's (not `is_own`) are always beside it.
    """
    if not is_own:
        other = part_of_other(measured.data, measured.samples.name)
        write_metrics(file := beside(folder.metrics_file, other), measured, ranges, more=more)
        return file
    file, part = folder.metrics_file, part_of(measured.data, measured.samples.name)
    written = place(file, part, _part_kept(file, measured.fingerprint))
    write_metrics(written, measured, ranges, more=more)
    if written == file:
        beside(file, part).unlink(missing_ok=True)  # an older one of the same split
    return written


def _part_kept(file: Path, fingerprint: str) -> str:
    """The part that metrics.json is of; empty if it is of another model, or says nothing."""
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        if stored["model"] != fingerprint or stored["mAP"] is None:
            return ""
        return str(stored.get("role") or as_part(stored["split"]))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return ""


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
        "role": role_of(measured.data, measured.samples.name),
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
