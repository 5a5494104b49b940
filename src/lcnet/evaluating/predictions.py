"""The predictions of a model for the pictures of a split, as a file of them holds them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcnet.errors import DataError
from lcnet.evaluating.kept_rows import mapped, picked
from lcnet.evaluating.picture_names import named_twice, picked_names
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
    pictures: Sequence[str]
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
    place: Path | None = None
    """The folder for arrays that do not fit into memory; None: all are in memory."""

    def __len__(self) -> int:
        return len(self.pictures)

    def scores(self) -> Floats:
        """The logits of the probabilities, N x L: calibrated ones if a calibration was applied."""
        if self.logits is not None and not self.calibrated:
            return self.logits
        return mapped(logits_of, self.probabilities, place=self.place)

    def chosen(self, rows: NDArray[np.intp]) -> "Predictions":
        """The pictures at these indices, in their order."""
        if len(rows) == len(self) and (rows == np.arange(len(self))).all():
            return self

        def some(values: NDArray[Any] | None) -> NDArray[Any] | None:
            return None if values is None else picked(values, rows, place=self.place)

        return replace(
            self,
            pictures=picked_names(self.pictures, rows, place=self.place),
            probabilities=picked(self.probabilities, rows, place=self.place),
            targets=some(self.targets),
            logits=some(self.logits),
        )

    def in_order_of(self, labels: Sequence[str]) -> "Predictions":
        """The same with the labels in another order."""
        if tuple(labels) == self.labels:
            return self
        columns = [self.labels.index(label) for label in labels]

        def reordered(values: NDArray[Any]) -> NDArray[Any]:
            return mapped(lambda block: block[:, columns], values, place=self.place)

        def some(values: NDArray[Any] | None) -> NDArray[Any] | None:
            return None if values is None else reordered(values)

        thresholds = self.thresholds
        return replace(
            self,
            labels=tuple(labels),
            probabilities=reordered(self.probabilities),
            targets=some(self.targets),
            logits=some(self.logits),
            thresholds=thresholds and tuple(thresholds[column] for column in columns),
        )


def checked(predictions: Predictions, where: str) -> Predictions:
    """The same predictions, once the names of labels and pictures are found to be right.

    `where` is the file. Raises DataError if they are not.
    """
    labels, pictures = predictions.labels, predictions.pictures
    try:
        check_names(list(labels), "labels")
    except ValueError as error:
        raise DataError(f"{where}: {error}. Correct the names of the labels.") from None
    if twice := named_twice(pictures):
        name, count = twice
        raise DataError(
            f"{where}: expected each picture once, got {name!r} {count:,} times. Keep one."
        )
    return predictions


def named(names: Sequence[str]) -> str:
    """The first names of many, each in quotation marks."""
    return ", ".join(map(repr, names[:NAMED])) + ", ..." * (len(names) > NAMED)
