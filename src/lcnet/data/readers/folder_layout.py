"""Recognises folders of pictures: a folder per label, inside a folder per split or not."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from lcnet.config import Data
from lcnet.data.decoding import PICTURE_SUFFIXES
from lcnet.data.readers.folder import read_folder
from lcnet.data.readers.layout import Given, Layout, Recognised, by_role, role_of
from lcnet.errors import DataError

# fmt: off
NO_LABELS = frozenset((
    "annotation", "annotations", "data", "image", "images", "img", "imgs", "jpegimages", "labels",
    "masks", "photos", "pictures", "pics",
))
# fmt: on
"""Names of folders that hold the parts of a data set, in lower case."""
LABEL_FILES = frozenset((".csv", ".json", ".jsonl", ".parquet", ".tsv", ".xml", ".yaml", ".yml"))
"""Suffixes of files that may say the labels, so that folders are not taken for labels."""


def recognise_folders(given: Given) -> Recognised | None:
    """A folder with a folder of pictures per label, or with a folder of those per split.

    Raises DataError if there is a file of labels as well, unless the settings say `folder`.
    """
    if given.file:
        return None
    splits = {
        role: names[0]
        for role, names in by_role(given.folders).items()
        if len(names) == 1 and len(_labels(given.root / names[0])) > 1
    }
    if splits and "train" not in splits:
        return None
    if "train" in splits:
        _check_alone(given, [given.root, *(given.root / name for name in splits.values())])
        data = replace(
            given.data,
            format="folder",
            root=str(given.root),
            train=splits["train"],
            val=splits.get("val", ""),
            test=splits.get("test", ""),
        )
        return Recognised(data, _said(f"folders {', '.join(splits.values())}", given, data))
    whole = given.root.resolve()
    labels = _labels(whole)
    named = [name for name in labels if role_of(name) or name.lower() in NO_LABELS]
    if len(labels) < 2 or (named and given.data.format != "folder"):
        return None
    _check_alone(given, [whole, *(whole / name for name in labels)])
    data = replace(
        given.data, format="folder", root=str(given.root.parent), train=whole.name, val="", test=""
    )
    if given.root.name != whole.name:
        data = replace(data, root=str(whole.parent))
    return Recognised(data, _said(f"folder {whole.name}", given, data))


def _check_alone(given: Given, folders: Iterable[Path]) -> None:
    if given.data.format == "folder":
        return
    for folder in folders:
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in LABEL_FILES and not path.name.startswith("."):
                raise DataError(
                    f"{given.path}: the folders can be labels, but {path.name} is there too and is "
                    "no label file that lcnet knows. Set --data.format folder if the folders are "
                    "the labels."
                )


def _labels(folder: Path) -> list[str]:
    """The folders with a picture in them."""
    return sorted(
        inside.name
        for inside in folder.iterdir()
        if inside.is_dir() and not inside.name.startswith(".") and _has_picture(inside)
    )


def _has_picture(folder: Path) -> bool:
    return any(
        path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")
        for path in folder.rglob("*")
    )


def _has_own_picture(folder: Path) -> bool:
    return any(path.suffix.lower() in PICTURE_SUFFIXES for path in folder.iterdir())


def _said(where: str, given: Given, data: Data) -> str:
    labels = _labels(Path(data.root, data.train))
    shown = ", ".join(labels[:5]) + ", ..." * (len(labels) > 5)
    inside = next(
        (name for name in labels if not _has_own_picture(Path(data.root, data.train, name))), ""
    )
    return f"{where}: a folder per label, {len(labels)} labels ({shown})" + (
        f"; the pictures of {inside} lie in folders inside it" if inside else ""
    )


FOLDER = Layout(
    "folder",
    lambda data, split, labels: read_folder(Path(data.root), split, labels),
    recognise_folders,
    is_general=True,
)
