"""Layouts whose labels are in a file for each split, or in one file that says the splits."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lcnet.config import Data
from lcnet.data.dataset import Split
from lcnet.data.dividing import whole_and_part
from lcnet.data.readers.checks import check_root, missing_split
from lcnet.data.readers.json_file import (
    State,
    forget_json,
    outlines,
    read_json,
    remembered,
    state_of,
)
from lcnet.data.readers.layout import Given, Layout, Recognised, role_of
from lcnet.data.readers.listing import Listing, files_by_role, given_place, recognised, split_of
from lcnet.errors import DataError

PICTURES, OBJECTS = "pictures", "objects"
"""The two values of `data.labels_in` that all layouts with boxes take."""


@dataclass(frozen=True)
class Asked:
    """Which label file is read, and the settings that decide between readings."""

    file: str
    """Relative to the root."""
    root: Path
    part: str = ""
    """The part of it that is a split; empty for all."""
    labels_in: str = ""
    picture: str = ""
    columns: tuple[str, ...] = ()
    separator: str = ""
    unknown: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """The file, as messages call it."""
        folder, _, name = self.file.rpartition("/")
        return self.file if role_of(folder) else name


@dataclass(frozen=True)
class LabelFile:
    """A sort of label file."""

    form: str
    """Its value of `data.format`."""
    title: str
    """What users call it."""
    said: Callable[[Any, Asked], Listing]
    """What the content of a file says."""
    found: Callable[[Given], Sequence[str]]
    """The files of this sort."""
    load: Callable[[Path, str], Any] = read_json
    parts: Callable[[Any], Iterable[str]] = lambda content: ()
    """The parts of a file that are splits; not asked of a file that is a split by its name."""


def layout_of(kind: LabelFile) -> Layout:
    """The layout of a sort of label file.

    A split is a file, relative to the root, or a part of one, such as `labels.json[train]`.
    """

    @remembered
    def said(state: State, asked: Asked) -> Listing:
        try:
            return kind.said(kind.load(Path(state.path), asked.file), asked)
        except RecursionError:
            raise DataError(f"{asked.file}: values nested too deeply. Export it again.") from None
        finally:
            forget_json()

    def listing(data: Data, root: Path, split: str) -> Listing:
        file, part = file_and_part(root, split)
        table = data.table
        asked = Asked(
            file,
            root,
            part,
            data.labels_in,
            table.picture,
            tuple(table.labels),
            data.separator,
            tuple(table.unknown),
        )
        return said(state_of(root / file), asked)

    def read(data: Data, split: str, labels: Sequence[str] | None) -> Split:
        root = Path(data.root)
        return split_of(listing(data, root, split), root, split, labels, given_place(data))

    def recognise(given: Given) -> Recognised | None:
        names = kind.found(given)
        if not names:
            return None
        splits = [split for name in names for split in _splits(kind, given, name)]
        files = files_by_role(given, splits, f"{kind.title} file")
        return recognised(
            given,
            kind.form,
            files,
            lambda name: listing(given.data, given.root, name),
            title=kind.title,
        )

    def has_part(data: Data, file: str, part: str) -> bool:
        path = Path(data.root, file)
        return path.is_file() and part in kind.parts(kind.load(path, file))

    return Layout(kind.form, read, recognise, has_part)


def json_files(fits: Callable[[Any], bool]) -> Callable[[Given], list[str]]:
    """Finds the JSON files whose outline fits."""
    return lambda given: [name for name, content in outlines(given).items() if fits(content)]


def chosen(kinds: Mapping[str, str], asked: Asked) -> str:
    """Which of the places that have labels is read; `kinds` says what each is.

    Raises DataError if there is none, several, or not the one that was asked for.
    """
    there = [f"{name!r} ({what})" if what else repr(name) for name, what in kinds.items()]
    if asked.labels_in and asked.labels_in not in kinds:
        raise DataError(
            f"{asked.where}: expected labels in {asked.labels_in!r} (--data.labels_in), got them "
            f"in {' and '.join(there[:5]) or 'none'}. Set --data.labels_in to what there is."
        )
    if not kinds:
        raise DataError(f"{asked.where}: expected labels, got none. Label some pictures first.")
    if len(kinds) > 1 and not asked.labels_in:
        raise DataError(
            f"{asked.where}: expected labels in one place, got them in {' and '.join(there[:5])}. "
            "Set --data.labels_in to one of them."
        )
    return asked.labels_in or next(iter(kinds))


def either(of_pictures: bool, of_objects: bool, asked: Asked) -> str:
    """Whether labels of whole pictures or of objects are read, as `chosen` does."""
    kinds = {PICTURES: "labels of whole pictures"} if of_pictures else {}
    return chosen(kinds | ({OBJECTS: "labels of boxes or shapes"} if of_objects else {}), asked)


def entries(content: object, key: str, where: str) -> list[Any]:
    """The list under a key. Raises DataError if there is none."""
    value = content.get(key) if isinstance(content, dict) else None
    if not isinstance(value, list):
        raise DataError(f"{where}: expected a list under {key!r}, got none. Write the list.")
    return value


def record(value: object, where: str) -> dict[str, Any]:
    """An object of a JSON file. Raises DataError if it is something else."""
    if not isinstance(value, dict):
        raise DataError(
            f"{where}: expected an object, got {type(value).__name__}. Correct the entry."
        )
    return value


def name_at(index: object, names: Sequence[str], where: str) -> str:
    """The name of a label by its number from 0. Raises DataError for another number."""
    if type(index) is not int or not 0 <= index < len(names):
        raise DataError(
            f"{where}: expected the number of a label, 0 to {len(names) - 1}, got {index!r}. "
            "Correct it."
        )
    return names[index]


def names_of(value: object, where: str) -> tuple[str, ...]:
    """A list of label names. Raises DataError if it is none."""
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise DataError(f"{where}: expected a list of names, got {str(value)[:50]!r}. Correct it.")
    return tuple(value)


def file_and_part(root: Path, split: str) -> tuple[str, str]:
    """The file of a split and the part of it. Raises DataError if there is no such file."""
    check_root(root, split)
    if (root / split).is_file():
        return split, ""
    file, part = whole_and_part(split)
    if part and (root / file).is_file():
        return file, part
    raise missing_split(root / split, split, ())


def _splits(kind: LabelFile, given: Given, name: str) -> list[str]:
    if role_of(Path(name).name) or role_of(name):
        return [name]
    parts = [part for part in kind.parts(kind.load(given.root / name, name)) if role_of(part)]
    return [f"{name}[{part}]" for part in dict.fromkeys(parts)] or [name]
