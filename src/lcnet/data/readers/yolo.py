"""Reads YOLO: a text file of boxes beside each picture's folder, whose labels the picture gets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lcnet.config import Data
from lcnet.config.plain_yaml import read_yaml
from lcnet.data.dataset import POSITIVE, Split
from lcnet.data.decoding import PICTURE_SUFFIXES
from lcnet.data.dividing import whole_and_part
from lcnet.data.readers.checks import is_number, missing_split, unnamed, unreadable
from lcnet.data.readers.label_file import file_and_part, name_at
from lcnet.data.readers.layout import ROLES, Given, Layout, Recognised, role_of
from lcnet.data.readers.listing import (
    Listing,
    Row,
    counted,
    files_by_role,
    given_place,
    is_path,
    listing_of,
    place_of,
    shown,
    split_of,
)
from lcnet.data.readers.locating import Folders, Place, locate, within
from lcnet.errors import ConfigError, DataError

YAML = (".yaml", ".yml")
KEYS = {"train": "train", "val": "val", "valid": "val", "test": "test"}
NAMES = ("classes.txt", "obj.names", "data.names", "labels/classes.txt", "labels/train/classes.txt")
BOX_VALUES = 5
MOST_UNNAMED = 100_000


@dataclass(frozen=True)
class _Pictures:
    """The pictures of a split."""

    listing: Listing
    """Without marks."""
    place: Place | None
    """Where they are, if that is known."""


def _given(data: Data, listing: Listing, folders: Folders) -> Place | None:
    """Where the settings say that the pictures are; None if they say nothing."""
    place = given_place(data)
    return place and within(place, listing.pictures, folders)


def read_yolo(data: Data, split: str, labels: Sequence[str] | None = None) -> Split:
    """The pictures of a split, with the labels of the boxes in their text files.

    `split` is a folder of pictures or a list of them, relative to the root, or a key of a
    description, such as `data.yaml[train]`. The text file of `images/a.jpg` is `labels/a.txt`, or
    is beside it. A picture without one, or with an empty one, has no label. The names are those of
    the description, or of `classes.txt`; without names they are `label_1` and so on. Raises
    DataError for a line that is no box, and if no picture of the split has a text file.
    """
    root = Path(data.root)
    pictures = _pictures(root, split)
    listing, folders = pictures.listing, Folders(root)
    place = pictures.place or _given(data, listing, folders) or place_of(listing, folders, split)
    files = [_labels_of(Path(file)) for file in locate(listing.pictures, folders, place).files]
    without = files.count(None)
    if without == len(files):
        raise DataError(
            f"{split}: expected a text file of boxes for its pictures, got none for "
            f"{listing.pictures[0]}. Put them into labels/ in place of images/, or beside them."
        )
    numbers = [_numbers(file, root) if file else {} for file in files]
    names, notes = _names(root, split), list(listing.notes)
    if not names:
        names = unnamed(1 + max((one for found in numbers for one in found), default=0))
        notes.append("no names of labels: label_1 is number 0")
    if without:
        notes.append(f"{counted(without, 'picture')} without a text file: no label")
    rows = [
        Row(
            picture,
            {name_at(number, names, where): POSITIVE for number, where in found.items()},
            str(file.relative_to(root)) if file and file.is_relative_to(root) else source,
        )
        for picture, found, file, source in zip(
            listing.pictures, numbers, files, listing.sources, strict=True
        )
    ]
    made = listing_of(split, rows, names, near=listing.near, notes=notes)
    return split_of(made, root, split, labels, place)


def recognise_yolo(given: Given) -> Recognised | None:
    """YOLO with a description, or folders of pictures beside folders of boxes."""
    splits = _described(given) or _folders(given)
    if not splits:
        return None
    files = files_by_role(given, splits, "YOLO split")
    found, said = _existing(given.root, files)
    kept, seen = {}, set()
    for role, pictures in found.items():
        listed = tuple(pictures.listing.pictures)
        if role != "train" and (listed in seen or not _has_labels(given, pictures)):
            reason = "the same pictures" if listed in seen else "no text files of boxes"
            said.append(f"{files[role]} has {reason} and is left out")
            continue
        seen.add(listed)
        kept[role] = f"{role} {files[role]} with {counted(len(listed), 'picture')}"
    names = _names(given.root, files["train"])
    labels = f"{counted(len(names), 'label')} ({shown(names)})" if names else "labels without names"
    data = replace(
        given.data,
        format="yolo",
        root=str(given.root),
        **{role: files[role] if role in kept else "" for role in ROLES},  # type: ignore[arg-type]
    )
    return Recognised(data, "; ".join([f"YOLO: {', '.join([*kept.values(), labels])}", *said]))


def _described(given: Given) -> list[str]:
    """The splits of the descriptions, such as `data.yaml[train]`."""
    found = []
    for name in given.files:
        if Path(name).suffix.lower() in YAML:
            said = _description(given.root / name, quiet=not given.file)
            found += [f"{name}[{key}]" for key in KEYS if said.get("names") and said.get(key)]
    return found


def _folders(given: Given) -> list[str]:
    """Folders of pictures beside folders of boxes; lists of pictures beside a file of names."""
    root = given.root
    if given.file:
        return []
    if {"images", "labels"} <= set(given.folders):
        inside = sorted(path.name for path in (root / "images").iterdir() if path.is_dir())
        splits = [f"images/{name}" for name in inside if role_of(name)]
        usable = splits or ["images"]
        return usable if _any_boxes(root / "labels") else []
    splits = [name for name in given.folders if (root / name / "labels").is_dir()]
    splits = [f"{name}/images" for name in splits if (root / name / "images").is_dir()]
    if splits:
        return splits if any(_any_boxes((root / name).parent / "labels") for name in splits) else []
    if any((root / name).is_file() for name in NAMES if name.endswith(".names")):
        return [name for name in given.files if name.endswith(".txt") and role_of(name)]
    return []


def _any_boxes(folder: Path) -> bool:
    """Whether one of the first text files below a folder has a box."""
    for number, file in enumerate(folder.rglob("*.txt")):
        try:
            if file.name != "classes.txt" and _numbers(file, folder):
                return True
        except DataError:
            return False
        if number == 100:
            break
    return False


def _existing(root: Path, files: Mapping[str, str]) -> tuple[dict[str, _Pictures], list[str]]:
    """The pictures of each split, and what is wrong with those that cannot be read.

    Raises DataError if the training split cannot be read.
    """
    there, wrong = {}, []
    for role, name in files.items():
        try:
            there[role] = _pictures(root, name)
        except DataError as error:
            if role == "train":
                raise
            wrong.append(f"{role} is left out ({error})")
    return there, wrong


def _has_labels(given: Given, pictures: _Pictures) -> bool:
    listing, folders = pictures.listing, Folders(given.root)
    place = (
        pictures.place
        or _given(given.data, listing, folders)
        or place_of(listing, folders, listing.where)
    )
    sample = listing.pictures[:: max(1, len(listing.pictures) // 100)]
    return any(_labels_of(Path(file)) for file in locate(sample, folders, place).files)


def _pictures(root: Path, split: str) -> _Pictures:
    """The pictures of a split: of a folder, a list, or what a description says."""
    if (root / split).is_dir():
        return _Pictures(_in_folder(root, split, [split]), Place())
    file, part = file_and_part(root, split)
    if not part:
        return _Pictures(_in_list(root, file), None)
    if Path(file).suffix.lower() not in YAML:
        raise missing_split(root / split, split, ())
    places = _places(root, file, part)
    if any(path.is_file() for path in places):
        if len(places) > 1:
            raise DataError(f"{split}: expected one list or folders, got both. Name one.")
        return _Pictures(_in_list(root, _relative(places[0], root)), None)
    return _Pictures(_in_folder(root, split, [_relative(path, root) for path in places]), Place())


def _in_folder(root: Path, split: str, folders: Sequence[str]) -> Listing:
    found = [
        _relative(path, root)
        for folder in folders
        for path in sorted((root / folder).rglob("*"))
        if path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")
    ]
    if not found:
        raise DataError(f"{split}: expected pictures, got none. Correct the path.")
    return Listing(split, ("",), found, [{}] * len(found), [split] * len(found), {})


def _in_list(root: Path, file: str) -> Listing:
    lines = _lines(root / file, file)
    rows = [
        Row(line.strip(), {}, f"{file}:{number}")
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    folder = file.rpartition("/")[0]
    return listing_of(file, rows, ("label",), near=tuple(dict.fromkeys((folder, ""))))


def _places(root: Path, file: str, key: str) -> list[Path]:
    """The folders or the list that a key of a description names."""
    said = _description(root / file)
    value = said.get(key)
    values = value if isinstance(value, list) else [value]
    base = str(said.get("path") or "")
    found = []
    for entry in values:
        if not isinstance(entry, str) or not is_path(f"{base}/{entry}"):
            raise DataError(f"{file}: {key}: expected paths, got {entry!r}. Correct it.")
        # Roboflow writes ../train/images for train/images beside the file.
        inside = entry.removeprefix("../").removeprefix("./")
        tried = [root / base / inside, root / inside, root / base / entry, root / entry]
        there = [path for path in tried if path.exists()]
        if not there:
            raise DataError(
                f"{file}: {key}: no folder or list {entry!r}, also not below {base or '.'!r}. "
                "Correct the path."
            )
        if there[0].resolve() in root.resolve().parents:
            raise DataError(
                f"{file}: {key}: expected a folder of pictures, got {entry!r}, which holds the "
                "whole data set. Correct the path."
            )
        found.append(there[0])
    return found


def _description(path: Path, *, quiet: bool = False) -> dict[str, Any]:
    """What a YAML file says; `quiet` takes an unreadable one for no description."""
    try:
        said = read_yaml(path)
    except ConfigError as error:
        if quiet and not role_of(path.name) and path.stem not in ("data", "dataset"):
            return {}
        raise DataError(str(error)) from None
    return said if isinstance(said, dict) else {}


def _names(root: Path, split: str) -> tuple[str, ...]:
    """The names of the labels in the order of their numbers; empty if nothing says them."""
    file, part = whole_and_part(split)
    if part:
        return _described_names(_description(root / file), file)
    described = {
        path.name: names
        for path in sorted(root.iterdir())
        if path.suffix.lower() in YAML and path.is_file()
        if (names := _described_names(_description(path, quiet=True), path.name))
    }
    if len(set(described.values())) > 1:
        first, second = list(described)[:2]
        raise DataError(
            f"{split}: expected one file of names, got {first} and {second}, which differ. "
            f"Set --data.train to '{first}[train]' and the like."
        )
    if described:
        return next(iter(described.values()))
    for name in NAMES:
        if (root / name).is_file():
            lines = [line.strip() for line in _lines(root / name, name)]
            return tuple(line for line in lines if line)
    return ()


def _described_names(said: Mapping[str, Any], file: str) -> tuple[str, ...]:
    names = said.get("names")
    if not names:
        return ()
    if isinstance(names, dict):
        if sorted(map(str, names)) != sorted(map(str, range(len(names)))):
            raise DataError(
                f"{file}: names: expected the numbers 0 to {len(names) - 1}, got others. "
                "Number them again."
            )
        names = [names[number] for number in sorted(names, key=int)]
    if not isinstance(names, list) or not all(isinstance(name, str | int) for name in names):
        raise DataError(f"{file}: names: expected a list of names, got others. Correct it.")
    count = said.get("nc", len(names))
    if count != len(names):
        raise DataError(
            f"{file}: expected as many names as nc says, {count}, got {len(names)}. Correct it."
        )
    return tuple(str(name) for name in names)


def _labels_of(picture: Path) -> Path | None:
    """The text file of a picture; None if it has none."""
    parts = list(picture.parts)
    if "images" in parts:
        place = len(parts) - 1 - parts[::-1].index("images")
        file = Path(*parts[:place], "labels", *parts[place + 1 :]).with_suffix(".txt")
        if file.is_file():
            return file
    beside = picture.with_suffix(".txt")
    return beside if beside.is_file() else None


def _numbers(file: Path, root: Path) -> dict[int, str]:
    """The numbers of the labels in a text file, and where each is first."""
    where = _relative(file, root)
    found: dict[int, str] = {}
    for number, line in enumerate(_lines(file, where), start=1):
        if not line.strip():
            continue
        label, *values = line.split()
        if len(values) < BOX_VALUES - 1 or not _is_number(label) or not all(map(is_number, values)):
            raise DataError(
                f"{where}:{number}: expected the number of a label and a box, such as "
                f"'0 0.5 0.5 0.2 0.1', got {line[:60]!r}. Correct the line."
            )
        found.setdefault(int(label), f"{where}:{number}")
    return found


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 7 and int(text) < MOST_UNNAMED


def _lines(path: Path, where: str) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise unreadable(where, "UTF-8 text", error) from None


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _has_part(data: Data, file: str, part: str) -> bool:
    """Whether a split is a key of a description, such as `data.yaml[train]`."""
    return Path(file).suffix.lower() in (".yaml", ".yml")


YOLO = Layout("yolo", read_yolo, recognise_yolo, _has_part)
