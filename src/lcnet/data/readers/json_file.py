"""Reads JSON files, each only once, and shows what kind of file one is."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

from lcnet.data.readers.checks import unreadable
from lcnet.data.readers.layout import Given, role_of
from lcnet.errors import DataError

SETTLED = 1.0
"""Seconds after which a file's time of change tells whether it has changed again."""
SHOWN = 3
"""Entries of a list that an outline shows."""
SHOWN_KEYS = 100
"""Keys of an object that an outline shows."""
DEEPEST = 6
"""Levels of an outline."""
MOST_FILES = 200
"""Files of a folder that are looked at to recognise its layout."""
KEPT = 4
"""Label files whose pictures are kept, so that recognising and reading read each only once."""

Read = TypeVar("Read")
Asked = ParamSpec("Asked")


class State(NamedTuple):
    """A file, and what changes when its content does."""

    path: str
    size: int
    changed: int
    """In nanoseconds; 0 if it changed too recently to tell."""


def state_of(path: Path) -> State:
    """The state of a file. Raises DataError if there is no such file."""
    try:
        found = path.stat()
    except OSError as error:
        raise unreadable(path.name, "a file", error) from None
    settled = time.time() - found.st_mtime > SETTLED
    return State(str(path), found.st_size, found.st_mtime_ns if settled else 0)


_read: dict[State, Any] = {}
"""The file that was read last: several layouts look at it before one of them takes it."""
_outlines: dict[State, Any] = {}


def read_json(path: Path, where: str) -> Any:
    """The values in a JSON file, not to be changed. Raises DataError if it is no JSON."""
    state = state_of(path)
    if state in _read:
        return _read[state]
    _read.clear()
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise unreadable(where, "JSON", error) from None
    if state.changed:
        _read[state] = content
        _outlines[state] = _cut(content, DEEPEST)
    return content


def forget_json() -> None:
    """Give the memory of the file that was read last back."""
    _read.clear()


def outline(path: Path, where: str) -> Any:
    """The values in a JSON file, with only the first few of each list and no deep levels."""
    state = state_of(path)
    if state in _outlines:
        return _outlines[state]
    return _cut(read_json(path, where), DEEPEST)


def _cut(value: Any, levels: int) -> Any:
    if isinstance(value, dict):
        keys = list(value)[:SHOWN_KEYS]
        return {key: _cut(value[key], levels - 1) for key in keys} if levels else {}
    if isinstance(value, list):
        return [_cut(entry, levels - 1) for entry in value[:SHOWN]] if levels else []
    return value


def outlines(given: Given, suffix: str = ".json") -> dict[str, Any]:
    """The outline of each JSON file of what the user named, by its path relative to the root.

    Raises DataError for a file that is no JSON, if it is the given one or a split by its name.
    """
    names = [name for name in given.below if name.lower().endswith(suffix)]
    found: dict[str, Any] = {}
    for name in names[:MOST_FILES]:
        try:
            found[name] = outline(given.root / name, name)
        except DataError:
            if given.file or role_of(Path(name).name):
                raise
    return found


def remembered(
    read: Callable[Concatenate[State, Asked], Read],
) -> Callable[Concatenate[State, Asked], Read]:
    """The function, which keeps what it last said of a few files that have not changed."""
    kept: dict[object, Read] = {}

    def reading(state: State, /, *given: Asked.args, **named: Asked.kwargs) -> Read:
        asked = (state, *given, *named.items())
        if asked in kept:
            return kept[asked]
        said = read(state, *given, **named)
        if state.changed:
            if len(kept) >= KEPT:
                del kept[next(iter(kept))]
            kept[asked] = said
        return said

    return reading
