"""The tables that `lcnet evaluate` prints."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isnan
from operator import itemgetter
from typing import Protocol

from rich.columns import Columns
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lcnet.evaluating import measuring
from lcnet.evaluating.legend import print_legend
from lcnet.evaluating.measuring import Measured, how_measured, mean_ap_text
from lcnet.evaluating.protocols import PROTOCOLS
from lcnet.metrics import Targets, Verification
from lcnet.metrics.array_checks import count_present
from lcnet.metrics.bootstrap import LEVEL, RESAMPLES, Interval
from lcnet.metrics.thresholds import FEW_POSITIVES
from lcnet.progress import paragraph

NAMED = 5
"""Most labels that a line names."""

LISTED = 500
"""Most labels with their AP; of more the lowest are printed."""

FEWEST_RESAMPLES = 200
"""Resamples for the interval of few pictures with many labels."""
QUICK = 100_000
"""Entries (pictures x labels) up to which it takes `RESAMPLES`, in about 2 s; of more, fewer."""


@dataclass(frozen=True)
class Roughness:
    """How far the numbers of few pictures can be trusted."""

    mean_ap: Interval
    present: Sequence[int]
    """How many of the pictures show each label."""


class Judged(Protocol):
    """What was measured, of a model or of files of predictions."""

    @property
    def targets(self) -> Targets:
        """N x L: 1, 0 and -1 (unknown)."""

    @property
    def verification(self) -> Verification:
        """Its metrics."""

    def intervals(self, resamples: int = RESAMPLES) -> dict[str, Interval]:
        """The intervals of mAP, CF1 and OF1."""


def roughness(measured: Judged, ranges: Mapping[str, Interval]) -> Roughness | None:
    """The interval of the mAP of few pictures, and each label's count; None for enough pictures.

    The interval is that of `ranges`, if there is one. None, too, if no label can be measured.
    """
    targets = measured.targets
    if len(targets) >= measuring.FEW or isnan(measured.verification.mAP):
        return None
    resamples = max(FEWEST_RESAMPLES, min(RESAMPLES, RESAMPLES * QUICK // targets.size))
    found = (ranges or measured.intervals(resamples)).get("mAP")
    return Roughness(found, count_present(targets).tolist()) if found else None


def print_metrics(
    measured: Measured, ranges: Mapping[str, Interval], few: Mapping[str, int] | None = None
) -> None:
    """Print how the split was measured, the mAP, the rates and the AP of each label.

    `few` are the labels of `threshold_support.resting_on_few`.
    """
    if measured.samples.labels != measured.info.labels:
        print("label names: those of the data set, in its order, since the model has none")
    protocol = measured.protocol
    print_verification(
        measured.verification,
        ranges,
        title=measured.samples.name,
        how=how_measured(measured),
        class_f1=PROTOCOLS[protocol].class_f1 if protocol else "",
        protocol=protocol,
        rough=roughness(measured, ranges),
        note=_few(few or {}),
    )


def print_verification(
    verification: Verification,
    ranges: Mapping[str, Interval],
    *,
    title: str,
    how: Iterable[str],
    class_f1: str = "",
    protocol: str = "",
    rough: Roughness | None = None,
    note: str = "",
) -> None:
    """Print what was measured (`title`), `how`, a line each, and all numbers.

    `class_f1` is the rate that the protocol calls CF1; empty without one. `rough` is given for few
    pictures: then the interval stands behind the mAP, and the number of pictures behind each AP.
    `note` is said of the rates.
    """
    console = Console(highlight=False, markup=False)
    left_out = len(verification.without_positive)
    console.print(
        f"{title}: {verification.images:,} pictures, {len(verification.labels)} labels"
        + (f" ({left_out} without a positive, left out of the means)" if left_out else ""),
        soft_wrap=True,
    )
    for line in how:
        console.print(paragraph(line), soft_wrap=True)
    if verification.without_absent:
        console.print(
            f"{len(verification.without_absent)} without a picture that is known not to show it, "
            f"left out of all numbers: {_first(verification.without_absent)}",
            soft_wrap=True,
        )
    console.print(_mean_ap(rough) if rough else mean_ap_text(verification), style="bold")
    for line in _intervals(ranges):
        console.print(line)
    rates = Table("")
    for name in asdict(verification.at_threshold):
        rates.add_column(f"{name}*" if name == class_f1 else name, justify="right")
    for title, row in (
        (_at(verification), verification.at_threshold),
        (f"top {verification.top_k}", verification.at_top),
    ):
        rates.add_row(title, *(or_dash(value, 1) for value in asdict(row).values()))
    console.print(rates)
    if class_f1:
        console.print(f"* called CF1 in {protocol}")
    if note:
        console.print(paragraph(note), soft_wrap=True)
    for line in _other_metrics(verification):
        console.print(line)
    names = verification.labels
    if rough:
        names = tuple(
            f"{label} ({count:,})" for label, count in zip(names, rough.present, strict=True)
        )
    values: list[tuple[str, float | None]]
    values = list(zip(names, verification.ap, strict=True))
    title = "AP of each label" + " (pictures that show it)" * bool(rough)
    if len(values) > LISTED:
        measured = [(label, ap) for label, ap in values if ap is not None and not isnan(ap)]
        values = [*sorted(measured, key=itemgetter(1))[:LISTED]]
        title = (
            f"The {len(values):,} lowest AP, of {len(measured):,} labels that have one "
            "(all are in the JSON file that lcnet evaluate writes)"
            + "; in brackets: pictures that show it"
            * bool(rough)
        )
    console.print(f"\n{title}")
    console.print(
        Columns(
            [Text(f"{or_dash(ap, 1):>5} {label}") for label, ap in values],
            padding=(0, 3),
            equal=True,
            column_first=True,
        )
    )
    print_legend(console, title="What the names mean")


def _at(verification: Verification) -> str:
    """Where the rates are measured, for the first column."""
    threshold = verification.threshold
    return f"at {threshold:g}" if isinstance(threshold, float) else "own thresholds"


def _mean_ap(rough: Roughness) -> str:
    """The mAP of few pictures with its interval; a second decimal would say nothing."""
    found = rough.mean_ap
    return f"mAP {found.value:.1f} ({found.low:.1f} to {found.high:.1f}, {LEVEL} %)"


def _few(few: Mapping[str, int]) -> str:
    """A line on labels whose thresholds rest on few pictures; empty if there is none."""
    if not few:
        return ""
    return (
        f"{len(few):,} threshold{' rests' if len(few) == 1 else 's rest'} on fewer than "
        f"{FEW_POSITIVES} pictures that show the label: "
        f"{_first([f'{label} ({count})' for label, count in few.items()])}"
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
        f"example F1 {or_dash(by_image.example_F1, 1)}, "
        f"Hamming loss {or_dash(by_image.hamming_loss)}, "
        f"ranking loss {or_dash(ranking.ranking_loss)}, "
        f"coverage error {or_dash(ranking.coverage_error)}"
    )
    calibration = verification.calibration
    yield f"ECE {or_dash(calibration.ECE)}, Brier {or_dash(calibration.Brier, 4)}"


def or_dash(value: float | None, digits: int = 2) -> str:
    """The number with that many digits after the point; a dash if there is none."""
    return "-" if value is None or isnan(value) else f"{value:.{digits}f}"


def _first(names: Sequence[str]) -> str:
    """The first names of many."""
    return ", ".join(names[:NAMED]) + ", ..." * (len(names) > NAMED)
