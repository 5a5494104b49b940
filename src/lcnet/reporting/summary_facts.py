"""Gathers what the first paragraph of a report is made of."""

from collections.abc import Mapping, Sequence
from math import isnan, pi, sqrt
from typing import Literal

import numpy as np

from lcnet.evaluating.measuring import Measured
from lcnet.metrics import Flags, Targets
from lcnet.metrics.array_checks import with_absent
from lcnet.metrics.bootstrap import Interval
from lcnet.metrics.calibration_error import Reliability
from lcnet.reporting.run_report import RunReport
from lcnet.reporting.summary import FAR_BELOW, FEWEST_HERE, Facts, Trust, WeakLabel
from lcnet.run_folder import last_of

MOST_WEAK = 3
LIKELY = 0.1
"""Probabilities from here on are those that a reader looks at; most others are easy absent ones."""
FEWEST_MIXED = 3
SHARE_MIXED = 0.2
"""At least so many pictures, and this share of a label's mistakes, make two labels confused."""
TIMES_CHANCE = 2.0
"""And this many times what unconnected mistakes would give."""


def facts_of(report: RunReport) -> Facts:
    """The facts of a report, as its page shows them."""
    measured, data = report.measured, report.measured.data
    targets, verification = measured.targets, measured.verification
    counted = with_absent(targets)
    present, called = targets[:, counted] == 1, report.predicted[:, counted]
    known = targets[:, counted] >= 0
    hits, calls = (called & present).sum(), (called & known).sum()
    measurable = [column for column, ap in enumerate(verification.ap) if ap is not None]
    here = (targets == 1).sum(axis=0)
    enough = [column for column in measurable if here[column] >= FEWEST_HERE]
    return Facts(
        name=report.folder,
        split=measured.samples.name,
        role=role_of(measured),
        pictures=verification.images,
        mean_ap=_interval(report),
        guessing=_guessing(targets, measurable),
        found=100 * float(hits / present.sum()) if present.any() else float("nan"),
        right=100 * float(hits / calls) if calls else float("nan"),
        unknown=float((targets < 0).mean()),
        weak=tuple(_weak_labels(report, enough)),
        judged=_judged(measured, enough),
        hardly_measured=int((here < FEWEST_HERE).sum()),
        measured_labels=len(measurable),
        labels=len(here),
        trust=trust_of(verification.calibration.reliability),
        is_calibrated=measured.info.calibration is not None,
        protocol=measured.protocol,
        has_data=report.has_own_data,
        val=data.val,
        test=data.test,
        epochs=report.resumable_epochs,
        last_gain=last_gain(report.history),
    )


def role_of(measured: Measured) -> Literal["train", "val", "test", ""]:
    """What the split is used for. One with two uses counts as the one that says more."""
    name, data = measured.samples.name, measured.data
    if name == data.train:
        return "train"
    if name == data.test and name != data.val:
        return "test"
    return "val" if name == data.val else ""


def _interval(report: RunReport) -> Interval | None:
    return report.intervals.get("mAP")


def _guessing(targets: Targets, columns: Sequence[int]) -> float:
    """The AP of a random order is about the share of present entries; 0 to 100."""
    if not columns:
        return float("nan")
    chosen = targets[:, list(columns)]
    return 100 * float(((chosen == 1).sum(axis=0) / (chosen >= 0).sum(axis=0)).mean())


def _judged(measured: Measured, columns: Sequence[int]) -> tuple[tuple[str, float], ...]:
    aps = sorted((measured.verification.ap[column] or 0.0, column) for column in columns)
    return tuple((measured.samples.labels[column], ap) for ap, column in aps)


def _weak_labels(report: RunReport, columns: Sequence[int]) -> list[WeakLabel]:
    """The labels far below the mean, the lowest first, among those with enough pictures."""
    measured, statistics = report.measured, report.measured.info.statistics
    labels, mean = measured.samples.labels, measured.verification.mAP
    aps = sorted((measured.verification.ap[column] or 0.0, column) for column in columns)
    called = report.predicted.sum(axis=0)
    weak = []
    for ap, column in aps[:MOST_WEAK]:
        if not mean - ap >= FAR_BELOW:
            break
        other, mixed_up = taken_for(report.predicted, measured.targets, column)
        weak.append(
            WeakLabel(
                label=labels[column],
                ap=ap,
                in_training=statistics.positives[column] if statistics else None,
                is_predicted=bool(called[column]),
                taken_for="" if other is None else labels[other],
                mixed_up=mixed_up,
            )
        )
    return weak


def taken_for(predicted: Flags, targets: Targets, label: int) -> tuple[int | None, int]:
    """The label that one is most often confused with, and in how many pictures; None if in none.

    Confused are two labels in a picture where one of them is missed and the other wrongly
    predicted. It counts only if that is much more frequent than for unconnected mistakes.
    """
    missed, wrong = ~predicted & (targets == 1), predicted & (targets == 0)
    own_missed, own_wrong = missed[:, label], wrong[:, label]
    together = (own_missed[:, None] & wrong).sum(axis=0) + (own_wrong[:, None] & missed).sum(axis=0)
    mistakes = int(own_missed.sum() + own_wrong.sum())
    by_chance = (own_missed.sum() * wrong.sum(axis=0) + own_wrong.sum() * missed.sum(axis=0)) / len(
        targets
    )
    counts = np.where(together >= TIMES_CHANCE * by_chance, together, 0)
    counts[label] = 0
    other = int(counts.argmax())
    if counts[other] < max(FEWEST_MIXED, SHARE_MIXED * mistakes):
        return None, 0
    return other, int(counts[other])


def trust_of(reliability: Sequence[Reliability]) -> Trust | None:
    """How probabilities from `LIKELY` on agree with the shares; None if nothing was measured."""
    if not reliability:
        return None
    likely = [row for row in reliability if row.probability >= LIKELY]
    entries = sum(row.entries for row in likely)
    if not entries:
        return Trust(0, 0.0, 0.0, 0.0, 0.0)

    def mean(values: list[float]) -> float:
        return (
            100
            * sum(row.entries * value for row, value in zip(likely, values, strict=True))
            / (entries)
        )

    apart = [abs(row.probability - row.present) for row in likely]
    # The mean distance from its mean of a share that is a mean of n draws, about normal.
    noise = [
        sqrt(2 / pi) * sqrt(row.probability * (1 - row.probability) / row.entries) for row in likely
    ]
    worst = max(likely, key=lambda row: row.entries * abs(row.probability - row.present))
    return Trust(entries, mean(apart), mean(noise), 100 * worst.probability, 100 * worst.present)


def last_gain(history: Sequence[Mapping[str, float]]) -> float:
    """Points of validation mAP that the last fifth of the epochs brought; 0 if it is not the best.

    Only of five epochs or more: fewer show no course.
    """
    course = [row["val_mAP"] for row in history if row["epoch"] > 0 and not isnan(row["val_mAP"])]
    last = last_of(len(course))
    if last == len(course):
        return 0.0
    before, after = max(course[:-last]), max(course[-last:])
    return max(0.0, after - before)
