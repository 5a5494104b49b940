"""What a layout of a data set is: how it is recognised and how it is read."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from lcnet.config import Data
from lcnet.data.dataset import Split
from lcnet.data.decoding import PICTURE_SUFFIXES

DEEPEST = 2
"""Folders below the root in which label files are looked for."""
ROLES = {
    "train": ("train", "training", "trn", "trainval", "trainset"),
    "val": ("val", "valid", "validation", "dev", "validate", "valset"),
    "test": ("test", "testing", "tst", "testset", "holdout"),
}
"""The words by which a file, folder or cell says which split it is."""


@dataclass(frozen=True)
class Given:
    """What the user named: a folder or a file, and settings that decide between readings."""

    path: Path
    data: Data = field(default_factory=Data)
    """The settings that were given; all others have their defaults."""

    @property
    def root(self) -> Path:
        """The folder, or the folder of the file."""
        return self.path if self.path.is_dir() else self.path.parent

    @property
    def file(self) -> str:
        """The name of the file; empty for a folder."""
        return "" if self.path.is_dir() else self.path.name

    @cached_property
    def files(self) -> tuple[str, ...]:
        """The names of the files in the root, or of the given file alone, sorted."""
        if self.file:
            return (self.file,)
        return tuple(sorted(entry.name for entry in self._entries if entry.is_file()))

    @cached_property
    def folders(self) -> tuple[str, ...]:
        """The names of the folders in the root, sorted."""
        return tuple(sorted(entry.name for entry in self._entries if entry.is_dir()))

    @cached_property
    def below(self) -> tuple[str, ...]:
        """The files in the root and up to two folders below that are no pictures, sorted.

        They are relative to the root, with `/`. Of a given file it is that file alone.
        """
        return (self.file,) if self.file else tuple(sorted(_below(self.root, "", DEEPEST)))

    @cached_property
    def _entries(self) -> list["os.DirEntry[str]"]:
        with os.scandir(self.root) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]


def _below(root: Path, inside: str, levels: int) -> Iterator[str]:
    try:
        with os.scandir(root / inside) as entries:
            found = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError:
        return
    for entry in found:
        if entry.is_dir():
            if levels:
                yield from _below(root, f"{inside}{entry.name}/", levels - 1)
        elif Path(entry.name).suffix.lower() not in PICTURE_SUFFIXES:
            yield f"{inside}{entry.name}"


@dataclass(frozen=True)
class Recognised:
    """How a data set is read."""

    data: Data
    """The settings that read it in this way.

    `train`, `val` and `test` are the splits that it has; empty for those that it has not. If it has
    only one split, that is `train`.
    """
    said: str
    """One line that says what was understood: file, pictures, labels, what is left alone."""


@dataclass(frozen=True)
class Layout:
    """A way in which the pictures and labels of a data set are stored."""

    name: str
    """Its value of `data.format`."""
    read: Callable[[Data, str, Sequence[str] | None], Split]
    """Reads a split, with targets in the order of the labels, or of its own if None."""
    recognise: Callable[[Given], Recognised | None] = lambda given: None
    """How the given folder or file is read in this layout; None if it is another layout.

    Raises DataError if it is of this layout but cannot be read or has several readings.
    """
    has_part: Callable[[Data, str, str], bool] = lambda data, file, part: False
    """Whether a file says itself which pictures are in a part of it, so that `read` takes
    `file[part]`."""
    is_general: bool = False
    """Whether much fits it, so that it is tried only if no other layout fits."""


def role_of(name: str) -> str:
    """The role that a name of a file, folder or split says: train, val or test; empty if none.

    `instances_val2017.json`, `valid` and `my-dev-set` are all val.
    """
    words = set(re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()))
    found = [role for role, known in ROLES.items() if words & set(known)]
    return found[0] if len(found) == 1 else ""


def by_role(names: Iterable[str]) -> dict[str, list[str]]:
    """The names of each role, in their order; names without a role are left out."""
    roles: dict[str, list[str]] = {}
    for name in names:
        if role := role_of(Path(name).name) or role_of(name):
            roles.setdefault(role, []).append(name)
    return roles
