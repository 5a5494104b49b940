"""The report of `lcnet check`, and its page: one HTML file that needs no network."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import triu

from lcnet.checking.findings import KINDS, MEND, CheckedSplit, Finding
from lcnet.config import Data
from lcnet.data.dividing import file_of, whole_and_part
from lcnet.data.pixel_form import PixelForm
from lcnet.reporting.html_page import thumbnail, write_page
from lcnet.reporting.matrices import Matrix

SHOWN = 40
"""Most findings of a kind on the page; the first half of them have pictures."""
LISTED = 10_000
"""The most labels in the page's table; the commonest of the first split."""
MATRIX_LABELS = 100
"""Most labels in the matrix; the commonest are shown."""


@dataclass(frozen=True)
class Count:
    """One label in one split."""

    positives: int
    """Pictures that show it."""
    share: float
    """Their share of the pictures in which it is known, 0 to 1."""


@dataclass(frozen=True)
class CheckReport:
    """The label counts of a data set, and its faults."""

    data: Data
    splits: tuple[CheckedSplit, ...]
    """Those that could be read, in the order train, val, test."""
    findings: tuple[Finding, ...]
    """By kind, in the order of `KINDS`."""
    notes: tuple[str, ...] = ()
    """Lines that say what was not checked, and why, and what the values of pictures mean."""
    form: PixelForm = PixelForm(0)  # noqa: RUF009 -- it is frozen
    """How its pictures are shown."""
    said: str = ""
    """The line on how the data set was read; empty if settings said it."""

    @cached_property
    def names(self) -> list[str]:
        """What the splits are called: those of one table by their use, else by their part."""
        names = [checked.split.name for checked in self.splits]
        files = {file_of(name) for name in names}
        if len(files) > 1 or files & set(names):
            return names
        return [
            ", ".join(checked.roles) or whole_and_part(checked.split.name)[1]
            for checked in self.splits
        ]

    @property
    def labels(self) -> tuple[str, ...]:
        """The label names of the first split."""
        return self.splits[0].split.labels

    @property
    def is_safe(self) -> bool:
        """Whether no finding would stop training or make its numbers misleading."""
        return not any(finding.unsafe for finding in self.findings)

    @property
    def verdict(self) -> str:
        """The last printed line: whether training is safe, and if not, why."""
        unsafe = Counter(finding.kind for finding in self.findings if finding.unsafe)
        if unsafe:
            listed = ", ".join(f"{count:,} {kind}" for kind, count in unsafe.items())
            refused = dict.fromkeys(one.kind for one in self.findings if one.refused)
            if refused:
                return f"Not safe to train: {listed}. lcnet train refuses: {', '.join(refused)}."
            return f"Not safe to train: {listed}. lcnet train begins, but may stop or mislead."
        warned = len(self.findings)
        return f"Safe to train, {warned:,} to look at." if warned else "Safe to train."

    @property
    def next_step(self) -> str:
        """What to do now if training is not safe; empty if it is."""
        unsafe = dict.fromkeys(finding.kind for finding in self.findings if finding.unsafe)
        what = dict.fromkeys(MEND.get(kind, "see the lines above") for kind in unsafe)
        return f"What to do: {'; '.join(what)}. Then run the check again." if what else ""

    @cached_property
    def _counts(self) -> list[dict[str, Count]]:
        counts = []
        for checked in self.splits:
            statistics = checked.statistics
            columns = zip(
                checked.split.labels, statistics.positives, statistics.shares(), strict=True
            )
            counts.append({name: Count(count, float(share)) for name, count, share in columns})
        return counts

    def counts(self, label: str) -> list[Count]:
        """The count of a label in each split; 0 in a split that lacks the label."""
        return [split.get(label, Count(0, 0.0)) for split in self._counts]

    @property
    def listed(self) -> Sequence[str]:
        """The labels in the page's table: the commonest of the first split, at most `LISTED`."""
        if len(self.labels) <= LISTED:
            return self.labels
        counts = np.array([self.counts(label)[0].positives for label in self.labels])
        return [
            self.labels[place] for place in np.sort(np.argsort(-counts, kind="stable")[:LISTED])
        ]

    def with_absent(self) -> list[bool]:
        """Per label, whether a picture of the first split is known not to show it."""
        statistics = self.splits[0].statistics
        counts = zip(statistics.known, statistics.positives, strict=True)
        return [known > positives for known, positives in counts]

    def together(self, most: int) -> Iterator[str]:
        """A line with the label pairs that occur together most often, or no line."""
        statistics = self.splits[0].statistics
        counts = triu(statistics.pairs.together, 1).tocoo()  # each pair once
        order = np.lexsort((counts.col, counts.row, -counts.data))[:most]
        absent, phrases = self.with_absent(), []
        for place in order:
            one, other, count = (int(part[place]) for part in (counts.row, counts.col, counts.data))
            share = statistics.conditional_among([one, other])[0, 1]
            phrases.append(
                f"{self.labels[one]} and {self.labels[other]} in {count:,}"
                + (f" ({100 * share:.0f} % of {self.labels[one]})" * absent[other])
            )
        if phrases:
            yield f"most often together: {'; '.join(phrases)}"

    def sizes(self, checked: CheckedSplit) -> str:
        """The smallest and the largest width and height of the pictures, in pixels."""
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
    """Write the report as one HTML file that contains its style, pictures and figures."""
    write_page(
        file,
        "check.html",
        report=report,
        figures=[
            (sum(len(checked.split) for checked in report.splits), "picture"),
            (len(report.labels), "label"),
            (len(report.splits), "split"),
            (len(report.findings), "finding"),
        ],
        groups=_groups(report.findings, report.form),
        largest=max(
            (count.share for name in report.labels for count in report.counts(name)), default=1
        )
        or 1,
        together=_together(report),
        listed=report.listed,
    )


def _groups(findings: Sequence[Finding], form: PixelForm) -> list[dict[str, Any]]:
    """The findings by kind, with the thumbnails of the first ones."""
    groups = []
    for kind, meaning in KINDS.items():
        of_kind = [finding for finding in findings if finding.kind == kind]
        if of_kind:
            rows = [
                {
                    "finding": finding,
                    "thumbnails": [thumbnail(path, form) for path in finding.pictures]
                    if number < SHOWN // 2
                    else [],
                }
                for number, finding in enumerate(of_kind[:SHOWN])
            ]
            groups.append({"kind": kind, "meaning": meaning, "count": len(of_kind), "rows": rows})
    return groups


def _together(report: CheckReport) -> Matrix:
    """How often the commonest labels occur together, with a tooltip for each cell above 0."""
    statistics = report.splits[0].statistics
    commonest = np.argsort([-count for count in statistics.positives], kind="stable")
    chosen = np.sort(commonest[:MATRIX_LABELS])
    names = tuple(report.labels[label] for label in chosen)
    counts, _ = statistics.pairs.among(chosen.tolist())
    share = statistics.conditional_among(chosen.tolist())
    absent = np.array(report.with_absent())[chosen]
    share = np.where(absent | np.eye(len(chosen), dtype=bool), share, 0)

    def words(row: int, column: int) -> str:
        if row == column:
            return f"{counts[row, column]:,} pictures show {names[row]}"
        if not absent[column]:
            return f"{counts[row, column]:,} pictures show {names[row]} and {names[column]}"
        return (
            f"{100 * share[row, column]:.0f} % of pictures with {names[row]} show {names[column]} "
            f"too ({counts[row, column]:,})"
        )

    titles = {(row, column): words(row, column) for row, column in np.argwhere(counts > 0).tolist()}
    return Matrix("Share of pictures with both labels", names, share, strongest=1.0, titles=titles)
