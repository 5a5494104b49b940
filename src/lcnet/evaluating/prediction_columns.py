"""What the columns of a file of predictions mean, and the predictions that their numbers make."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lcnet.errors import DataError
from lcnet.evaluating.predictions import Predictions, named
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


@dataclass
class Stored:
    """What a file says, before it is checked."""

    labels: Sequence[str]
    pictures: Sequence[str]
    numbers: dict[str, NDArray[Any]]
    """N x L of each kind; thresholds L."""
    split: str = ""
    fingerprint: str = ""
    calibrated: bool | None = None
    where: str = ""
    unread: int = 0
    """How many rows are of pictures that could not be read, and so have no numbers."""
    notes: list[str] = field(default_factory=list)

    def to_predictions(self, scores: Scores) -> Predictions:
        """The predictions. Raises DataError if there are no scores, or it is not clear which."""
        if not len(self.pictures):
            raise DataError(
                f"{self.where}: expected a picture or more, got none. Write a row for each."
            )
        labels, numbers, notes = tuple(self.labels), dict(self.numbers), list(self.notes)
        if self.unread:
            notes.append(f"{self.unread:,} pictures could not be read and are not counted")
        if PLAIN in numbers:
            kind = scores or recognised(numbers[PLAIN], self.where)
            if not scores:
                notes.append("values are from 0 to 1: taken as probabilities")
            numbers[PROBABILITY if kind == "probabilities" else LOGIT] = numbers.pop(PLAIN)
        elif scores and {"probabilities": PROBABILITY, "logits": LOGIT}[scores] not in numbers:
            raise DataError(
                f"{self.where}: --scores {scores}: expected none, since the file itself says what "
                "its numbers are. Leave it out."
            )
        logits, values = numbers.get(LOGIT), numbers.get(PROBABILITY)
        calibrated = self.calibrated
        if values is None and logits is not None:
            values, calibrated = _sigmoid(logits), False
        if values is None:
            raise DataError(
                f"{self.where}: expected probabilities or logits, got none. Add a column "
                "probability:LABEL for each label."
            )
        thresholds, targets = numbers.get(THRESHOLD), numbers.get(TARGET)
        return Predictions(
            labels=labels,
            pictures=tuple(self.pictures),
            probabilities=_narrow(values),
            targets=None if targets is None else _as_targets(targets, self.where),
            logits=None if logits is None else _narrow(logits),
            thresholds=None if thresholds is None else tuple(thresholds.tolist()),
            split=self.split,
            fingerprint=self.fingerprint,
            calibrated=calibrated,
            notes=tuple(notes),
        )


def recognised(values: NDArray[Any], where: str) -> Scores:
    """`probabilities` if all values are from 0 to 1. Raises DataError otherwise."""
    if values.size and not (values.min() >= 0 and values.max() <= 1) and np.isfinite(values).all():
        raise DataError(
            f"{where}: expected probabilities from 0 to 1, got {values.min():g} to "
            f"{values.max():g}, and the columns do not say what they are. If they are logits, set "
            "--scores logits."
        )
    return "probabilities"


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


def _sigmoid(logits: NDArray[Any]) -> NDArray[Any]:
    from scipy.special import expit

    return np.asarray(expit(_narrow(logits)))


def _narrow(values: NDArray[Any]) -> NDArray[Any]:
    """As float32, if the values are float32 that were written with 9 digits or more."""
    if values.dtype == np.float32:
        return values
    values = values.astype(np.float64, copy=False)
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = values.astype(np.float32)
        is_same = bool((np.abs(narrow - values) <= 5.1e-9 * np.abs(values)).all())
    return narrow if is_same else values


def _as_targets(values: NDArray[Any], where: str) -> NDArray[np.int8]:
    """The targets as int8; an empty cell is unknown."""
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), -1, values)
    is_right = (values == 1) | (values == 0) | (values == -1)
    if not is_right.all():
        raise DataError(
            f"{where}: expected targets of 1, 0 and -1 (unknown), got {values[~is_right][0]:g}. "
            "Correct them."
        )
    return np.asarray(values.astype(np.int8))


# What all tables share


def in_one(parts: Sequence[Stored], where: str) -> Stored:
    """The rows of several files, one after the other. Raises DataError for other labels."""
    filled = [part for part in parts if len(part.pictures)]
    first = filled[0] if filled else Stored((), (), {}, where=where)
    for part in filled:
        if part.labels != first.labels or set(part.numbers) != set(first.numbers):
            raise DataError(
                f"{part.where}: expected the labels of {first.where}, got others. Predict all "
                "pictures with one model."
            )
    return replace(
        first,
        pictures=[name for part in filled for name in part.pictures],
        numbers={
            kind: np.concatenate([part.numbers[kind] for part in filled]) for kind in first.numbers
        },
        where=where,
        unread=sum(part.unread for part in parts),
    )


def with_thresholds(stored: Stored) -> Stored:
    """The thresholds of the first row, if they are those of all rows."""
    rows = stored.numbers.get(THRESHOLD)
    if rows is not None and len(rows):
        if (rows != rows[0]).any() or not ((rows[0] >= 0) & (rows[0] <= 1)).all():
            raise DataError(
                f"{stored.where}: expected one threshold from 0 to 1 per label, the same in all "
                "rows, got others. Correct or drop the columns."
            )
        stored.numbers[THRESHOLD] = rows[0]
    return stored


def left_alone(columns: Columns) -> list[str]:
    """A note of the columns that are left alone, if there are some."""
    others = [name or "(no name)" for name in columns.left_alone]
    return [f"columns left alone: {named(others)}"] if others else []


def kind_of_cells(cells: Iterable[Any]) -> Kind:
    """Whether cells are predictions, or only 1, 0, -1 and blanks."""
    values = {float(cell) for cell in cells if cell not in ("", None)}
    return "either" if values <= {1.0, 0.0, -1.0} else "predictions"
