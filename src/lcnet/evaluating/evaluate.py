"""`lcnet evaluate`: how good a model is on a split, measured as its run says or as papers do."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from rich.columns import Columns
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lcnet.config import Data
from lcnet.evaluating.measuring import Measured, how_measured, measure, threshold_text
from lcnet.evaluating.protocols import PROTOCOLS
from lcnet.files import write_text
from lcnet.metrics import Verification
from lcnet.metrics.bootstrap import LEVEL, Interval


def evaluate(
    run: Path,
    *,
    split: str = "",
    root: str = "",
    threshold: float | None = None,
    data: Data | None = None,
    protocol: str = "",
    batch_size: int | None = None,
    out: Path | None = None,
    with_intervals: bool = False,
    quiet: bool = False,
) -> Verification:
    """The metrics of a model on a split; printed unless `quiet`, and written to `out`.

    Args:
        run: a run folder, or a model folder together with `data`.
        split: by default the one that the protocol reports for this data format, else data.test.
        root: where the data set is now.
        threshold: one for all labels, instead of the protocol's or, without one, the model's own.
        data: the data set; by default the run's.
        protocol: one of `PROTOCOLS`. It says which pictures count, the threshold, the AP formula.
        batch_size: images at a time; by default the run's, or `BATCH_SIZE`.
        out: by default metrics.json in the folder.
        with_intervals: also print and write 95 % intervals of mAP, CF1 and OF1, see `bootstrap`.
        quiet: print nothing.

    Raises CheckpointError if the model cannot be read, DataError if the data cannot, ConfigError
    for a choice that does not exist or a model folder without `data`.
    """
    measured = measure(
        run,
        split=split,
        root=root,
        threshold=threshold,
        data=data,
        protocol=protocol,
        batch_size=batch_size,
        quiet=quiet,
    )
    ranges = measured.intervals() if with_intervals else {}
    write_metrics(out or run / "metrics.json", measured, ranges)
    if not quiet:
        if measured.samples.labels != measured.info.labels:
            print("label names: the data set's, in its order, since the model knows none")
        _show(measured, ranges)
    return measured.verification


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


# What is printed


def _show(measured: Measured, ranges: Mapping[str, Interval]) -> None:
    """Print how it was measured, the headline, the rates and the AP of each label."""
    verification, protocol = measured.verification, measured.protocol
    console = Console(highlight=False, markup=False)
    left_out = len(verification.without_positive)
    console.print(
        f"{measured.samples.name}: {verification.images:,} pictures, "
        f"{len(verification.labels)} labels"
        + (f" ({left_out} without a positive, left out of the means)" if left_out else "")
    )
    for line in how_measured(measured):
        console.print(line)
    console.print(f"mAP {verification.mAP:.2f}", style="bold")
    for line in _intervals(ranges):
        console.print(line)
    class_f1 = PROTOCOLS[protocol].class_f1 if protocol else ""
    rates = Table("")
    for name in asdict(verification.at_threshold):
        rates.add_column(f"{name}*" if name == class_f1 else name, justify="right")
    for title, row in (
        (f"at {threshold_text(verification)}", verification.at_threshold),
        (f"top {verification.top_k}", verification.at_top),
    ):
        rates.add_row(title, *(f"{value:.1f}" for value in asdict(row).values()))
    console.print(rates)
    if class_f1:
        console.print(f"* what {protocol} calls CF1")
    for line in _others(verification):
        console.print(line)
    console.print("\nAP of each label")
    values = zip(verification.labels, verification.ap, strict=True)
    console.print(
        Columns(
            [Text(f"{'-' if ap is None else f'{ap:.1f}':>5} {label}") for label, ap in values],
            padding=(0, 3),
            equal=True,
            column_first=True,
        )
    )


def _intervals(ranges: Mapping[str, Interval]) -> Iterator[str]:
    """The intervals in a line, if there are any."""
    if ranges:
        shown = [f"{name} {one.low:.1f} to {one.high:.1f}" for name, one in ranges.items()]
        yield f"{LEVEL} % intervals over images: {', '.join(shown)}"


def _others(verification: Verification) -> Iterator[str]:
    """What is measured by image, and of calibration, a line each."""
    by_image, ranking = verification.by_image, verification.ranking
    yield (
        f"example F1 {by_image.example_F1:.1f}, Hamming loss {by_image.hamming_loss:.2f}, "
        f"ranking loss {_or_dash(ranking.ranking_loss)}, "
        f"coverage error {_or_dash(ranking.coverage_error)}"
    )
    yield f"ECE {verification.calibration.ECE:.2f}, Brier {verification.calibration.Brier:.4f}"


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
