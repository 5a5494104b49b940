"""What `lcnet predict` says at its end: how many pictures were labelled, and with what."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from lcnet.predicting.prediction import Prediction

MOST = 6
"""Labels that are named, the commonest first."""


@dataclass
class Outcome:
    """Counts of the rows that passed by; nothing else of them is kept."""

    labels: Counter[str] = field(default_factory=Counter)
    """Rows that name each label."""
    without: int = 0
    """Rows of pictures that were read, without any label."""
    failed: int = 0
    """Rows of pictures that could not be read."""

    def counted(self, rows: Iterable[Prediction]) -> Iterator[Prediction]:
        """Count each row and pass it on."""
        for row in rows:
            if row.error:
                self.failed += 1
            elif row.labels:
                self.labels.update(row.labels)
            else:
                self.without += 1
            yield row

    def in_words(self) -> str:
        """The commonest labels with their counts, as one line; empty if no picture was read."""
        common = self.labels.most_common(MOST)
        shown = [f"{label} {count:,}" for label, count in common]
        if more := len(self.labels) - len(common):
            shown.append(f"{more:,} more")
        none = [f"none on {pictures(self.without)}"] if self.without else []
        parts = [", ".join(shown), *none] if shown else none
        return f"labels: {'; '.join(parts)}" if parts else ""


def pictures(count: int) -> str:
    """A number of pictures in words."""
    return f"{count:,} picture{'s' * (count != 1)}"


def read_and_not(total: int, failed: int) -> str:
    """How many pictures have labels, and how many could not be read; empty if all could."""
    if not failed:
        return ""
    rows = "its row" if failed == 1 else "their rows"
    return f"{total - failed:,} labelled, {failed:,} unreadable (see {rows})"
