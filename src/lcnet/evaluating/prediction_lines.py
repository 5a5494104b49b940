"""Reads predictions from the JSON Lines of `lcnet predict`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lcnet.errors import DataError
from lcnet.evaluating.gathered import Gathered
from lcnet.evaluating.prediction_columns import KNOWN, VALUES_AT_ONCE, Peek, rows_of_text
from lcnet.evaluating.predictions import named
from lcnet.evaluating.writing_predictions import PROBABILITY


def read_lines(path: Path, gathered: Gathered) -> None:
    """Add the rows of `lcnet predict`: an image with probabilities by label, or with an error."""
    labels: tuple[str, ...] = ()
    names: list[str] = []
    rows: list[list[Any]] = []
    named: list[list[str]] = []

    def add() -> None:
        if names:
            values = np.array(rows, dtype=np.float64)
            says = len(named) == len(names)
            gathered.add(
                labels, names, {PROBABILITY: values}, named=named if says else None, where=str(path)
            )
            for one in (names, rows, named):
                one.clear()

    gathered.expected = gathered.expected or rows_of_text(path)
    for number, row in _rows(path):
        where = f"{path}:{number}"
        if not isinstance(row, dict) or not isinstance(row.get("image"), str):
            raise DataError(
                f"{where}: expected an object with an image and its probabilities, got "
                f"{str(row)[:60]}. Use rows of lcnet predict."
            )
        if "error" in row:
            gathered.unread += 1
            continue
        if row.get("known"):
            gathered.note(KNOWN)
        values = row.get("probabilities")
        if not isinstance(values, dict) or not values:
            raise DataError(
                f"{where}: expected probabilities by label, got none. Use rows of lcnet predict."
            )
        labels = labels or tuple(values)
        names.append(row["image"])
        rows.append(_in_order(values, labels, where))
        if "labels" in row:
            named.append(row["labels"])
        if len(rows) * len(labels) >= VALUES_AT_ONCE:
            add()
    add()


def peek_lines(path: Path) -> Peek:
    """What a file of JSON Lines holds, from its first line."""
    _, row = next(_rows(path))
    is_predicted = "image" in row and bool({"probabilities", "error"} & set(row))
    return Peek("predictions" if is_predicted else "other")


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    with path.open(encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith("\n"):
                raise DataError(
                    f"{path}: cut short: its last line has no end. Copy or write it again."
                )
            yield number, json.loads(line)


def _in_order(values: dict[str, Any], labels: tuple[str, ...], where: str) -> list[Any]:
    if tuple(values) != labels and (odd := sorted(set(values) ^ set(labels))):
        raise DataError(
            f"{where}: expected the probabilities of the same {len(labels):,} labels in each row, "
            f"got others: {named(odd)}. Predict with all labels."
        )
    numbers = [values[label] for label in labels]
    if not set(map(type, numbers)) <= {int, float}:
        raise DataError(f"{where}: expected numbers as probabilities, got others. Correct the row.")
    return numbers
