"""Reads Pascal VOC: lists of pictures per split, and an XML file of objects per picture."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from lcnet.data.dataset import Sample, Split
from lcnet.data.readers.checks import (
    check_known,
    check_labels,
    check_root,
    missing_split,
    targets_of,
)
from lcnet.data.readers.layout import ROLES, Given, Recognised
from lcnet.data.readers.listing import counted, files_by_role, recognised, shown, split_of
from lcnet.data.readers.locating import Place
from lcnet.data.readers.voc_folder import is_xml_folder, read_xml_folder, xml_folders
from lcnet.data.readers.voc_lists import (
    LISTS,
    PICTURES,
    listed_ids,
    read_lists,
    splits_in,
    splits_of_labels,
)
from lcnet.data.readers.voc_objects import Difficult, mark, objects_of, suffix_of
from lcnet.data.readers.xml_file import read_xml
from lcnet.errors import DataError

LABELS = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
"""The labels of all VOC years, in alphabetical order, as the challenge lists them."""
DEVKIT = "VOCdevkit"
ANNOTATIONS = "Annotations"
INSIDE = "JPEGImages/, Annotations/ and ImageSets/Main/"


def read_voc(
    root: Path,
    split: str,
    labels: Sequence[str] | None = None,
    *,
    difficult: Difficult = "unknown",
    place: Place | None = None,
) -> Split:
    """The pictures listed in `ImageSets/Main/{split}.txt`, with the labels of their objects.

    `root` is the folder of a year, or contains one such folder as `VOC2007` or `VOCdevkit/VOC2007`.
    If `root/{split}` contains one, as in the release, that one is read. A label is present if an
    object that is not difficult has it; if only difficult objects have it, `difficult` decides.
    Pictures are `JPEGImages/{id}.jpg`, or have the suffix given in `<filename>`. Without `labels`,
    they are the sorted names of all objects in `Annotations` (of any split); of the challenge's own
    folders, such as `VOC2007`, they are VOC's 20.

    Without `Annotations` the labels are those that have a list, such as `cat_train.txt` (1 present,
    -1 absent, 0 difficult). If `root/{split}` is a folder of XML files, each is that of a picture.
    Only of these two, `place` says where the pictures are. Raises DataError for files that are
    missing, are not VOC or have an object of another label.
    """
    check_root(root, INSIDE)
    if is_xml_folder(root / split):
        return split_of(read_xml_folder(root, split, difficult), root, split, labels, place)
    year, together = _year_folders(root, split)
    if not (year / ANNOTATIONS).is_dir():
        if split not in splits_of_labels(year / LISTS):
            raise missing_split(year / LISTS / f"*_{split}.txt", split, splits_in(year / LISTS))
        listing = read_lists(year, split, difficult, _near(year, root))
        return split_of(listing, root, split, labels, place)
    return _read_year(root, split, labels, year, together, difficult)


def recognise_voc(given: Given) -> Recognised | None:
    """Folders of VOC; None if there is none."""
    if given.file:
        return None
    root = given.root
    years = [root] if _is_year(root) else [*_years(root), *_years(root, "*/")]
    if not years:
        return _recognise_folders(given)
    of_splits = {year.relative_to(root).parts[0] for year in _years(root, "*/")}
    if of_splits and len(of_splits) == len(years):
        names = sorted(of_splits)
    else:
        folder = _only(years, root) / LISTS
        names = splits_in(folder) if _has_xml(years[0]) else splits_of_labels(folder)
    files = files_by_role(given, names, "list")
    difficult = given.data.difficult
    if not _has_xml(years[0]):
        return recognised(
            given,
            "voc",
            files,
            lambda name: read_lists(years[0], name, difficult, _near(years[0], root)),
            title="VOC, lists without XML",
        )
    counts, left = {}, []
    for role, name in list(files.items()):
        year, together = _year_folders(root, name)
        listed = listed_ids(_list_of(year, name))
        if not (year / ANNOTATIONS / f"{next(iter(listed))}.xml").is_file() and role == "test":
            left.append(f"; {name} has no annotations and is left out")
            del files[role]
            continue
        counts[role] = f"{role} {name} with {counted(len(listed), 'picture')}"
    labels = _names(together, root)
    splits = {role: files.get(role, "") for role in ROLES}
    said = f"VOC: {', '.join(counts.values())}, {counted(len(labels), 'label')} ({shown(labels)})"
    return Recognised(
        replace(given.data, format="voc", root=str(root), **splits),  # type: ignore[arg-type]
        said + "".join(left),
    )


def _recognise_folders(given: Given) -> Recognised | None:
    names = list(xml_folders(given.root))
    if not names:
        return None
    files = files_by_role(given, names, "folder of XML files")
    return recognised(
        given,
        "voc",
        files,
        lambda name: read_xml_folder(given.root, name, given.data.difficult),
        title="VOC, an XML file per picture",
    )


def _read_year(
    root: Path,
    split: str,
    labels: Sequence[str] | None,
    year: Path,
    together: list[Path],
    difficult: Difficult,
) -> Split:
    listed = listed_ids(_list_of(year, split))
    order = check_labels(_names(together, root) if labels is None else labels, "labels")
    samples, marks_of = [], []
    for identity, source in listed.items():
        file = year / ANNOTATIONS / f"{identity}.xml"
        name_of_file = _relative(file, root)
        picture = read_xml(file, name_of_file, source)
        path = year / PICTURES / f"{identity}{suffix_of(picture)}"
        marks: dict[str, int] = {}
        for name, is_difficult, where in objects_of(picture, name_of_file):
            check_known(name, order, where)
            mark(marks, name, difficult if is_difficult else None)
        samples.append(Sample(path, source))
        marks_of.append(marks)
    return Split(order, tuple(samples), targets_of(marks_of, order), split)


def _near(year: Path, root: Path) -> tuple[str, ...]:
    return (_relative(year / PICTURES, root), _relative(year / "images", root), "")


def _year_folders(root: Path, split: str) -> tuple[Path, list[Path]]:
    """The folder of the year that has `split`, and all folders that share its labels."""
    of_splits = _years(root, "*/")
    splits = {year.relative_to(root).parts[0] for year in of_splits}
    if split in splits:
        return _only([year for year in of_splits if root / split in year.parents], root), of_splits
    if _is_year(root):
        return root, [root]
    years = _years(root)
    if splits and not years:
        raise missing_split(root / split / DEVKIT, split, splits)
    return _only(years, root), years


def _years(root: Path, below: str = "") -> list[Path]:
    return [
        folder
        for pattern in ("VOC[0-9]*", f"{DEVKIT}/VOC[0-9]*")
        for folder in sorted(root.glob(below + pattern))
        if _is_year(folder)
    ]


def _only(years: list[Path], root: Path) -> Path:
    if len(years) != 1:
        got = " and ".join(str(year.relative_to(root)) for year in years) or "none"
        raise DataError(
            f"data.root: expected {INSIDE} in {root}, or one year's folder that has them (one for "
            f"all splits, or one in each split's folder), got {got}. "
            "Set --data.root to the folder of a year, or move the others away."
        )
    return years[0]


def _is_year(folder: Path) -> bool:
    lists = folder / LISTS
    return lists.is_dir() and ((folder / ANNOTATIONS).is_dir() or bool(splits_of_labels(lists)))


def _has_xml(year: Path) -> bool:
    return (year / ANNOTATIONS).is_dir()


def _list_of(year: Path, split: str) -> Path:
    path = year / LISTS / f"{split}.txt"
    if not path.is_file():
        raise missing_split(path, split, splits_in(path.parent))
    return path


def _names(years: Iterable[Path], root: Path) -> Sequence[str]:
    """VOC's own labels in its own folders, otherwise the names of all objects."""
    years = list(years)
    names = {
        name
        for year in years
        for path in sorted((year / ANNOTATIONS).glob("*.xml"))
        for name, _, _ in objects_of(read_xml(path, _relative(path, root)), _relative(path, root))
    }
    released = all(re.fullmatch(r"VOC\d{4}", year.resolve().name) for year in years)
    return LABELS if not names or (released and names <= set(LABELS)) else sorted(names)


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
