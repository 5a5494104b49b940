"""What the columns of a file of predictions mean."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lcnet.errors import DataError
from lcnet.evaluating.predictions import named
from lcnet.evaluating.writing_predictions import LOGIT, PROBABILITY, TARGET, THRESHOLD

Scores = Literal["", "probabilities", "logits"]
"""What the values of columns are whose names do not say it; empty: to be recognised."""
Kind = Literal["predictions", "either", "other"]
"""Whether a file holds predictions; either: only 1 and 0, so perhaps labels."""


@dataclass(frozen=True)
class Peek:
    """What a file holds, from its first rows."""

    kind: Kind
    has_targets: bool = False


PEEKED = 200
"""Rows from which it is told whether a table holds predictions or labels."""
VALUES_AT_ONCE = 2_000_000
"""Numbers of a table that are read at a time."""
PICTURE_COLUMNS = (
    *("picture", "image", "filename", "file_name", "file", "path", "filepath", "file_path"),
    *("image_path", "image_name", "image_file", "img", "name", "image_id", "imageid", "id"),
)
"""The names of a column of pictures, in lower case; the first that is there is it."""
PLAIN = ""
"""The kind of a column that is called as its label."""
KNOWN = (
    "warning: rows hold labels that were known when they were predicted (predict --known), and "
    "these count as right here; what they tell of the others: lcnet evaluate RUN --known"
)
"""What is said of such rows."""
LEFT_ALONE = "__index_level_"
"""How pandas begins the name of a column that it adds to a Parquet file."""


@dataclass(frozen=True)
class Columns:
    """Which columns of a table hold what."""

    picture: int
    """The number of the column with the pictures' names."""
    labels: tuple[str, ...]
    """In the order of the first kind of scores."""
    places: dict[str, tuple[int, ...]]
    """The numbers of the columns of each kind (`PLAIN`, `LOGIT`, ...), in the labels' order."""
    left_alone: tuple[str, ...] = ()


def understood(header: Sequence[str], where: str, *, texts: Sequence[int]) -> Columns:
    """Which columns hold what, from their names; `texts` are the columns that hold text.

    Raises DataError if no column has the pictures, or kinds of columns have other labels.
    """
    if twice := [name for name, count in Counter(header).items() if count > 1]:
        raise DataError(
            f"{where}: expected each column once, got {twice[0]!r} {header.count(twice[0])} times. "
            "Rename or drop one."
        )
    picture = _picture_column(header, where, texts)
    kinds: dict[str, dict[str, int]] = {}
    others = []
    for column, name in enumerate(header):
        kind = next((one for one in PREFIXES if name.startswith(one)), PLAIN)
        if column == picture:
            continue
        is_other = name.lower() in PICTURE_COLUMNS or name.startswith(LEFT_ALONE) or not name
        if kind == PLAIN and is_other:
            others.append(name)
        else:
            kinds.setdefault(kind, {})[name.removeprefix(kind)] = column
    if PROBABILITY in kinds or LOGIT in kinds:
        others += kinds.pop(PLAIN, {})
    first = next((kinds[kind] for kind in (PROBABILITY, LOGIT, PLAIN) if kind in kinds), None)
    if not first:
        raise DataError(
            f"{where}: expected a column per label with its probability, got {named(header)}. Add "
            "columns probability:LABEL."
        )
    for kind, columns in kinds.items():
        if odd := sorted(set(columns) ^ set(first)):
            raise DataError(
                f"{where}: expected columns {kind}LABEL for the labels that have scores, got "
                f"{len(odd):,} labels with one of the two alone: {named(odd)}. Add or drop columns."
            )
    places = {kind: tuple(columns[name] for name in first) for kind, columns in kinds.items()}
    return Columns(picture, tuple(first), places, tuple(others))


PREFIXES = (PROBABILITY, LOGIT, TARGET, THRESHOLD)


def _picture_column(header: Sequence[str], where: str, texts: Sequence[int]) -> int:
    lower = [name.strip().lower() for name in header]
    for name in PICTURE_COLUMNS:
        if name in lower:
            return lower.index(name)
    if len(texts) == 1:
        return texts[0]
    raise DataError(
        f"{where}: expected a column of pictures that is called picture, image or filename, got "
        f"{named(header)}. Rename the column."
    )


# What all tables share


def left_alone(columns: Columns) -> list[str]:
    """A note of the columns that are left alone, if there are some."""
    others = [name or "(no name)" for name in columns.left_alone]
    return [f"columns left alone: {named(others)}"] if others else []


def rows_of_text(path: Path) -> int:
    """About how many lines a file has, as its first million bytes say."""
    with path.open("rb") as opened:
        start = opened.read(1_000_000)
    return path.stat().st_size * start.count(b"\n") // max(1, len(start))


def kind_of_cells(cells: Iterable[Any]) -> Kind:
    """Whether cells are predictions, or only 1, 0, -1 and blanks."""
    values = {float(cell) for cell in cells if cell not in ("", None)}
    return "either" if values <= {1.0, 0.0, -1.0} else "predictions"
