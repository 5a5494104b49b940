"""Reads predictions from a npz file, and what lcnet says besides the numbers."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcnet.errors import DataError
from lcnet.evaluating.prediction_columns import PLAIN, Peek, Scores, Stored
from lcnet.evaluating.predictions import named
from lcnet.evaluating.writing_predictions import KEY, LOGIT, PROBABILITY, TARGET, THRESHOLD
from lcnet.schema import check_mapping, check_numbers

NAMES = {
    "pictures": ("pictures", "images", "files", "filenames", "names", "paths"),
    "labels": ("labels", "classes", "label_names", "class_names"),
}
"""The arrays that hold names, as they may be called."""
NUMBERS = {
    PROBABILITY: ("probabilities", "probs", "probability"),
    LOGIT: ("logits",),
    TARGET: ("targets",),
    PLAIN: ("scores", "predictions", "outputs"),
}
"""The arrays of numbers, pictures by labels."""


def read_npz(path: Path, scores: Scores) -> Stored:
    """The arrays of a npz file; pickled objects, which could run code, are refused."""
    with _opened(path) as archive:
        there = archive.files
        names = {kind: _texts(archive, kind, path) for kind in NAMES}
        numbers = {
            kind: _matrix(archive[name], name, path)
            for kind, known in NUMBERS.items()
            for name in known
            if name in there
        }
        said = str(archive[KEY][()]) if KEY in there else ""
    if PROBABILITY in numbers or LOGIT in numbers:
        numbers.pop(PLAIN, None)
    if not set(numbers) & {PROBABILITY, LOGIT, PLAIN}:
        raise DataError(
            f"{path}: expected an array probabilities or logits, got {named(there)}. Add it."
        )
    stored = Stored(names["labels"], names["pictures"], numbers, where=str(path))
    return with_about(stored, said)


def peek_npz(path: Path) -> Peek:
    """What a npz file holds: nothing but predictions are stored so."""
    with _opened(path) as archive:
        return Peek("predictions", has_targets="targets" in archive.files)


def with_about(stored: Stored, said: str) -> Stored:
    """What a file says, with what its `about` says besides. Raises DataError if that is damaged."""
    if not said:
        return stored
    try:
        about = check_mapping(json.loads(said), KEY)
        if thresholds := about.get("thresholds"):
            count = len(stored.labels)
            values = check_numbers(thresholds, "thresholds", count=count, least=0, most=1)
            stored.numbers[THRESHOLD] = np.array(values)
        calibrated = about.get("calibrated")
        stored.calibrated = calibrated if isinstance(calibrated, bool) else None
        stored.split = str(about.get("split") or "")
        stored.fingerprint = str(about.get("fingerprint") or "")
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{stored.where}: what it says of itself is damaged ({error}). Write it again."
        ) from None
    return stored


@contextmanager
def _opened(path: Path) -> "Iterator[np.lib.npyio.NpzFile]":
    with path.open("rb") as opened:  # numpy would leave the file of a damaged archive open
        archive = np.load(opened, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise DataError(f"{path}: expected an npz file, got an array. Write it by numpy.savez.")
        with archive:
            yield archive


def _texts(archive: Any, kind: str, path: Path) -> list[str]:
    name = next((name for name in NAMES[kind] if name in archive.files), None)
    if name is None:
        raise DataError(
            f"{path}: expected an array {kind} of names, got {named(archive.files)}. Add it."
        )
    values = archive[name]
    if values.ndim != 1 or values.dtype.kind not in "USiu":
        raise DataError(
            f"{path}: array {name}: expected a list of names, got type {values.dtype} of shape "
            f"{values.shape}. Store it as a list of text."
        )
    if values.dtype.kind == "S":
        return [one.decode("utf-8") for one in values.tolist()]
    return [str(one) for one in values.tolist()]


def _matrix(values: NDArray[Any], name: str, path: Path) -> NDArray[Any]:
    if values.ndim != 2 or values.dtype.kind not in "fiub":
        raise DataError(
            f"{path}: array {name}: expected numbers, pictures by labels, got type {values.dtype} "
            f"of shape {values.shape}. Store it as float32."
        )
    if values.dtype.kind == "f" and values.dtype.itemsize not in (4, 8):
        return values.astype(np.float32 if values.dtype.itemsize == 2 else np.float64)
    return values if values.dtype.kind == "f" or name == "targets" else values.astype(np.float64)
