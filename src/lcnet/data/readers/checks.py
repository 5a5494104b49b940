"""The checks that all readers share: of the root, the split and the label names."""

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lcnet.data.dataset import NEGATIVE
from lcnet.errors import DataError, reason_of
from lcnet.schema import LONGEST_NAME, unfit_name


def check_root(root: Path, inside: str) -> None:
    """Raises DataError if `root` is not a folder; the message says what belongs `inside`."""
    if not root.is_dir():
        raise DataError(
            f"data.root: no folder {root} (expected {inside} inside). "
            "Set --data.root to the folder of the data set."
        )


class MissingSplit(DataError):
    """A split that the data set does not have."""


def missing_split(path: Path, split: str, existing: Iterable[str]) -> MissingSplit:
    """The error for a split that is not at `path`; it names the splits that exist."""
    names = sorted(existing)
    there = f"there are: {', '.join(names)}" if names else "there are none"
    return MissingSplit(
        f"{split}: no such split, expected {path} ({there}). "
        "Name a split that exists, or another folder of the data set."
    )


def unreadable(where: str, expected: str, error: Exception) -> DataError:
    """The error for a file that cannot be read or parsed, with the reason in one line."""
    return DataError(
        f"{where}: expected {expected}, got: {reason_of(error)}. Repair or replace the file."
    )


def check_labels(labels: Sequence[str], where: str) -> tuple[str, ...]:
    """The label names as a tuple.

    Raises DataError if there are none, if one appears twice, or if one is unfit as a name.
    """
    if not labels:
        raise DataError(f"{where}: expected at least one label, got none. Add labels.")
    seen: set[str] = set()
    for name in labels:
        if reason := unfit_name(name):
            raise DataError(f"{where}: label: {reason}. Rename it.")
        if name in seen:
            raise DataError(
                f"{where}: expected each label name once, got {name!r} twice. Rename or drop one."
            )
        seen.add(name)
    return tuple(labels)


def check_known(name: str, labels: Collection[str], where: str) -> None:
    """Raises DataError if `name` is not one of the labels; the message has the nearest one."""
    if name not in labels:
        # The time of a comparison grows with the square of the length.
        nearest = difflib.get_close_matches(name[:LONGEST_NAME], labels, n=1, cutoff=0.0)[0]
        raise DataError(
            f"{where}: unknown label {name!r}, the nearest of the {len(labels)} known ones is "
            f"{nearest!r}. Correct the name, or train with a split that has it."
        )


def targets_of(
    marks: Sequence[Mapping[str, int]], labels: Sequence[str], *, others: int = NEGATIVE
) -> NDArray[np.int8]:
    """The targets of pictures, N x L, from the marks of each: 1, 0 or -1 by label.

    A label that a picture has no mark of gets `others`.
    """
    columns = {name: column for column, name in enumerate(labels)}
    targets = np.full((len(marks), len(labels)), others, dtype=np.int8)
    for row, marked in enumerate(marks):
        for name, value in marked.items():
            targets[row, columns[name]] = value
    return targets


def unnamed(number: int) -> tuple[str, ...]:
    """Names for labels that have none, or only numbers: label_1 (number 0), label_2 and so on."""
    return tuple(f"label_{label}" for label in range(1, number + 1))


def is_number(text: str | bytes) -> bool:
    """Whether Python takes the text for a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def is_share(text: str) -> bool:
    """Whether the text is a number from 0 to 1."""
    return is_number(text) and 0 <= float(text) <= 1
