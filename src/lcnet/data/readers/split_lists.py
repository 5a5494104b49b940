"""Reads lists beside a table that say which of its pictures are in a split, such as `val.txt`."""

from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePosixPath

from lcnet.data.dataset import Split
from lcnet.data.decoding import PICTURE_SUFFIXES
from lcnet.data.readers.checks import unreadable
from lcnet.data.readers.layout import ROLES, role_of
from lcnet.data.readers.table_file import TABLE_SUFFIXES

SEPARATORS = ",;\t|"
FEW = 1_000
"""Lines from which a list is told from a table."""
FOLDERS = ("", "splits", "split", "lists")
"""Folders beside the table in which the lists may lie."""


def lists_beside(table: Path) -> dict[str, Path]:
    """The list of each split, by role; none without one for training and one more."""
    for folder in FOLDERS:
        place = table.parent / folder
        found: dict[str, list[Path]] = {}
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            role = role_of(path.stem) if path.suffix.lower() in TABLE_SUFFIXES else ""
            if role and path != table and _is_list(path):
                found.setdefault(role, []).append(path)
        lists = {role: paths[0] for role, paths in found.items() if len(paths) == 1}
        if "train" in lists and len(lists) == len(found) > 1:
            return lists
    return {}


def split_lists(table: Path, example: str) -> dict[str, Path]:
    """The lists of a table's splits; none if they do not have a picture that the table lists."""
    lists = lists_beside(table)
    part_of = _part_of(lists)
    return lists if any(key in part_of for key in _keys(example)) else {}


def with_lists(split: Split, table: Path) -> Split:
    """The split with the part of each picture, if there are lists of its table."""
    if split.parts or not (part_of := _part_of(lists_beside(table))):
        return split
    parts = (
        next((part_of[key] for key in _keys(str(sample.path)) if key in part_of), "")
        for sample in split.samples
    )
    return replace(split, parts=tuple(parts))


def _part_of(lists: dict[str, Path]) -> dict[str, str]:
    """The split of each picture, by the end of its path that is listed, without the suffix."""
    found: dict[str, str] = {}
    for role in ROLES:
        if role in lists:
            found |= {_keys(line)[0]: role for line in _lines(lists[role])}
    return found


def _keys(path: str) -> list[str]:
    """The ends of a path, the longest first: `a/b/c`, `b/c` and `c`."""
    parts = PurePosixPath(path.strip().replace("\\", "/")).parts
    whole = [part for part in parts if part not in ("/", ".")]
    if whole:
        whole[-1] = PurePosixPath(whole[-1]).stem
    return ["/".join(whole[start:]) for start in range(len(whole))] or [""]


def _is_list(path: Path) -> bool:
    """Whether a file has a single column."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            lines = [line.strip() for line in islice(file, FEW) if line.strip()]
    except (OSError, ValueError):
        return False
    return bool(lines) and all(map(_is_one, lines))


def _is_one(line: str) -> bool:
    """Whether a line is the name of a picture and nothing else; a name may have blanks."""
    if any(sign in line for sign in SEPARATORS):
        return False
    return " " not in line or Path(line).suffix.lower() in PICTURE_SUFFIXES


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise unreadable(path.name, "the name of a picture a line", error) from None
    return [line for line in lines if line.strip()]
