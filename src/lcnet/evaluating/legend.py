"""What the names in the tables mean, a short line each, for who reads them on a terminal."""

import textwrap
from collections.abc import Collection, Iterator, Mapping

from rich.console import Console

RATES = {
    "AP, mAP": "how high a label's pictures rank, 0 to 100; the mean over labels",
    "CP, CR, CF1": "precision, recall and their F1; the mean over labels",
    "OP, OR, OF1": "the same, with all labels counted together",
    "mean_label_F1": "mean of each label's own F1",
    "top k": "the k most probable labels of a picture count as found",
    "example F1": "mean of each picture's F1",
    "Hamming loss": "percent of all answers, one a label and picture, that are wrong",
    "ranking loss": "percent of pairs in which an absent label is above a present one",
    "coverage error": "labels to read, best first, until all that are there have come",
    "ECE": "points by which probabilities are off; 0 is best",
    "Brier": "mean squared error of probabilities; 0 is best",
}
"""The names of the field, and what they mean; docs/reference/metrics.md has the formulas."""
FITTED = ("CP, CR, CF1", "OP, OR, OF1", "ECE", "Brier")
"""The names in the table of `lcnet calibrate`."""


def print_legend(
    console: Console,
    names: Collection[str] = (),
    *,
    title: str = "",
    meanings: Mapping[str, str] = RATES,
) -> None:
    """Print what the names mean, if a terminal shows it: logs and pipes stay as they are.

    Without `names` it is all of the `meanings`.
    """
    if not console.is_terminal:
        return
    if title:
        console.print(f"\n{title}")
    for line in _lines(names or meanings, meanings, console.width):
        console.print(line, style="dim", soft_wrap=True)


def _lines(names: Collection[str], meanings: Mapping[str, str], columns: int) -> Iterator[str]:
    width = max(map(len, names))
    for name in names:
        line, hang = f"{name:{width}}  {meanings[name]}", " " * (width + 2)
        yield textwrap.fill(line, columns, subsequent_indent=hang, break_on_hyphens=False)
