"""Reads word vectors for label names, from GloVe-like text or from .npy."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from lcnet.data.arrays import read_matrix
from lcnet.data.readers.checks import is_number
from lcnet.errors import DataError

SHOWN = 10
"""Most names listed in an error message."""


def read_vectors(path: Path, labels: Sequence[str]) -> np.ndarray:
    """One vector per label, as a float32 array of shape (labels, vector length).

    A `.npy` file holds that array, with its rows in the order of the labels. Any other file is text
    with a line `name v1 v2 ...` per name, all vectors of one length; a first line `count length`,
    as word2vec writes it, is skipped. Names are compared without case, and spaces, `_` and `-` all
    separate words; of equal names the first counts. A label without its own line gets the mean of
    the vectors of its words. Raises DataError for a missing or broken file, a number that is not
    finite, and a label without any vector.
    """
    if not path.is_file():
        raise DataError(
            f"{path}: no such file of label vectors. Correct --model.label_vectors or leave it out."
        )
    try:
        if path.suffix == ".npy":
            return read_matrix(path, len(labels))
        return _from_text(path, labels)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}. Check the file.") from None


def _finite(values: np.ndarray, where: str) -> np.ndarray:
    with np.errstate(over="ignore"):  # too large numbers become infinite
        vector = values.astype(np.float32)
    if not np.isfinite(vector).all():
        raise DataError(
            f"{where}: expected finite numbers that fit float32, got nan, infinite or larger ones. "
            "Correct the vector."
        )
    return vector


def _listing(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(repr, names[:SHOWN])) + more


# Text


def _words(name: str) -> tuple[str, ...]:
    return tuple(name.casefold().replace("_", " ").replace("-", " ").split())


def _from_text(path: Path, labels: Sequence[str]) -> np.ndarray:
    wanted = {_words(label) for label in labels}
    wanted |= {(word,) for words in wanted for word in words}
    vector_of: dict[tuple[str, ...], np.ndarray] = {}
    for number, name, numbers in _lines(path):
        words = _words(name)
        if words in wanted and words not in vector_of:
            vector_of[words] = _vector(numbers, f"{path}:{number}")
    vectors = [_label_vector(_words(label), vector_of) for label in labels]
    missing = [label for label, row in zip(labels, vectors, strict=True) if row is None]
    if missing:
        raise DataError(
            f"{path}: expected a vector for every label or for one of its words, got none for "
            f"{_listing(missing)}. Add lines for them or rename the labels."
        )
    return np.array(vectors, dtype=np.float32)


def _label_vector(
    words: tuple[str, ...], vector_of: dict[tuple[str, ...], np.ndarray]
) -> np.ndarray | None:
    if words in vector_of:
        return vector_of[words]
    parts = [vector_of[(word,)] for word in words if (word,) in vector_of]
    return np.array(np.mean(parts, axis=0, dtype=np.float64)) if parts else None


def _lines(path: Path) -> Iterator[tuple[int, str, list[bytes]]]:
    """Each line's number, name and still unparsed numbers; all lines have as many numbers.

    Lines are bytes, which split at ASCII blanks only: GloVe has names with other Unicode spaces,
    and some that are not UTF-8. Only one line is held at a time, since files can have gigabytes.
    """
    length = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            parts = line.removeprefix(b"\xef\xbb\xbf").split()
            if not parts:
                continue
            if not length and len(parts) == 2 and all(part.isdigit() for part in parts):
                length = int(parts[1])
                continue
            length = length or _trailing_numbers(parts)
            # A name may have spaces, but if it ends in a number, the line has too many numbers.
            name = parts[: max(0, len(parts) - length)]
            if not length or not name or (len(name) > 1 and is_number(name[-1])):
                raise DataError(
                    f"{path}:{number}: expected a name and {length or 'its'} numbers, "
                    f"got {len(parts)} parts. Give every name a vector of the same length."
                )
            yield number, b" ".join(name).decode("utf-8", errors="replace"), parts[-length:]
    if not length:
        raise DataError(f"{path}: expected lines `name v1 v2 ...`, got none. Fill the file.")


def _trailing_numbers(parts: list[bytes]) -> int:
    """How many numbers end the line; its first part is always a name, even if it is a number."""
    for count, part in enumerate(reversed(parts[1:])):
        if not is_number(part):
            return count
    return len(parts) - 1


def _vector(numbers: list[bytes], where: str) -> np.ndarray:
    try:
        values = np.array([float(number) for number in numbers])
    except ValueError as error:
        raise DataError(
            f"{where}: expected numbers after the name, got: {error}. Correct the line."
        ) from None
    return _finite(values, where)
