"""The page of `lcnet report`: turns measurements into the values of its template."""

import re
from collections.abc import Container, Mapping
from dataclasses import asdict
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from lcnet.config import Config, by_name
from lcnet.data.statistics import Statistics
from lcnet.evaluating.measuring import how_measured
from lcnet.evaluating.threshold_support import resting_on_few
from lcnet.metrics import count_decisions
from lcnet.metrics.array_checks import with_absent
from lcnet.metrics.bootstrap import LEVEL
from lcnet.metrics.thresholds import FEW_POSITIVES
from lcnet.reporting.html_page import thumbnail, write_page
from lcnet.reporting.label_links import correcting, label_file, label_link
from lcnet.reporting.mistakes import Mistake, worst_mistakes
from lcnet.reporting.report_charts import (
    company_charts,
    curve_panels,
    graph_charts,
    learning_charts,
)
from lcnet.reporting.run_report import RunReport
from lcnet.reporting.summary import summary
from lcnet.reporting.summary_facts import facts_of

LISTED = 10_000
"""The most labels in a table; the commonest of the split."""
ERRORS = 12
"""How many errors are shown, of each kind."""


def write_report(file: Path, report: RunReport) -> None:
    """Write the report as one HTML file with its style, script, pictures and charts inside."""
    measured = report.measured
    panels = list(curve_panels(report))
    table = label_file(measured.data, measured.samples.name)
    write_page(
        file,
        "report.html",
        report=report,
        summary=summary(facts_of(report)),
        level=LEVEL,
        verification=measured.verification,
        labels=measured.samples.labels,
        how=list(how_measured(measured)),
        rows=_rows(report, {panel["id"] for panel in panels}),
        few_positives=FEW_POSITIVES,
        panels=panels,
        company=company_charts(report),
        history=learning_charts(report.history),
        errors=_errors(report),
        correcting=correcting(report.folder, table),
        table=table,
        graph=graph_charts(report),
        shares=_shares(report),
        cardinality=_cardinality(report.statistics),
        settings=_settings(report.config),
        config=yaml.safe_dump(asdict(report.config), sort_keys=False, allow_unicode=True),
    )


SUBTITLE = re.compile(r'<p class="quiet">lcnet report on (.*), \d{4}-\d\d-\d\d \d\d:\d\d UTC</p>')
"""The line of the template that says which split a page is of."""
MODEL = re.compile(r'<meta name="lcnet-model" content="(\w+)">')
"""The element of the template that says which model a page is of."""
BEGINNING = 1 << 16
"""Bytes of a page in which these stand."""


def split_of_page(file: Path) -> str:
    """The split that a report is of; empty if there is no such file, or it is another page."""
    return _found(SUBTITLE, file)


def model_of_page(file: Path) -> str:
    """The fingerprint of the model that a report is of; empty if there is none that says it."""
    return _found(MODEL, file)


def _found(sought: re.Pattern[str], file: Path) -> str:
    """What stands in the group of a pattern at the beginning of a page; empty if nothing does."""
    try:
        with file.open("rb") as page:
            beginning = page.read(BEGINNING).decode("utf-8", "replace")
    except OSError:
        return ""
    found = sought.search(beginning)
    return unescape(found[1]) if found else ""


# The table of labels


def _rows(report: RunReport, panels: Container[str]) -> list[dict[str, Any]]:
    """A row per label, with None where there is no value."""
    measured, statistics = report.measured, report.measured.info.statistics
    counts = count_decisions(report.predicted, measured.targets)
    by_label = zip(
        measured.samples.labels,
        *(count.astype(int).tolist() for count in counts),
        with_absent(measured.targets).tolist(),
        strict=True,
    )
    rows, shown = [], set(report.commonest(LISTED))
    few = resting_on_few(measured, report.fitting)
    for column, (label, hit, called, present, is_absent) in enumerate(by_label):
        if column not in shown:
            continue
        rows.append(
            {
                "label": label,
                "panel": f"label-{column}" if f"label-{column}" in panels else None,
                "training": statistics.positives[column] if statistics else None,
                "positives": present,
                "AP": measured.verification.ap[column],
                "threshold": report.thresholds[column],
                "is_shaky": label in few,
                "precision": 100 * hit / called if called and is_absent else None,
                "recall": 100 * hit / present if present else None,
                "F1": 200 * hit / (called + present) if present and is_absent else None,
            }
        )
    return rows


# Mistakes


def _errors(report: RunReport) -> list[dict[str, Any]]:
    """The worst false positives and the worst false negatives, with their pictures."""
    measured = report.measured
    worst = worst_mistakes(measured.probabilities, report.predicted, measured.targets, ERRORS)
    titles = (
        (
            "False positives",
            "marked absent, but above the label's threshold; the most probable first",
        ),
        ("False negatives", "marked present, but not above it; the least probable first"),
    )
    return [
        {
            "title": title,
            "meaning": meaning,
            "entries": [_error(report, entry) for entry in entries],
        }
        for (title, meaning), entries in zip(titles, worst, strict=True)
    ]


def _error(report: RunReport, entry: Mistake) -> dict[str, Any]:
    samples = report.measured.samples
    sample, root = samples.samples[entry.picture], Path(report.measured.data.root)
    inside = sample.path.is_relative_to(root)
    path = str(sample.path.relative_to(root) if inside else sample.path.name)
    targets = report.measured.targets[entry.picture]
    return {
        "thumbnail": thumbnail(sample, report.measured.info.preprocessing.form),
        "label": samples.labels[entry.label],
        "probability": entry.probability,
        "threshold": report.thresholds[entry.label],
        "path": path,
        "link": label_link(sample, path, report.measured.data.format),
        "source": sample.source.removeprefix(f"{root}/"),
        "present": [samples.labels[label] for label in np.flatnonzero(targets == 1)],
    }


# Data and settings


def _shares(report: RunReport) -> dict[str, Any]:
    """Per label and split, positives and their share of the known pictures."""
    splits, shown = report.statistics, set(report.commonest(LISTED))
    shares = {name: split.shares() for name, split in splits.items()}
    largest = max((float(values.max(initial=0)) for values in shares.values()), default=0) or 1
    rows = [
        {
            "label": label,
            "counts": [
                {"positives": split.positives[column], "share": float(shares[name][column])}
                for name, split in splits.items()
            ],
        }
        for column, label in enumerate(report.measured.samples.labels)
        if column in shown
    ]
    return {"splits": list(splits), "rows": rows, "largest": largest}


def _cardinality(splits: Mapping[str, Statistics]) -> list[dict[str, Any]]:
    return [
        {
            "split": name,
            "images": split.images,
            "labels": split.labels_a_picture,
            "unknown": split.unknown_share,
        }
        for name, split in splits.items()
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
