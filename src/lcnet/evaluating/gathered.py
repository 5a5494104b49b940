"""Takes the rows of a file as they are read: checks them, narrows them and keeps them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcnet.errors import DataError
from lcnet.evaluating.kept_rows import KeptRows, check_space
from lcnet.evaluating.named_labels import FOUND, NOT_FOUND, Named, NamedLabels
from lcnet.evaluating.picture_names import NamesKept
from lcnet.evaluating.prediction_columns import PLAIN, Scores
from lcnet.evaluating.predictions import Predictions
from lcnet.evaluating.writing_predictions import LOGIT, PROBABILITY, TARGET, THRESHOLD

Numbers = dict[str, NDArray[Any]]


class TooWide(Exception):
    """Numbers of a kind are no float32, though all before them were: they must be read again."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass
class _Range:
    """The least and the largest number so far."""

    low: float = np.inf
    high: float = -np.inf

    def take(self, values: NDArray[Any]) -> None:
        self.low = min(self.low, float(values.min(initial=np.inf)))
        self.high = max(self.high, float(values.max(initial=-np.inf)))


@dataclass
class Gathered:
    """The predictions of a file, in blocks of rows. Its readers add to it."""

    where: str
    """The file."""
    scores: Scores
    place: Path | None
    """The folder for rows that do not fit into memory; None: all stay in memory."""
    has_logits: bool
    """Whether logits are kept, and not only looked at."""
    wide: frozenset[str]
    """The kinds of numbers that are kept as float64."""
    labels: tuple[str, ...] = ()
    expected: int = 0
    """About how many rows there will be; 0: not known."""
    split: str = ""
    fingerprint: str = ""
    calibrated: bool | None = None
    thresholds: NDArray[np.float64] | None = None
    unread: int = 0
    """How many rows are of pictures that could not be read, and so have no numbers."""
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._kinds: frozenset[str] = frozenset()
        self._first = ""
        self._names = NamesKept(self.place)
        self._kept: dict[str, KeptRows] = {}
        self._range = _Range()
        self._named: NamedLabels | None = None
        self._do_all_name = True
        self._rows = 0
        self._is_checked = self.place is None

    def add(
        self,
        labels: Sequence[str],
        pictures: Sequence[str],
        numbers: Numbers,
        *,
        named: Named | None = None,
        where: str = "",
    ) -> None:
        """Add rows, N x L of each kind; `where` is a part of the file, if it has parts.

        `named` are the labels that each row names as present, if rows say it. Raises DataError if
        labels or kinds are not those of the rows before, if a number is not finite, a target not
        1, 0 or -1, or a label that is named has no number, and TooWide.
        """
        if not len(pictures):
            return
        self._check_same(tuple(labels), frozenset(numbers), where or self.where)
        self._names.add(pictures)
        self._rows += len(pictures)
        for kind, values in numbers.items():
            if values.shape != (len(pictures), len(labels)):
                raise DataError(
                    f"{self.where}: expected numbers of shape {(len(pictures), len(labels))}, "
                    f"pictures by labels, got {values.shape}. Write the file again."
                )
            self._take(kind, values, pictures)
        if named is None:
            self._do_all_name = False
        else:
            self._take_named(named, numbers[PROBABILITY])
        self._check_space()

    def _check_same(self, labels: tuple[str, ...], kinds: frozenset[str], where: str) -> None:
        if not self._rows:
            self.labels, self._kinds, self._first = labels, kinds, where
        elif labels != self.labels or kinds != self._kinds:
            raise DataError(
                f"{where}: expected the labels of {self._first}, got others. Predict all "
                "pictures with one model."
            )

    def _take(self, kind: str, values: NDArray[Any], pictures: Sequence[str]) -> None:
        if kind == THRESHOLD:
            self._take_thresholds(values)
            return
        if kind == TARGET:
            self._keep(TARGET, _as_targets(values, self.where))
            return
        values = self._narrowed(kind, values)
        self._check_finite(values, pictures)
        if kind == PLAIN:
            kind = LOGIT if self.scores == "logits" else PROBABILITY
        if kind == PROBABILITY:
            self._range.take(values)
        if kind == PROBABILITY or self.has_logits:
            self._keep(kind, values)
        if kind == LOGIT and PROBABILITY not in self._kinds:
            self._keep(PROBABILITY, _sigmoid(values))

    def _take_named(self, named: Named, probabilities: NDArray[Any]) -> None:
        self._named = self._named or NamedLabels(len(self.labels))
        try:
            self._named.add(named, self.labels, probabilities)
        except KeyError as error:
            raise DataError(
                f"{self.where}: expected rows that name labels with a probability, got "
                f"{error.args[0]!r} without one. Predict again, or correct the row."
            ) from None

    def _take_thresholds(self, rows: NDArray[Any]) -> None:
        """Keep the thresholds of the first row, if they are those of all rows."""
        first = rows[0] if self.thresholds is None else self.thresholds
        if (rows != first).any() or not ((first >= 0) & (first <= 1)).all():
            raise DataError(
                f"{self.where}: expected one threshold from 0 to 1 per label, the same in all "
                "rows, got others. Correct or drop the columns."
            )
        self.thresholds = first.copy()

    def _narrowed(self, kind: str, values: NDArray[Any]) -> NDArray[Any]:
        """As float32, if the values are float32 that were written with 9 digits or more."""
        if kind in self.wide:
            return values.astype(np.float64, copy=False)
        if values.dtype == np.float32:
            return values
        values = values.astype(np.float64, copy=False)
        with np.errstate(over="ignore", invalid="ignore"):
            narrow = values.astype(np.float32)
            is_same = bool((np.abs(narrow - values) <= 5.1e-9 * np.abs(values)).all())
        if not is_same:
            raise TooWide(kind)
        return narrow

    def _check_finite(self, values: NDArray[Any], pictures: Sequence[str]) -> None:
        is_finite = np.isfinite(values)
        if not is_finite.all():
            row, column = np.argwhere(~is_finite)[0]
            raise DataError(
                f"{self.where}: picture {pictures[row]!r}, label {self.labels[column]!r}: "
                f"expected a finite number, got {values[row, column]}. Correct it, or leave the "
                "picture out."
            )

    def _keep(self, kind: str, values: NDArray[Any]) -> None:
        self._kept.setdefault(kind, KeptRows(self.place)).add(values)

    def _check_space(self) -> None:
        """Raise DataError before the first file grows if the disk is too small for all."""
        if self._is_checked or not any(rows.is_in_file for rows in self._kept.values()):
            return
        self._is_checked = True
        left = max(0, self.expected - self._rows) / self._rows
        needed = int(left * sum(rows.size for rows in self._kept.values()))
        assert self.place is not None
        check_space(self.place, needed, f"the rows of {self.where}, which do not fit into memory")

    def predictions(self) -> Predictions:
        """All rows. Raises DataError if there are no scores, or it is not clear which."""
        if not self._rows:
            raise DataError(
                f"{self.where}: expected a picture or more, got none. Write a row for each."
            )
        if self.unread:
            self.notes.append(f"{self.unread:,} pictures could not be read and are not counted")
        self._check_scores()
        if self._named is not None and self._do_all_name:
            self.thresholds = self._named.thresholds()
            self.notes.append(NOT_FOUND if self.thresholds is None else FOUND)
        is_made_here = PROBABILITY not in self._all_kinds()
        arrays = {kind: rows.array() for kind, rows in self._kept.items()}
        return Predictions(
            labels=self.labels,
            pictures=self._names.names(),
            probabilities=arrays[PROBABILITY],
            targets=arrays.get(TARGET),
            logits=arrays.get(LOGIT),
            thresholds=None if self.thresholds is None else tuple(self.thresholds.tolist()),
            split=self.split,
            fingerprint=self.fingerprint,
            calibrated=False if is_made_here else self.calibrated,
            source=self.where,
            notes=tuple(self.notes),
            place=self.place,
        )

    def note(self, text: str) -> None:
        """Add what a user should know of how the file was read."""
        if text not in self.notes:
            self.notes.append(text)

    def close(self) -> None:
        """Close the files of rows that were not taken; they are gone then."""
        self._names.close()
        for rows in self._kept.values():
            rows.close()

    def _all_kinds(self) -> frozenset[str]:
        """The kinds of numbers, once it is known what the plain ones are."""
        plain = {LOGIT if self.scores == "logits" else PROBABILITY} if PLAIN in self._kinds else ()
        return (self._kinds - {PLAIN}) | set(plain)

    def _check_scores(self) -> None:
        """Raise DataError unless there are scores that are what they are said to be."""
        low, high = self._range.low, self._range.high
        is_range = low >= 0 and high <= 1
        if PLAIN in self._kinds and not self.scores:
            if not is_range:
                raise DataError(
                    f"{self.where}: expected probabilities from 0 to 1, got {low:g} to {high:g}, "
                    "and the columns do not say what they are. If they are logits, set --scores "
                    "logits."
                )
            self.notes.append("values are from 0 to 1: taken as probabilities")
        wanted = {"": "", "probabilities": PROBABILITY, "logits": LOGIT}[self.scores]
        if self.scores and PLAIN not in self._kinds and wanted not in self._kinds:
            raise DataError(
                f"{self.where}: --scores {self.scores}: expected none, since the file itself says "
                "what its numbers are. Leave it out."
            )
        if not self._all_kinds() & {PROBABILITY, LOGIT}:
            raise DataError(
                f"{self.where}: expected probabilities or logits, got none. Add a column "
                "probability:LABEL for each label."
            )
        if PROBABILITY in self._all_kinds() and not is_range:
            raise DataError(
                f"{self.where}: expected probabilities from 0 to 1, got {low:g} to {high:g}. If "
                "they are logits, name the columns logit:LABEL."
            )


def _sigmoid(logits: NDArray[Any]) -> NDArray[Any]:
    from scipy.special import expit

    return np.asarray(expit(logits))


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
