"""The charts of a run's page: curves by label, mistakes between labels, learning, the graph."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from lcnet.data.dataset import UNKNOWN
from lcnet.metrics import calibration_scores
from lcnet.metrics.array_checks import with_absent
from lcnet.model.graph_matrices import among
from lcnet.reporting.curves import Curves, curves
from lcnet.reporting.line_charts import Axis, Dot, Line, LineChart, axis_over
from lcnet.reporting.matrices import Matrix, graph_matrices
from lcnet.reporting.mistakes import FEWEST_TOGETHER, company, strongest_pairs
from lcnet.reporting.networks import network
from lcnet.reporting.run_report import RunReport

MATRIX_LABELS = 100
"""The most labels in a matrix; the commonest of the split are shown."""
CURVE_LABELS = 200
"""The most labels with curves; the commonest of the split have them."""
COMPARED = 512
"""The most labels of which each pair is compared; the commonest of the split."""
OVERLAID = 30
"""Draw every label's curve behind the pooled one up to this many labels."""
PAIRS = 12
"""How many pairs of labels are listed, of each kind."""

# Curves


def curve_panels(report: RunReport) -> Iterator[dict[str, Any]]:
    """Three charts for all labels together, and for each label with both classes.

    Labels without an absent entry are left out of both.
    """
    measured, thresholds = report.measured, report.thresholds
    absent = with_absent(measured.targets)
    chosen = report.commonest(CURVE_LABELS)
    by_label = {
        label: curves(measured.probabilities[:, label], measured.targets[:, label])
        for label in chosen
    }
    behind = [drawn for drawn in by_label.values() if drawn] if len(chosen) <= OVERLAID else []
    together = curves(measured.probabilities[:, absent], measured.targets[:, absent])
    if together is None:
        return
    common = thresholds[0] if len(set(thresholds)) == 1 else None
    everything = slice(None)
    yield _panel(report, "all labels together", "together", everything, together, common, behind)
    for label, own in by_label.items():
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
    report: RunReport,
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
    most = max(each.entries for each in bins)
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
                    *(Line(each.recall, each.precision, "faint") for each in behind),
                    Line(own.recall, own.precision),
                ),
            ),
            LineChart(
                f"Reliability, {percent}",
                Axis("predicted probability"),
                Axis("share present"),
                (
                    Line((0, 1), (0, 1), "dashed"),
                    Line([each.probability for each in bins], [each.present for each in bins]),
                ),
                tuple(
                    Dot(
                        each.probability,
                        each.present,
                        round(1.5 + 5 * (each.entries / most) ** 0.5, 1),
                        f"{each.entries:,} entries: predicted {100 * each.probability:.1f} %, "
                        f"present {100 * each.present:.1f} %",
                    )
                    for each in bins
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


# Labels together


def company_charts(report: RunReport) -> dict[str, Any]:
    """Labels predicted together against labels present together: matrix and strongest pairs."""
    targets = report.measured.targets
    compared = report.commonest(COMPARED)
    labels = [report.measured.samples.labels[label] for label in compared]
    targets, predicted = targets[:, compared], report.predicted[:, compared]
    targets = np.where(with_absent(targets), targets, UNKNOWN)  # the others seem always present
    together = company(predicted, targets)
    chosen = np.searchsorted(compared, report.commonest(MATRIX_LABELS))
    inside = np.ix_(chosen, chosen)
    pictures = np.maximum(together.pictures, 1)
    said = (
        together.pictures,
        np.round(100 * together.present / pictures, 1),
        np.round(100 * together.predicted / pictures, 1),
    )
    matrix = Matrix(
        "Predicted minus present",
        tuple(labels[label] for label in chosen),
        together.difference()[inside],
        "Of {0} pictures with {row}, {column} is present in {1} % and predicted in {2} %.",
        tuple(numbers[inside] for numbers in said),
    )
    often, seldom = strongest_pairs(together, PAIRS)
    return {
        "matrix": matrix,
        "often": often,
        "seldom": seldom,
        "labels": labels,
        "fewest": FEWEST_TOGETHER,
    }


# Learning


def learning_charts(rows: Sequence[Mapping[str, float]]) -> list[LineChart]:
    """Loss, validation mAP, what else picks the best model, and learning rate by epoch."""
    if not rows:
        return []
    epochs = [row["epoch"] for row in rows]
    first, span = min(1, epochs[0]), max(epochs[-1], 2)
    ticks = tuple(
        (tick, text)
        for tick, text in axis_over("", (first, span)).ticks
        if first <= tick <= span and tick == int(tick)
    )
    x = Axis("epoch", first, span, ticks)

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

    scores = [name.removeprefix("best_") for name in rows[-1] if name.startswith("best_")]
    # mAP comes first; what else picks the best model comes after it.
    picks, kept = scores[-1], "the model kept so far"
    return [
        chart("Training loss", ("train_loss", "first", "")),
        *(
            chart(
                f"Validation {name}",
                (f"val_{name}", "first", "this epoch"),
                (f"best_{name}", "dashed", "best so far" if name == picks else kept),
            )
            for name in scores
        ),
        chart("Learning rate", ("lr", "first", "")),
    ]


# The label graph


def graph_charts(report: RunReport) -> dict[str, Any] | None:
    """The matrices and the network of the label graph, if there is one."""
    graph, labels = report.graph, report.measured.samples.labels
    if graph is None:
        return None
    shown = report.commonest(MATRIX_LABELS)
    names = [labels[label] for label in shown]
    strongest_edges = None
    if graph.learned is not None:
        learned, prior = among(graph.learned, shown), among(graph.prior, shown)
        strongest_edges = network(names, learned, prior, max(20, len(names)))
    return {
        "matrices": graph_matrices(graph, shown, labels),
        "network": strongest_edges,
        "comparable": graph.is_comparable,
    }
