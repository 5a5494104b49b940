"""Reads the lists of PaddleClas: a line per picture with its path and a 0 or 1 for each label."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from lcnet.data.dataset import POSITIVE
from lcnet.data.readers.checks import unnamed, unreadable
from lcnet.data.readers.label_file import Asked, LabelFile, layout_of
from lcnet.data.readers.layout import Given
from lcnet.data.readers.listing import Listing, Row, listing_of, near_of
from lcnet.errors import DataError

NAMES = ("label_list.txt", "labels.txt", "label_map.txt", "classes.txt", "class_names.txt")
"""Files beside a list, or above it, that may name the labels: a line each, `cat` or `0 cat`."""
LINE = re.compile(r"(?P<picture>\S.*?)[ \t]+(?P<values>[^\s,]+(?:,[^\s,]+)+)\s*")
VECTOR = re.compile(r"[01](,[01])+")
HEAD_BYTES = 4096
MOST_FILES = 200


def said(lines: Sequence[str], asked: Asked) -> Listing:
    """The pictures of a list; a label is present where its place has a 1.

    The labels are named by a file of names beside the list; without one they are `label_1` and so
    on. Raises DataError for a line that has not as many values as there are labels.
    """
    rows = list(_rows(lines, asked.where))
    if not rows:
        raise DataError(f"{asked.where}: no rows. Write a path and the labels on each line.")
    count = len(rows[0][1])
    named, names = _names(asked)
    if names and len(names) != count:
        raise DataError(
            f"{asked.where}: expected a value for each of the {len(names)} names in {named}, got "
            f"{count}. Correct {named}."
        )
    notes = () if names else ("no file of label names: they are called label_1 and so on",)
    names = names or unnamed(count)
    listed = []
    for picture, values, where in rows:
        if len(values) != count:
            raise DataError(
                f"{where}: expected {count} values, as in the first line, got {len(values)}. "
                "Correct the line."
            )
        shown = {name: POSITIVE for name, value in zip(names, values, strict=True) if value == "1"}
        listed.append(Row(picture, shown, where))
    return listing_of(
        asked.where, listed, names, near=near_of(asked.file, Path(asked.file).stem), notes=notes
    )


def _rows(lines: Sequence[str], where: str) -> Iterator[tuple[str, list[str], str]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        here, match = f"{where}:{number}", LINE.fullmatch(line)
        if match is None or not VECTOR.fullmatch(match["values"]):
            raise DataError(
                f"{here}: expected a path and a 0 or 1 for each label, such as 'a.jpg 0,1,1', got "
                f"{line[:80]!r}. Correct the line."
            )
        yield match["picture"], match["values"].split(","), here


def _names(asked: Asked) -> tuple[str, tuple[str, ...]]:
    """The file of names, and its names; both empty if there is none."""
    folder = (asked.root / asked.file).parent
    for file in (place / name for place in (folder, asked.root) for name in NAMES):
        if file.is_file():
            lines = [line.strip() for line in _lines(file, file.name) if line.strip()]
            numbered = [re.fullmatch(r"(\d+)[\s:,]+(.+)", line) for line in lines]
            found = [match for match in numbered if match]
            if [match[1] for match in found] == [str(number) for number in range(len(lines))]:
                return file.name, tuple(match[2] for match in found)
            return file.name, tuple(lines)
    return "", ()


def _lines(path: Path, where: str) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise unreadable(where, "UTF-8 text", error) from None


def _found(given: Given) -> list[str]:
    names = [name for name in given.below if name.lower().endswith(".txt")]
    return [name for name in names[:MOST_FILES] if _is_list(given.root / name)]


def _is_list(path: Path) -> bool:
    """Whether the first line of a file is a path with a 0 or 1 for each of several labels."""
    try:
        with path.open("rb") as opened:
            first = opened.read(HEAD_BYTES).decode("utf-8-sig", "ignore").partition("\n")[0]
    except OSError:
        return False
    match = LINE.fullmatch(first)
    return match is not None and VECTOR.fullmatch(match["values"]) is not None


PADDLECLAS = layout_of(LabelFile("paddleclas", "PaddleClas list", said, _found, _lines))
