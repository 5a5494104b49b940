"""The page of `lcnet report`: what its template draws, from what was measured."""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from lcnet.config import Config, by_name
from lcnet.data.statistics import Statistics
from lcnet.evaluating.measuring import Measured, how_measured
from lcnet.metrics import Flags, calibration_scores, count_decisions, predict_at
from lcnet.metrics.bootstrap import LEVEL, Interval
from lcnet.model.learned_graph import Graph
from lcnet.reporting.charts import (
    Axis,
    Dot,
    Line,
    LineChart,
    Matrix,
    Network,
    axis_over,
    network,
    short,
)
from lcnet.reporting.curves import Curves, curves
from lcnet.reporting.html_page import thumbnail, write_page
from lcnet.reporting.mistakes import Entry, company, strongest_pairs, worst_entries

MATRIX_LABELS = 100
"""So many labels are in a matrix at most, the commonest of the split."""
CURVE_LABELS = 200
"""So many labels have curves at most, the commonest of the split."""
OVERLAID = 30
"""Up to so many labels, the curves of all lie behind the common one."""
PAIRS = 12
"""So many pairs of labels are listed, of each kind."""
ERRORS = 12
"""So many errors are shown, of each kind."""


@dataclass(frozen=True)
class Report:
    """All that the page tells."""

    name: str
    """The run's or model's folder, without the path to it."""
    measured: Measured
    intervals: Mapping[str, Interval]
    resamples: int
    statistics: Mapping[str, Statistics]
    """Counts of labels by split, training first."""
    history: Sequence[Mapping[str, float]]
    """A row per epoch; empty if there is none."""
    config: Config
    graph: Graph | None
    cautions: tuple[str, ...]
    """What a reader must know before believing the numbers."""
    notes: tuple[str, ...]
    """What is left out, and why."""
    environment: Mapping[str, str]

    @cached_property
    def thresholds(self) -> list[float]:
        """The threshold of each label."""
        labels = len(self.measured.samples.labels)
        return np.broadcast_to(self.measured.verification.threshold, labels).astype(float).tolist()

    @cached_property
    def predicted(self) -> Flags:
        """Which labels are predicted, N x L."""
        threshold = np.array(self.measured.verification.threshold)
        return predict_at(self.measured.probabilities, threshold)


def write_report(file: Path, report: Report) -> None:
    """Write the report as one HTML file with its style, script, pictures and charts inside."""
    measured = report.measured
    panels = list(_panels(report))
    write_page(
        file,
        "report.html",
        report=report,
        level=LEVEL,
        short=short,
        verification=measured.verification,
        labels=measured.samples.labels,
        how=list(how_measured(measured)),
        rows=_rows(report, {panel["id"] for panel in panels}),
        panels=panels,
        company=_company(report),
        history=_history(report.history),
        errors=_errors(report),
        graph=_graph(report),
        shares=_shares(report),
        cardinality=_cardinality(report.statistics),
        settings=_settings(report.config),
        config=yaml.safe_dump(asdict(report.config), sort_keys=False, allow_unicode=True),
    )


def _commonest(report: Report, most: int) -> list[int]:
    """The labels with the most positives in the split, in the labels' order."""
    positives = (report.measured.targets == 1).sum(axis=0)
    return sorted(np.argsort(-positives, kind="stable")[:most].tolist())


# The table of labels


def _rows(report: Report, panels: Container[str]) -> list[dict[str, Any]]:
    """A row per label; what has no value is None."""
    measured, statistics = report.measured, report.measured.info.statistics
    counts = count_decisions(report.predicted, measured.targets)
    by_label = zip(
        measured.samples.labels, *(column.astype(int).tolist() for column in counts), strict=True
    )
    rows = []
    for place, (label, hit, called, present) in enumerate(by_label):
        rows.append(
            {
                "label": label,
                "panel": f"label-{place}" if f"label-{place}" in panels else None,
                "training": statistics.positives[place] if statistics else None,
                "positives": present,
                "AP": measured.verification.ap[place],
                "threshold": report.thresholds[place],
                "precision": 100 * hit / called if called else None,
                "recall": 100 * hit / present if present else None,
                "F1": 200 * hit / (called + present) if present else None,
            }
        )
    return rows


# Curves


def _panels(report: Report) -> Iterator[dict[str, Any]]:
    """Three charts for all labels together, and for each label with a positive."""
    measured, thresholds = report.measured, report.thresholds
    chosen = _commonest(report, CURVE_LABELS)
    found = {
        label: curves(measured.probabilities[:, label], measured.targets[:, label])
        for label in chosen
    }
    behind = [one for one in found.values() if one] if len(found) <= OVERLAID else []
    together = curves(measured.probabilities, measured.targets)
    assert together is not None  # measuring refuses a split without a positive
    common = thresholds[0] if len(set(thresholds)) == 1 else None
    everything = slice(None)
    yield _panel(report, "all labels together", "together", everything, together, common, behind)
    for label, own in found.items():
        if own is not None:
            yield _panel(
                report,
                measured.samples.labels[label],
                f"label-{label}",
                slice(label, label + 1),
                own,
                thresholds[label],
            )


def _panel(
    report: Report,
    name: str,
    identity: str,
    columns: slice,
    own: Curves,
    threshold: float | None,
    behind: Sequence[Curves] = (),
) -> dict[str, Any]:
    percent = "in percent"
    scores = calibration_scores(
        report.measured.probabilities[:, columns], report.measured.targets[:, columns]
    )
    bins = scores.reliability
    most = max(one.entries for one in bins)
    return {
        "id": identity,
        "label": name,
        "ECE": scores.ECE,
        "threshold": threshold,
        "best_F1": 100 * own.best_F1,
        "best_threshold": own.best_threshold,
        "charts": [
            LineChart(
                f"Precision and recall, {percent}",
                Axis("recall"),
                Axis("precision"),
                (
                    *(Line(one.recall, one.precision, "faint") for one in behind),
                    Line(own.recall, own.precision),
                ),
            ),
            LineChart(
                f"Reliability, {percent}",
                Axis("probability announced"),
                Axis("share present"),
                (
                    Line((0, 1), (0, 1), "dashed"),
                    Line([one.probability for one in bins], [one.present for one in bins]),
                ),
                tuple(
                    Dot(
                        one.probability,
                        one.present,
                        round(1.5 + 5 * (one.entries / most) ** 0.5, 1),
                        f"{one.entries:,} entries: announced {100 * one.probability:.1f} %, "
                        f"present {100 * one.present:.1f} %",
                    )
                    for one in bins
                ),
            ),
            LineChart(
                f"By threshold, {percent}",
                Axis("threshold"),
                Axis(""),
                (
                    Line(own.thresholds, own.precision_at, "second", "precision"),
                    Line(own.thresholds, own.recall_at, "third", "recall"),
                    Line(own.thresholds, own.F1_at, "first", "F1"),
                ),
                mark=threshold,
            ),
        ],
    }


# Mistakes


def _company(report: Report) -> dict[str, Any]:
    """Co-predicted against co-occurring: the matrix and the strongest pairs."""
    labels, targets = report.measured.samples.labels, report.measured.targets
    found = company(report.predicted, targets)
    chosen = _commonest(report, MATRIX_LABELS)
    inside = np.ix_(chosen, chosen)
    pictures = np.maximum(found.pictures, 1)
    said = (
        found.pictures,
        np.round(100 * found.present / pictures, 1),
        np.round(100 * found.predicted / pictures, 1),
    )
    matrix = Matrix(
        "Predicted minus present",
        tuple(labels[label] for label in chosen),
        found.difference()[inside],
        "Of {0} pictures with {row}, {column} is present in {1} % and predicted in {2} %.",
        tuple(numbers[inside] for numbers in said),
    )
    often, seldom = strongest_pairs(found, PAIRS)
    return {"matrix": matrix, "often": often, "seldom": seldom}


def _errors(report: Report) -> list[dict[str, Any]]:
    """The worst false positives and the worst false negatives, with their pictures."""
    measured = report.measured
    found = worst_entries(measured.probabilities, report.predicted, measured.targets, ERRORS)
    titles = (
        ("False positives", "marked absent, yet highly probable to the model"),
        ("False negatives", "marked present, yet improbable to the model"),
    )
    return [
        {"title": title, "meaning": meaning, "entries": [_error(report, one) for one in entries]}
        for (title, meaning), entries in zip(titles, found, strict=True)
    ]


def _error(report: Report, entry: Entry) -> dict[str, Any]:
    samples = report.measured.samples
    sample, root = samples.samples[entry.picture], Path(report.measured.data.root)
    inside = sample.path.is_relative_to(root)
    targets = report.measured.targets[entry.picture]
    return {
        "thumbnail": thumbnail(sample),
        "label": samples.labels[entry.label],
        "probability": entry.probability,
        "threshold": report.thresholds[entry.label],
        "path": str(sample.path.relative_to(root) if inside else sample.path.name),
        "source": sample.source.removeprefix(f"{root}/"),
        "present": [samples.labels[label] for label in np.flatnonzero(targets == 1)],
    }


# Learning


def _history(rows: Sequence[Mapping[str, float]]) -> list[LineChart]:
    """Loss, validation mAP and learning rate by epoch."""
    if not rows:
        return []
    epochs = [row["epoch"] + 1 for row in rows]
    span = max(epochs[-1], 2)
    ticks = tuple(
        (tick, text)
        for tick, text in axis_over("", (1, span)).ticks
        if 1 <= tick <= span and tick == int(tick)
    )
    x = Axis("epoch", 1, span, ticks)

    def chart(title: str, *columns: tuple[str, str, str]) -> LineChart:
        values = [[row[column] for row in rows] for column, _, _ in columns]
        lines = tuple(
            Line(epochs, numbers, style, name)
            for numbers, (_, style, name) in zip(values, columns, strict=True)
        )
        dots = tuple(
            Dot(epoch, number, 2.2, f"epoch {epoch:g}: {number:g}")
            for epoch, number in zip(epochs, values[0], strict=True)
            if np.isfinite(number)
        )
        return LineChart(title, x, axis_over("", values), lines, dots)

    return [
        chart("Training loss", ("train_loss", "first", "")),
        chart(
            "Validation mAP",
            ("val_mAP", "first", "this epoch"),
            ("best_mAP", "dashed", "best so far"),
        ),
        chart("Learning rate", ("lr", "first", "")),
    ]


# The label graph


def _graph(report: Report) -> dict[str, Any] | None:
    graph, labels = report.graph, report.measured.samples.labels
    if graph is None:
        return None
    chosen = _commonest(report, MATRIX_LABELS)
    inside, names = np.ix_(chosen, chosen), tuple(labels[label] for label in chosen)
    takes = "{row} takes {0} % of {column}."
    matrices = [Matrix("Prior", names, graph.prior[inside], takes)]
    drawn: Network | None = None
    if graph.learned is not None:
        matrices.append(Matrix("Learned", names, graph.learned[inside], takes))
        if graph.is_comparable:
            change = "{row} takes {0} points more of {column} than in the prior."
            difference = graph.learned[inside] - graph.prior[inside]
            matrices.append(Matrix("Learned minus prior", names, difference, change))
        drawn = network(names, graph.learned[inside], graph.prior[inside], max(20, len(names)))
    return {"matrices": matrices, "network": drawn, "comparable": graph.is_comparable}


# Data and settings


def _shares(report: Report) -> dict[str, Any]:
    """Per label and split, positives and their share of the known pictures."""
    splits = report.statistics
    shares = {name: one.shares() for name, one in splits.items()}
    largest = max((float(values.max(initial=0)) for values in shares.values()), default=0) or 1
    rows = [
        {
            "label": label,
            "counts": [
                {"positives": one.positives[place], "share": float(shares[name][place])}
                for name, one in splits.items()
            ],
        }
        for place, label in enumerate(report.measured.samples.labels)
    ]
    return {"splits": list(splits), "rows": rows, "largest": largest}


def _cardinality(splits: Mapping[str, Statistics]) -> list[dict[str, Any]]:
    return [
        {
            "split": name,
            "images": one.images,
            "labels": one.labels_a_picture,
            "unknown": one.unknown_share,
        }
        for name, one in splits.items()
    ]


def _as_yaml(value: object) -> str:
    return yaml.safe_dump(value, allow_unicode=True).removesuffix("\n").removesuffix("\n...")


def _settings(config: Config) -> list[tuple[str, str, str]]:
    """Name, value and default of every setting that differs from its default."""
    usual = by_name(asdict(Config()))
    return [
        (name, _as_yaml(value), _as_yaml(usual[name]))
        for name, value in by_name(asdict(config)).items()
        if value != usual[name]
    ]
