"""The page of `lcnet report --against`: turns a comparison into the values of its template."""

from pathlib import Path
from typing import Any

import yaml

from lcnet.evaluating.measuring import how_measured
from lcnet.metrics.bootstrap import LEVEL
from lcnet.reporting.comparison import Comparison, Side, differing_settings
from lcnet.reporting.comparison_words import ComparisonFacts, LabelDifference, comparison_words
from lcnet.reporting.html_page import write_page

MOST_LABELS = 500
"""Labels in the table: those that differ most."""


def write_comparison(file: Path, compared: Comparison) -> None:
    """Write the comparison as one HTML file with its style and script inside."""
    measured = compared.ours.measured
    rows = _rows(compared)
    shown = sorted(rows, key=lambda row: -abs(row["difference"].value))[:MOST_LABELS]
    write_page(
        file,
        "against.html",
        compared=compared,
        sides=(compared.ours, compared.theirs),
        level=LEVEL,
        how=list(how_measured(measured)),
        sentences=comparison_words(facts_of_comparison(compared)),
        rows=sorted(shown, key=lambda row: -row["difference"].value),
        measurable=len(rows),
        settings=[
            (name, *map(_as_yaml, values))
            for name, *values in differing_settings(compared.ours, compared.theirs)
        ],
        costs=_costs(compared),
    )


def facts_of_comparison(compared: Comparison) -> ComparisonFacts:
    """What the first paragraph of the page is made of."""
    return ComparisonFacts(
        ours=compared.ours.name,
        theirs=compared.theirs.name,
        split=compared.split,
        pictures=len(compared.targets),
        our_ap=compared.ours.measured.verification.mAP,
        their_ap=compared.theirs.measured.verification.mAP,
        difference=compared.differences.mean_ap,
        labels=[
            LabelDifference(row["label"], row["difference"], row["positives"])
            for row in _rows(compared)
        ],
        our_milliseconds=compared.ours.cost.milliseconds,
        their_milliseconds=compared.theirs.cost.milliseconds,
        our_operations=compared.ours.cost.operations,
        their_operations=compared.theirs.cost.operations,
    )


def _rows(compared: Comparison) -> list[dict[str, Any]]:
    """A row per label that can be measured."""
    columns = zip(
        compared.labels,
        (compared.targets == 1).sum(axis=0).tolist(),
        compared.our_ap.tolist(),
        compared.their_ap.tolist(),
        compared.differences.by_label,
        strict=True,
    )
    return [
        {
            "label": label,
            "positives": positives,
            "ours": ours,
            "theirs": theirs,
            "difference": difference,
            "is_beyond": LabelDifference(label, difference, positives).is_beyond,
        }
        for label, positives, ours, theirs, difference in columns
        if difference is not None
    ]


def _costs(compared: Comparison) -> list[tuple[str, str, str]]:
    """Name, ours and theirs of what the models cost."""
    ours, theirs = map(_cost, (compared.ours, compared.theirs))
    return [(name, ours[name], theirs[name]) for name in ours]


def _cost(side: Side) -> dict[str, str]:
    cost, unknown = side.cost, "not known"
    return {
        "milliseconds a picture": f"{cost.milliseconds:,.1f}",
        "operations a picture": f"{cost.operations / 1e9:,.2f} G",
        "weights": f"{cost.parameters / 1e6:,.2f} M",
        "views a picture": f"{cost.views:,} of {cost.view_size:,} px",
        "training": unknown if side.minutes is None else f"{side.minutes:,.1f} min",
        "epochs": unknown if side.epochs is None else f"{side.epochs:,}",
        "trained on": side.trained_on or unknown,
    }


def _as_yaml(value: object) -> str:
    return yaml.safe_dump(value, allow_unicode=True).removesuffix("\n").removesuffix("\n...")
