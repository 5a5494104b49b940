"""One fault of a data set that shows before a picture is decoded, and how bad it is.

`label_faults`, `name_faults` and `split_faults` find them, for `lcnet check` and `lcnet train`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["refused", "unsafe", "noted"]
"""refused: training does not begin, as its numbers would mean nothing. unsafe: it warns, as they
may mislead. noted: only `lcnet check` says it."""


@dataclass(frozen=True)
class Judgement:
    """One thing that is wrong with a data set."""

    kind: str
    """One of `checking.findings.KINDS`."""
    split: str
    """The split that it is about."""
    detail: str
    """What is wrong."""
    verdict: Verdict
    label: str | None = None
    """The label that it is about; None for the whole split."""
    summary: str = ""
    """What is wrong with several labels at once, to be followed by their names."""
    advice: str = ""
    """What to do."""

    @property
    def where(self) -> str:
        """The split, and the label if it is about one."""
        return self.split if self.label is None else f"{self.split}: label {self.label!r}"

    @property
    def line(self) -> str:
        """All of it in one line, for a label or a split alone."""
        return " ".join(filter(None, (f"{self.where}: {self.detail}", self.advice)))


MOST = 5
"""Most names in a line, and most lines of a kind."""


def lines(judgements: Iterable[Judgement]) -> Iterator[str]:
    """The judgements in few lines: labels of a split with the same fault share one."""
    groups: dict[tuple[str, str, str], list[Judgement]] = {}
    for one in judgements:
        groups.setdefault((one.kind, one.split, one.summary), []).append(one)
    for (kind, split, summary), alike in groups.items():
        if summary:
            names = [one.label or "" for one in alike]
            listed = ", ".join(names[:MOST]) + ", ..." * (len(names) > MOST)
            advice = f". {alike[0].advice}" if alike[0].advice else ""
            yield f"{split}: {summary}: {listed}{advice}"
            continue
        yield from (one.line for one in alike[:MOST])
        if len(alike) > MOST:
            yield f"{split}: {len(alike) - MOST:,} more {kind}"
