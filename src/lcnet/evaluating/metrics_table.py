"""The tables that `lcnet evaluate` prints."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict

from rich.columns import Columns
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lcnet.evaluating.measuring import Measured, how_measured, threshold_text
from lcnet.evaluating.protocols import PROTOCOLS
from lcnet.metrics import Verification
from lcnet.metrics.bootstrap import LEVEL, Interval


def print_metrics(measured: Measured, ranges: Mapping[str, Interval]) -> None:
    """Print how the split was measured, the mAP, the rates and the AP of each label."""
    verification, protocol = measured.verification, measured.protocol
    if measured.samples.labels != measured.info.labels:
        print("label names: those of the data set, in its order, since the model has none")
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
        console.print(f"* called CF1 in {protocol}")
    for line in _other_metrics(verification):
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
    """All intervals in one line; no line without intervals."""
    if ranges:
        shown = [f"{name} {value.low:.1f} to {value.high:.1f}" for name, value in ranges.items()]
        yield f"{LEVEL} % intervals over images: {', '.join(shown)}"


def _other_metrics(verification: Verification) -> Iterator[str]:
    """A line of metrics per image, and a line of calibration metrics."""
    by_image, ranking = verification.by_image, verification.ranking
    yield (
        f"example F1 {by_image.example_F1:.1f}, Hamming loss {by_image.hamming_loss:.2f}, "
        f"ranking loss {_or_dash(ranking.ranking_loss)}, "
        f"coverage error {_or_dash(ranking.coverage_error)}"
    )
    yield f"ECE {verification.calibration.ECE:.2f}, Brier {verification.calibration.Brier:.4f}"


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
