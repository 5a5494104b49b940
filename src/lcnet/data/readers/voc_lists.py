"""Reads the lists of VOC alone: for each label a file that says which pictures show it."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from lcnet.data.dataset import NEGATIVE, POSITIVE
from lcnet.data.readers.checks import check_labels, unreadable
from lcnet.data.readers.listing import Listing, check_path
from lcnet.data.readers.voc_objects import DIFFICULT, Difficult
from lcnet.errors import DataError

LISTS = Path("ImageSets") / "Main"
PICTURES = "JPEGImages"


def splits_in(folder: Path) -> list[str]:
    """The splits that have a list; lists of single labels such as `cat_train` do not count."""
    stems = {path.stem for path in folder.glob("*.txt")}
    return sorted(stem for stem in stems if stem.rpartition("_")[2] not in stems - {stem})


def label_lists(folder: Path, split: str) -> dict[str, Path]:
    """The list of each label that has one for the split, sorted by label."""
    return {
        path.stem.removesuffix(f"_{split}"): path for path in sorted(folder.glob(f"*_{split}.txt"))
    }


def splits_of_labels(folder: Path) -> list[str]:
    """The splits that have lists of labels: train, val, trainval or test."""
    found = (re.search(r"_(train|val|trainval|test)$", path.stem) for path in folder.glob("*.txt"))
    return sorted({match[1] for match in found if match})


def listed_ids(path: Path) -> dict[str, str]:
    """The id of each picture in a list, and where it is listed."""
    return {identity: where for identity, _, where in _lines(path)}


def read_lists(year: Path, split: str, difficult: Difficult, near: tuple[str, ...]) -> Listing:
    """The pictures that the lists of a split have, with a mark for each label.

    In a list of a label 1 is present, -1 absent, and 0 difficult. Raises DataError if a list has
    another value, or not the same pictures as the others.
    """
    folder = year / LISTS
    lists = label_lists(folder, split)
    labels = check_labels(tuple(lists), f"{LISTS.as_posix()}/*_{split}.txt")
    whole = folder / f"{split}.txt"
    ids = listed_ids(whole if whole.is_file() else next(iter(lists.values())))
    marks: dict[str, dict[str, int]] = {identity: {} for identity in ids}
    first: dict[str, str] = {}
    values = {"1": POSITIVE, "-1": NEGATIVE, "0": DIFFICULT[difficult]}
    for label, path in lists.items():
        for identity, value, where in _lines(path):
            if value not in values:
                raise DataError(
                    f"{where}: expected 1, -1 or 0 after the id, got {value!r}. Correct the line."
                )
            if identity not in marks:
                raise DataError(
                    f"{where}: picture {identity!r} is not in the other lists. Drop it."
                )
            marks[identity][label] = values[value]
            first.setdefault(label, where)
    _check_whole(marks, lists)
    pictures = [check_path(identity, where) for identity, where in ids.items()]
    return Listing(split, labels, pictures, tuple(marks.values()), tuple(ids.values()), first, near)


def _check_whole(marks: Mapping[str, Mapping[str, int]], lists: Mapping[str, Path]) -> None:
    for identity, marked in marks.items():
        if len(marked) < len(lists):
            label = next(label for label in lists if label not in marked)
            raise DataError(
                f"{lists[label].name}: expected a line for each picture of the split, got none for "
                f"{identity!r}. Add it: 1, -1, or 0 for difficult."
            )


def _lines(path: Path) -> Iterable[tuple[str, str, str]]:
    """The id, what follows it, and the place of each line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise unreadable(path.name, "UTF-8 text", error) from None
    places: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        # The lists of single labels (`cat_train.txt`) have a second column; the id is the first.
        identity, *rest = line.split()
        where = f"{path.name}:{number}"
        if Path(identity).is_absolute() or ".." in Path(identity).parts:
            raise DataError(
                f"{where}: expected the id of a picture in {PICTURES}, got {identity!r}. "
                "Correct the line."
            )
        if identity in places:
            raise DataError(
                f"{where}: picture {identity!r} is already listed in {places[identity]}. Drop one."
            )
        places[identity] = where
        yield identity, " ".join(rest), where
    if not places:
        raise DataError(f"{path.name}: no rows. Write one picture id per line.")
