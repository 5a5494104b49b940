"""Label names that are several names, none, or alike, and tables without a header."""

import csv
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from lcnet.config import Data
from lcnet.data.dataset import Split
from lcnet.data.dividing import whole_and_part
from lcnet.data.judgement import Judgement, Verdict
from lcnet.data.label_names import EMPTY, PICTURE, no_name, parts, plain, several_names

MANY = 10
"""With one joined name in so many or fewer, the names of a column are split wrongly."""
COLUMNS = frozenset({"table", "shards"})
"""Formats that read label names from a cell or a line."""


def judge_names(split: Split, data: Data) -> Iterator[Judgement]:
    """The label names that are several names, or none."""
    yield from _several(split, data)
    for name in split.labels:
        if what := no_name(name):
            is_value = data.format not in COLUMNS and name.casefold() in EMPTY
            is_piece = data.format in COLUMNS and name.casefold() not in EMPTY
            verdict: Verdict = "noted" if is_value else "refused" if is_piece else "unsafe"
            yield Judgement(
                "no-name",
                split.name,
                f"looks like {what}, not like a name.",
                verdict,
                name,
                f"labels that look like {what}, not like a name",
                "Correct the labels of these pictures.",
            )


def missing_header(split: Split, data: Data) -> Iterator[Judgement]:
    """A judgement if the header of a table is a row of data."""
    if data.format == "table" and (
        first := _first_row(Path(data.root) / whole_and_part(split.name)[0], split)
    ):
        yield Judgement(
            "missing-header",
            split.name,
            f"the first row looks like a picture ({first}), but is read as the header, so that "
            "picture is lost.",
            "refused",
            advice="Write a header above it: a name for each column.",
        )


def _several(split: Split, data: Data) -> Iterator[Judgement]:
    found = several_names(split.labels)
    is_many = MANY * len(found) >= len(split.labels)
    verdict: Verdict = "noted"
    if is_many:
        verdict = "refused" if data.format in COLUMNS else "unsafe"
    for name, separator in found.items():
        listed = ", ".join(map(repr, parts(name, separator)))
        advice = "Give each its own name."
        if data.format in COLUMNS:
            advice = f"If labels are joined in one column, set --data.separator {separator!r}."
        yield Judgement(
            "several-names",
            split.name,
            f"seems to be several labels: {listed}.",
            verdict,
            name,
            f"labels that seem to be several ones joined by {separator!r}",
            advice,
        )


def _first_row(file: Path, split: Split) -> str:
    """The picture in the header of a table, if the header is a row of data; empty if not."""
    if not split.samples or split.samples[0].source.endswith(":1"):
        return ""  # the reader has taken it for a row
    try:
        with file.open(encoding="utf-8-sig", errors="replace", newline="") as opened:
            rows = list(csv.reader(islice(opened, 2)))
    except (OSError, csv.Error):
        return ""
    if len(rows) < 2 or not rows[0] or not rows[1]:
        return ""
    if rows[0] == [str(number) for number in range(len(rows[0]))]:
        return ""  # the numbers that pandas writes for columns without names
    first = next((cell for cell in rows[0] if PICTURE.fullmatch(cell.strip())), "")
    one, other = (re.sub(r"\d+", "#", row[0].strip()) for row in rows)
    return first or (rows[0][0].strip() if "#" in one and one == other else "")


def similar_names(names: Iterable[tuple[str, str]]) -> Iterator[Judgement]:
    """A judgement for each name that looks like an earlier one.

    `names` are the label names, each with the split that has it.
    """
    first: dict[str, tuple[str, str]] = {}
    reported = set()
    for name, split in names:
        earlier, its_split = first.setdefault(plain(name), (name, split))
        if earlier != name and (earlier, name) not in reported:
            reported.add((earlier, name))
            detail = f"differs from {earlier!r} of {its_split} only in {_difference(earlier, name)}"
            yield Judgement("similar-label-names", split, detail, "unsafe", name)


def _difference(one: str, other: str) -> str:
    if "".join(one.split()).casefold() == "".join(other.split()).casefold():
        return "case or space"
    if not set("-_") & {*one, *other}:
        return "the Unicode form of its letters, which look alike"
    return "a hyphen, an underscore or a space"
