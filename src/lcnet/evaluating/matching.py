"""Matches pictures by name: those of a file of predictions with those of a data set or file."""

import os
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from lcnet.data.decoding import PICTURE_SUFFIXES
from lcnet.errors import DataError
from lcnet.evaluating.predictions import named

Places = NDArray[np.intp]


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
        places = np.flatnonzero(found >= 0)
        if len(places):
            return Match(places, found[places], by)
    raise DataError(
        f"{where}: expected pictures in common, got none; the first are {ours[0]!r} and "
        f"{theirs[0]!r}. Name the same pictures in both, or choose another split."
    )


class _Doubt(Exception):
    """A name that stands for several pictures."""


def _check_once(found: Places, ours: Sequence[str]) -> None:
    """Raise _Doubt if two of ours are one of theirs."""
    matched = np.sort(found[found >= 0])
    twice = matched[1:][matched[1:] == matched[:-1]]
    if len(twice):
        names = [ours[place] for place in np.flatnonzero(found == twice[0]).tolist()]
        raise _Doubt(f"{named(names)} for one picture")


Key = Callable[[str], str | None]
"""What a name is matched by; None: by nothing."""


def _joined(
    ours: Sequence[str],
    theirs: Sequence[str],
    our_key: Key,
    their_key: Key,
    *,
    found: Places | None = None,
) -> Places:
    """The place in theirs of each of ours that has its key, else -1; what is `found` stays.

    Only a number of each key is held, of 8 bytes. Raises _Doubt if several of theirs have it.
    """
    joined = np.full(len(ours), -1, dtype=np.intp) if found is None else found.copy()
    wanted, place_of_wanted = _numbers(ours, our_key)
    is_open = joined[place_of_wanted] < 0
    wanted, place_of_wanted = wanted[is_open], place_of_wanted[is_open]
    there, place_there = _numbers(theirs, their_key)
    order = np.argsort(there, kind="stable")
    there, place_there = there[order], place_there[order]
    first = np.searchsorted(there, wanted, "left")
    last = np.searchsorted(there, wanted, "right")
    for hit in np.flatnonzero(last > first).tolist():
        place = int(place_of_wanted[hit])
        key = our_key(ours[place])  # two keys can have one number
        near = place_there[first[hit] : last[hit]].tolist()
        same = [other for other in near if their_key(theirs[other]) == key]
        if len(same) > 1:
            raise _Doubt(f"{ours[place]!r}, which fits {len(same):,} pictures")
        joined[place] = same[0] if same else -1
    return joined


def _numbers(names: Sequence[str], key: Key) -> tuple[NDArray[np.int64], Places]:
    """A number for the key of each name that has one, and the places of these names."""
    numbers, places = array("q"), array("q")
    for place, name in enumerate(names):
        if (one := key(name)) is not None:
            numbers.append(hash(one))
            places.append(place)
    return np.array(numbers, dtype=np.int64), np.array(places, dtype=np.intp)


def _by_path(ours: Sequence[str], theirs: Sequence[str], root: str) -> Places:
    def key(name: str) -> str:
        return os.path.abspath(name)  # noqa: PTH100 -- resolve() would ask the disk

    return _joined(ours, theirs, key, key)


def _by_relative_path(ours: Sequence[str], theirs: Sequence[str], root: str) -> Places:
    """By paths of which one ends in the other; the longest end counts."""
    ends = tails = np.full(len(ours), -1, dtype=np.intp)
    for depth in _depths(ours, ""):
        ends = _joined(
            ours, theirs, partial(_whole, depth=depth), partial(_tail, depth=depth), found=ends
        )
    for depth in _depths(theirs, root):
        inside = partial(_whole, depth=depth, root=root)
        tails = _joined(ours, theirs, partial(_tail, depth=depth), inside, found=tails)
    return np.where(ends >= 0, ends, tails)


def _by_file_name(ours: Sequence[str], theirs: Sequence[str], root: str) -> Places:
    def key(name: str) -> str:
        return (_parts(name) or [""])[-1]

    return _joined(ours, theirs, key, key)


def _by_stem(ours: Sequence[str], theirs: Sequence[str], root: str) -> Places:
    def key(name: str) -> str:
        file = PurePath((_parts(name) or [""])[-1])
        return file.stem if file.suffix.lower() in PICTURE_SUFFIXES else file.name

    return _joined(ours, theirs, key, key)


_WAYS: Mapping[str, Callable[[Sequence[str], Sequence[str], str], Places]] = {
    "path": _by_path,
    "relative path": _by_relative_path,
    "file name alone": _by_file_name,
    "file name without suffix": _by_stem,
}


def _depths(names: Sequence[str], root: str) -> list[int]:
    """The numbers of parts that paths inside `root` have, the largest first."""
    return sorted({len(_inside(name, root)) for name in names} - {0}, reverse=True)


def _whole(name: str, *, depth: int, root: str = "") -> str | None:
    """The path inside `root`, if it has so many parts."""
    parts = _inside(name, root)
    return "/".join(parts) if len(parts) == depth else None


def _tail(name: str, *, depth: int) -> str | None:
    """The last parts of a path, if it has so many."""
    parts = _parts(name)
    return "/".join(parts[-depth:]) if len(parts) >= depth else None


def _parts(name: str) -> list[str]:
    return [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]


def _inside(name: str, root: str) -> list[str]:
    parts, above = _parts(name), _parts(root)
    return parts[len(above) :] if parts[: len(above)] == above else parts
