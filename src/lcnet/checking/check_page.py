"""The report of `lcnet check`, and the page that shows it: one file, no network."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lcnet.checking.findings import KINDS, CheckedSplit, Finding
from lcnet.config import Data
from lcnet.reporting.html_page import thumbnail, write_page
from lcnet.reporting.matrices import Matrix

SHOWN = 40
"""So many findings of a kind are on the page; the first half of them with pictures."""
MATRIX_LABELS = 100
"""The most labels in the matrix; the commonest are shown."""


@dataclass(frozen=True)
class Count:
    """One label in one split."""

    positives: int
    """Pictures that show it."""
    share: float
    """Their share of the pictures in which it is known, 0 to 1."""


@dataclass(frozen=True)
class CheckReport:
    """What a data set holds and what is wrong with it."""

    data: Data
    splits: tuple[CheckedSplit, ...]
    """Those that could be read, in the order train, val, test."""
    findings: tuple[Finding, ...]
    """By kind, in the order of `KINDS`."""
    notes: tuple[str, ...] = ()
    """What was left out, and why."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The label names of the first split."""
        return self.splits[0].split.labels

    @property
    def is_safe(self) -> bool:
        """Whether nothing that was found would stop training or make its numbers lie."""
        return not any(one.unsafe for one in self.findings)

    @property
    def verdict(self) -> str:
        """The closing line."""
        unsafe = Counter(one.kind for one in self.findings if one.unsafe)
        if unsafe:
            listed = ", ".join(f"{count:,} {kind}" for kind, count in unsafe.items())
            return f"Not safe to train: {listed}."
        warned = len(self.findings)
        return f"Safe to train, {warned:,} to look at." if warned else "Safe to train."

    @cached_property
    def _counts(self) -> list[dict[str, Count]]:
        found = []
        for checked in self.splits:
            statistics = checked.statistics
            columns = zip(
                checked.split.labels, statistics.positives, statistics.shares(), strict=True
            )
            found.append({name: Count(count, float(share)) for name, count, share in columns})
        return found

    def counts(self, label: str) -> list[Count]:
        """How often each split shows a label; 0 for a split that lacks it."""
        return [split.get(label, Count(0, 0.0)) for split in self._counts]

    def conditional(self) -> np.ndarray:
        """P(column label | row label) in the first split, by counts; shape (labels, labels)."""
        return self.splits[0].statistics.conditional_probability(smoothing=0)

    def together(self, most: int) -> Iterator[str]:
        """The label pairs that are together most often, a line in words."""
        probability = self.conditional()
        counts = np.triu(self.splits[0].statistics.cooccurrence, 1)  # each pair once
        order = np.argsort(-counts, axis=None, kind="stable")
        pairs = [divmod(int(place), len(counts)) for place in order[:most]]
        said = [
            f"{self.labels[one]} and {self.labels[other]} in {counts[one, other]:,} "
            f"({100 * probability[one, other]:.0f} % of {self.labels[one]})"
            for one, other in pairs
            if counts[one, other]
        ]
        if said:
            yield f"most often together: {'; '.join(said)}"

    def sizes(self, checked: CheckedSplit) -> str:
        """The range of the pictures' sizes in pixels."""
        sizes = {facts.size for facts in checked.facts if not facts.fault}
        if not sizes:
            return "none readable"
        ends = [
            f"{pick(width for width, _ in sizes)}x{pick(height for _, height in sizes)}"
            for pick in (min, max)
        ]
        return " to ".join(dict.fromkeys(ends))


# The page


def write_check(file: Path, report: CheckReport) -> None:
    """Write the report as one HTML file with its style, pictures and figures inside."""
    write_page(
        file,
        "check.html",
        report=report,
        groups=_groups(report.findings),
        largest=max(
            (count.share for name in report.labels for count in report.counts(name)), default=1
        )
        or 1,
        together=_together(report),
    )


def _groups(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """The findings by kind, with the thumbnails of the first ones."""
    groups = []
    for kind, meaning in KINDS.items():
        found = [one for one in findings if one.kind == kind]
        if found:
            rows = [
                {
                    "finding": one,
                    "thumbnails": [thumbnail(path) for path in one.pictures]
                    if place < SHOWN // 2
                    else [],
                }
                for place, one in enumerate(found[:SHOWN])
            ]
            groups.append({"kind": kind, "meaning": meaning, "count": len(found), "rows": rows})
    return groups


def _together(report: CheckReport) -> Matrix:
    """How often the commonest labels are together, with the words of each cell that is not 0."""
    statistics = report.splits[0].statistics
    commonest = np.argsort([-count for count in statistics.positives], kind="stable")
    chosen = np.sort(commonest[:MATRIX_LABELS])
    names = tuple(report.labels[label] for label in chosen)
    inside = np.ix_(chosen, chosen)
    counts, share = np.array(statistics.cooccurrence)[inside], report.conditional()[inside]

    def words(row: int, column: int) -> str:
        if row == column:
            return f"{counts[row, column]:,} pictures show {names[row]}"
        return (
            f"{100 * share[row, column]:.0f} % of pictures with {names[row]} show {names[column]} "
            f"too ({counts[row, column]:,})"
        )

    titles = {(row, column): words(row, column) for row, column in np.argwhere(counts > 0).tolist()}
    return Matrix("Share of pictures with both labels", names, share, strongest=1.0, titles=titles)
