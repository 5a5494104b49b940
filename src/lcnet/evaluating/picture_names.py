"""The names of pictures, as many as there are rows, without a Python object for each."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from lcnet.evaluating.kept_rows import KeptRows
from lcnet.metrics.blocks import release, spans

NAME_BYTES = 100
"""About the most that a name has; for how many are read at a time."""


class PictureNames(Sequence[str]):
    """Names that are made when they are asked for, from one long text; `NamesKept` makes it.

    10 million of 20 letters take 280 MB, in a file if they are many; as texts they take 700 MB.
    """

    def __init__(self, text: NDArray[np.uint8], ends: NDArray[np.int64]) -> None:
        self._text, self._ends = text, ends

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        first = int(self._ends[place - 1]) if place else 0
        return _decoded(self._text[first : int(self._ends[place])].tobytes())

    def __iter__(self) -> Iterator[str]:
        for rows in spans(len(self), NAME_BYTES):
            ends = self._ends[rows].tolist()
            if not ends:
                return
            first = int(self._ends[rows.start - 1]) if rows.start else 0
            text, start = self._text[first : ends[-1]].tobytes(), 0
            release(self._text)
            for end in ends:
                yield _decoded(text[start : end - first])
                start = end - first

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(self) != len(other):
            return False
        return all(ours == theirs for ours, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]


class NamesKept:
    """Takes names; in a file in the folder `place` if they are many, see `KeptRows`."""

    def __init__(self, place: Path | None) -> None:
        self._text, self._ends, self._end = KeptRows(place), KeptRows(None), 0

    def add(self, names: Iterable[str]) -> None:
        """Add some names."""
        texts = [name.encode("utf-8", "surrogatepass") for name in names]
        ends = np.cumsum([len(text) for text in texts], dtype=np.int64) + self._end
        self._end = int(ends[-1]) if len(ends) else self._end
        self._text.add(np.frombuffer(b"".join(texts), np.uint8))
        self._ends.add(ends)

    def names(self) -> PictureNames:
        """All names; to be called once."""
        return PictureNames(self._text.array(), self._ends.array())

    def close(self) -> None:
        """Close the file, if there is one; the names are gone then."""
        self._text.close()


def picked_names(
    names: Sequence[str], rows: NDArray[np.intp], *, place: Path | None
) -> Sequence[str]:
    """The names at some places."""
    if not isinstance(names, PictureNames):
        return tuple(names[row] for row in rows.tolist())
    kept = NamesKept(place)
    for block in spans(len(rows), NAME_BYTES):
        kept.add(names[row] for row in rows[block].tolist())
    return kept.names()


def digests(names: Iterable[str], count: int) -> NDArray[np.int64]:
    """A number for each text: the same for the same text, and for hardly any other."""
    return np.fromiter(map(hash, names), np.int64, count)


def named_twice(names: Sequence[str]) -> tuple[str, int] | None:
    """A name that is there most often, and how often; None if each is there once."""
    numbers = digests(names, len(names))
    numbers.sort()
    again = numbers[1:][numbers[1:] == numbers[:-1]]
    if not len(again):
        return None
    doubtful, counts = set(again.tolist()), dict[str, int]()
    for name in names:  # two texts can have one number
        if hash(name) in doubtful:
            counts[name] = counts.get(name, 0) + 1
    name, count = max(counts.items(), key=lambda one: one[1])
    return (name, count) if count > 1 else None


def in_both(ours: Sequence[str], theirs: Sequence[str]) -> set[str]:
    """The names that are in both."""
    common = np.intersect1d(digests(ours, len(ours)), digests(theirs, len(theirs)))
    found = set(common.tolist())
    if not found:
        return set()
    return {name for name in ours if hash(name) in found} & {
        name for name in theirs if hash(name) in found
    }


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "surrogatepass")
