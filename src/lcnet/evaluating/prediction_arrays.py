"""Reads predictions from a npz file, and what lcnet says besides the numbers."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcnet.errors import DataError
from lcnet.evaluating.gathered import Gathered
from lcnet.evaluating.prediction_columns import PLAIN, VALUES_AT_ONCE, Peek
from lcnet.evaluating.predictions import named
from lcnet.evaluating.writing_predictions import KEY, LOGIT, PROBABILITY, TARGET
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


def read_npz(path: Path, gathered: Gathered) -> None:
    """Add the rows of a npz file; pickled objects, which could run code, are refused."""
    with _opened(path) as archive:
        there = archive.files
        labels = tuple(_texts(archive[_name(archive, "labels", path)], "labels", path))
        pictures = _name(archive, "pictures", path)
        arrays = {kind: name for kind, known in NUMBERS.items() for name in known if name in there}
        if PROBABILITY in arrays or LOGIT in arrays:
            arrays.pop(PLAIN, None)
        if not set(arrays) & {PROBABILITY, LOGIT, PLAIN}:
            raise DataError(
                f"{path}: expected an array probabilities or logits, got {named(there)}. Add it."
            )
        said = str(archive[KEY][()]) if KEY in there else ""
        count = _check_rows(archive, pictures, arrays, labels, path)
        gathered.expected = gathered.expected or count
        rows = max(1, VALUES_AT_ONCE // max(1, len(labels)))
        names = _blocks(archive, pictures, rows)
        matrices = {kind: _blocks(archive, name, rows) for kind, name in arrays.items()}
        for block in names:
            numbers = {
                kind: _matrix(next(matrices[kind]), name, path) for kind, name in arrays.items()
            }
            gathered.add(labels, _texts(block, pictures, path), numbers, where=str(path))
    take_about(gathered, said, labels)


def peek_npz(path: Path) -> Peek:
    """What a npz file holds: nothing but predictions are stored so."""
    with _opened(path) as archive:
        return Peek("predictions", has_targets="targets" in archive.files)


def take_about(gathered: Gathered, said: str, labels: Sequence[str]) -> None:
    """Take what a file says besides its numbers. Raises DataError if that is damaged."""
    if not said:
        return
    try:
        about = check_mapping(json.loads(said), KEY)
        if thresholds := about.get("thresholds"):
            values = check_numbers(thresholds, "thresholds", count=len(labels), least=0, most=1)
            gathered.thresholds = np.array(values)
        calibrated = about.get("calibrated")
        gathered.calibrated = calibrated if isinstance(calibrated, bool) else None
        gathered.split = str(about.get("split") or "")
        gathered.fingerprint = str(about.get("fingerprint") or "")
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{gathered.where}: what it says of itself is damaged ({error}). Write it again."
        ) from None


@contextmanager
def _opened(path: Path) -> "Iterator[np.lib.npyio.NpzFile]":
    with path.open("rb") as opened:  # numpy would leave the file of a damaged archive open
        archive = np.load(opened, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise DataError(f"{path}: expected an npz file, got an array. Write it by numpy.savez.")
        with archive:
            yield archive


@contextmanager
def _member(archive: Any, name: str) -> Iterator[tuple[Any, tuple[int, ...], bool, np.dtype[Any]]]:
    """An array in the archive, at its first number, and its shape, order and type."""
    with archive.zip.open(f"{name}.npy") as opened:
        version = np.lib.format.read_magic(opened)
        read = np.lib.format.read_array_header_1_0
        if version != (1, 0):
            read = np.lib.format.read_array_header_2_0
        yield opened, *read(opened)


def _blocks(archive: Any, name: str, rows: int) -> Iterator[NDArray[Any]]:
    """An array of the archive in blocks of rows, without holding it; one block or more."""
    with _member(archive, name) as (opened, shape, is_fortran, dtype):
        if is_fortran and len(shape) > 1:  # all of a column comes before the next
            whole = archive[name]
            for first in range(0, max(1, len(whole)), rows):
                yield whole[first : first + rows]
            return
        width = dtype.itemsize * int(np.prod(shape[1:], dtype=np.int64))
        for first in range(0, max(1, shape[0]), rows):
            count = min(rows, shape[0] - first)
            data = bytearray(opened.read(count * width))  # so that it can be written to
            yield np.frombuffer(data, dtype, count * width // dtype.itemsize).reshape(
                count, *shape[1:]
            )
        opened.read(1)  # so that the checksum is compared


def _check_rows(
    archive: Any, pictures: str, arrays: Mapping[str, str], labels: Sequence[str], path: Path
) -> int:
    """How many pictures there are. Raises DataError unless all arrays are of so many rows."""
    with _member(archive, pictures) as (_, shape, _, dtype):
        if len(shape) != 1 or dtype.kind not in "USiu":
            raise _no_names(pictures, dtype, shape, path)
        count = shape[0]
    for name in arrays.values():
        with _member(archive, name) as (_, shape, _, dtype):
            if len(shape) != 2 or dtype.kind not in "fiub":
                raise _no_matrix(name, dtype, shape, path)
            if shape != (count, len(labels)):
                raise DataError(
                    f"{path}: expected {name} of shape {(count, len(labels))}, pictures by labels, "
                    f"got {shape}. Write the file again."
                )
    return count


def _name(archive: Any, kind: str, path: Path) -> str:
    name = next((name for name in NAMES[kind] if name in archive.files), None)
    if name is None:
        raise DataError(
            f"{path}: expected an array {kind} of names, got {named(archive.files)}. Add it."
        )
    return name


def _texts(values: NDArray[Any], name: str, path: Path) -> list[str]:
    if values.ndim != 1 or values.dtype.kind not in "USiu":
        raise _no_names(name, values.dtype, values.shape, path)
    if values.dtype.kind == "S":
        return [one.decode("utf-8") for one in values.tolist()]
    return [str(one) for one in values.tolist()]


def _no_names(name: str, dtype: Any, shape: tuple[int, ...], path: Path) -> DataError:
    return DataError(
        f"{path}: array {name}: expected a list of names, got type {dtype} of shape {shape}. "
        "Store it as a list of text."
    )


def _no_matrix(name: str, dtype: Any, shape: tuple[int, ...], path: Path) -> DataError:
    return DataError(
        f"{path}: array {name}: expected numbers, pictures by labels, got type {dtype} of shape "
        f"{shape}. Store it as float32."
    )


def _matrix(values: NDArray[Any], name: str, path: Path) -> NDArray[Any]:
    if values.dtype.kind == "f" and values.dtype.itemsize not in (4, 8):
        return values.astype(np.float32 if values.dtype.itemsize == 2 else np.float64)
    return values if values.dtype.kind == "f" or name == "targets" else values.astype(np.float64)
