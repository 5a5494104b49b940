"""The label names of an imported model: from the user, the file, its data set, or numbers."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lcnet.config import Data
from lcnet.data.dataset import Split
from lcnet.data.readers import load_split
from lcnet.data.readers.checks import unnamed
from lcnet.errors import DataError, reason_of
from lcnet.published.choices import Assumed, ImportChoices


def listed_names(others: Mapping[str, Any], number: int) -> tuple[str, ...]:
    """The label names in the file, as ML-Decoder and ASL keep them; empty if it has none."""
    names = others.get("idx_to_class")
    if isinstance(names, Mapping) and len(names) == number:
        return tuple(str(name) for name in names.values())
    return ()


def training_split(data: Data | None, number: int) -> Split:
    """The training split that the user named. Raises DataError if it has other labels."""
    assert data is not None
    split = load_split(data, data.train)
    if len(split.labels) != number:
        raise DataError(
            f"{data.train}: expected {number} labels, as many as the checkpoint has, got "
            f"{len(split.labels)}. Choose the data set that it was trained on."
        )
    return split


def label_names(
    choices: ImportChoices,
    known: tuple[str, ...],
    number: int,
    training: Callable[[], Split],
    assumed: Assumed,
) -> tuple[str, ...]:
    """The `number` label names: the user's, else the data set's, else the `known`, else numbers.

    Raises DataError if the user gives another number of names, or one twice.
    """
    if choices.data is not None and not choices.labels:
        return training().labels
    if not choices.labels:
        if len(known) == number:
            return known
        assumed.add(f"label names label_1 to label_{number} (--labels gives others)")
        return unnamed(number)
    file = Path(choices.labels)
    try:
        text = file.read_text(encoding="utf-8-sig") if file.is_file() else None
    except (OSError, ValueError) as error:
        raise DataError(
            f"--labels {file}: expected a UTF-8 text file, got: {reason_of(error)}. Save it anew."
        ) from None
    parts = choices.labels.split(",") if text is None else text.splitlines()
    names = tuple(name for part in parts if (name := part.strip()))
    if len(names) != number or len(set(names)) != number:
        raise DataError(
            f"--labels: expected {number} different names, as many as the checkpoint has labels, "
            f"got {len(names)} ({len(set(names))} different). Correct the names."
        )
    return names
