"""Matches pictures by name: those of a file of predictions with those of a data set or file."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from lcnet.data.decoding import PICTURE_SUFFIXES
from lcnet.errors import DataError
from lcnet.evaluating.predictions import named


@dataclass(frozen=True)
class Match:
    """Which of our pictures are which of theirs."""

    ours: NDArray[np.intp]
    """Indices of ours that have one of theirs, ascending."""
    theirs: NDArray[np.intp]
    """The indices of those."""
    by: str
    """By what they were matched, in words."""


def match(ours: Sequence[str], theirs: Sequence[str], where: str, *, root: str = "") -> Match:
    """Which of our pictures are which of theirs, by name.

    The first of these is taken by which any is found: the path; a path that the other one ends in,
    or that is relative to `root`, the folder of theirs; the file's name; the file's name without
    its suffix. Raises DataError if none is found, or if a name stands for several pictures; `where`
    says what ours and theirs are.
    """
    for by, find in _WAYS.items():
        try:
            found = find(ours, theirs, root)
            _check_once(found, ours)
        except _Doubt as error:
            raise DataError(
                f"{where}: expected names that stand for one picture each, got {error}. Write the "
                "paths of the pictures as the data set has them."
            ) from None
        if found:
            return _as_match(found, by)
    raise DataError(
        f"{where}: expected pictures in common, got none; the first are {ours[0]!r} and "
        f"{theirs[0]!r}. Name the same pictures in both, or choose another split."
    )


class _Doubt(Exception):
    """A name that stands for several pictures."""


def _as_match(found: Mapping[int, int], by: str) -> Match:
    places = np.array(sorted(found), dtype=np.intp)
    return Match(places, np.array([found[place] for place in places.tolist()], dtype=np.intp), by)


def _check_once(found: Mapping[int, int], ours: Sequence[str]) -> None:
    counts = Counter(found.values())
    twice = next((theirs for theirs, count in counts.items() if count > 1), None)
    if twice is not None:
        names = [ours[place] for place, theirs in found.items() if theirs == twice]
        raise _Doubt(f"{named(names)} for one picture")


def _unique(ours: Sequence[str], keys: Mapping[str, list[int]], key: "Key") -> dict[int, int]:
    """Ours whose key one of theirs has. Raises _Doubt if several have it."""
    found = {}
    for place, name in enumerate(ours):
        for wanted in key(name):
            if there := keys.get(wanted):
                if len(there) > 1:
                    raise _Doubt(f"{name!r}, which fits {len(there):,} pictures")
                found[place] = there[0]
                break
    return found


Key = Callable[[str], Sequence[str]]


def _by(theirs: Sequence[str], key: Key) -> dict[str, list[int]]:
    places = defaultdict(list)
    for place, name in enumerate(theirs):
        for one in key(name):
            places[one].append(place)
    return places


def _by_path(ours: Sequence[str], theirs: Sequence[str], root: str) -> dict[int, int]:
    def key(name: str) -> Sequence[str]:
        return (os.path.abspath(name),)  # noqa: PTH100 -- resolve() would ask the disk

    return _unique(ours, _by(theirs, key), key)


def _by_relative_path(ours: Sequence[str], theirs: Sequence[str], root: str) -> dict[int, int]:
    """By paths of which one ends in the other."""
    depths = {len(_parts(name)) for name in ours}

    def ends(name: str) -> Sequence[str]:
        parts = _parts(name)
        return ["/".join(parts[-depth:]) for depth in depths if depth <= len(parts)]

    found = _unique(ours, _by(theirs, ends), lambda name: ("/".join(_parts(name)),))
    relative = [_relative(name, root) for name in theirs]
    whole = _by(relative, lambda name: (name,))

    def tails(name: str) -> Sequence[str]:
        parts = _parts(name)
        return ["/".join(parts[start:]) for start in range(len(parts))]

    return {**_unique(ours, whole, tails), **found}


def _by_file_name(ours: Sequence[str], theirs: Sequence[str], root: str) -> dict[int, int]:
    def key(name: str) -> Sequence[str]:
        return (_parts(name)[-1:] or ("",))[-1:]

    return _unique(ours, _by(theirs, key), key)


def _by_stem(ours: Sequence[str], theirs: Sequence[str], root: str) -> dict[int, int]:
    def key(name: str) -> Sequence[str]:
        file = PurePath((_parts(name) or [""])[-1])
        return (file.stem if file.suffix.lower() in PICTURE_SUFFIXES else file.name,)

    return _unique(ours, _by(theirs, key), key)


_WAYS: Mapping[str, Callable[[Sequence[str], Sequence[str], str], dict[int, int]]] = {
    "path": _by_path,
    "relative path": _by_relative_path,
    "file name alone": _by_file_name,
    "file name without suffix": _by_stem,
}


def _parts(name: str) -> list[str]:
    return [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]


def _relative(name: str, root: str) -> str:
    parts, above = _parts(name), _parts(root)
    return "/".join(parts[len(above) :] if parts[: len(above)] == above else parts)
