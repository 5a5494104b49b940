"""The predictions of a model for the pictures of a split, as a file of them holds them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcnet.errors import DataError
from lcnet.metrics import Floats, Targets
from lcnet.metrics.thresholds import logits_of
from lcnet.schema import check_names

NAMED = 3
"""Most names that a message lists."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says of each picture, and the truth if it is known; `read_predictions` makes it.

    N pictures, L labels.
    """

    labels: tuple[str, ...]
    pictures: tuple[str, ...]
    """The name or path of each picture; none is there twice."""
    probabilities: Floats
    """N x L, 0 to 1; calibrated if `calibrated` is true."""
    targets: Targets | None = None
    """N x L: 1, 0 and -1 (unknown); None if the truth is not known."""
    logits: Floats | None = None
    """N x L, before any calibration; None if they are not known."""
    thresholds: tuple[float, ...] | None = None
    """Per label, the probability above which it counts as present; None if not known."""
    split: str = ""
    """The split that was measured; empty if not known."""
    fingerprint: str = ""
    """SHA-256 of the model; empty if not known."""
    calibrated: bool | None = None
    """Whether a calibration was applied; None if not known."""
    source: str = ""
    """The file's name."""
    notes: tuple[str, ...] = ()
    """What a user should know of how the file was read, a sentence each."""

    def __len__(self) -> int:
        return len(self.pictures)

    def scores(self) -> Floats:
        """The logits of the probabilities, N x L: calibrated ones if a calibration was applied."""
        if self.logits is not None and not self.calibrated:
            return self.logits
        return logits_of(self.probabilities)

    def chosen(self, rows: NDArray[np.intp]) -> "Predictions":
        """The pictures at these indices, in their order."""

        def some(values: NDArray[Any] | None) -> NDArray[Any] | None:
            return None if values is None else values[rows]

        return replace(
            self,
            pictures=tuple(self.pictures[row] for row in rows.tolist()),
            probabilities=self.probabilities[rows],
            targets=some(self.targets),
            logits=some(self.logits),
        )

    def in_order_of(self, labels: Sequence[str]) -> "Predictions":
        """The same with the labels in another order."""
        if tuple(labels) == self.labels:
            return self
        columns = [self.labels.index(label) for label in labels]

        def some(values: NDArray[Any] | None) -> NDArray[Any] | None:
            return None if values is None else values[:, columns]

        thresholds = self.thresholds
        return replace(
            self,
            labels=tuple(labels),
            probabilities=self.probabilities[:, columns],
            targets=some(self.targets),
            logits=some(self.logits),
            thresholds=thresholds and tuple(thresholds[column] for column in columns),
        )


def checked(predictions: Predictions, where: str) -> Predictions:
    """The same predictions, once names, shapes and values are found to be right.

    `where` is the file. Raises DataError if they are not.
    """
    labels, pictures = predictions.labels, predictions.pictures
    try:
        check_names(list(labels), "labels")
    except ValueError as error:
        raise DataError(f"{where}: {error}. Correct the names of the labels.") from None
    if not pictures:
        raise DataError(f"{where}: expected a picture or more, got none. Write a row per picture.")
    if len(set(pictures)) < len(pictures):
        name, count = Counter(pictures).most_common(1)[0]
        raise DataError(
            f"{where}: expected each picture once, got {name!r} {count:,} times. Keep one."
        )
    shape = len(pictures), len(labels)
    for what, values in (
        ("probabilities", predictions.probabilities),
        ("logits", predictions.logits),
        ("targets", predictions.targets),
    ):
        if values is not None and values.shape != shape:
            raise DataError(
                f"{where}: expected {what} of shape {shape}, pictures by labels, got "
                f"{values.shape}. Write the file again."
            )
    _check_finite(predictions, where)
    _check_range(predictions, where)
    return predictions


def _check_finite(predictions: Predictions, where: str) -> None:
    for values in (predictions.probabilities, predictions.logits):
        if values is not None and not np.isfinite(values).all():
            row, column = np.argwhere(~np.isfinite(values))[0]
            raise DataError(
                f"{where}: picture {predictions.pictures[row]!r}, label "
                f"{predictions.labels[column]!r}: expected a finite number, got "
                f"{values[row, column]}. Correct it, or leave the picture out."
            )


def _check_range(predictions: Predictions, where: str) -> None:
    values, targets = predictions.probabilities, predictions.targets
    if values.min() < 0 or values.max() > 1:
        raise DataError(
            f"{where}: expected probabilities from 0 to 1, got {values.min():g} to "
            f"{values.max():g}. If they are logits, name the columns logit:LABEL."
        )
    if targets is not None and not np.isin(targets, (1, 0, -1)).all():
        wrong = targets[~np.isin(targets, (1, 0, -1))].ravel()[0]
        raise DataError(
            f"{where}: expected targets of 1, 0 and -1 (unknown), got {wrong}. Correct them."
        )


def named(names: Sequence[str]) -> str:
    """The first names of many, each in quotation marks."""
    return ", ".join(map(repr, names[:NAMED])) + ", ..." * (len(names) > NAMED)
