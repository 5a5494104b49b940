"""Reads a folder of VOC's XML files without lists, as LabelImg and Roboflow write them."""

from collections.abc import Iterator
from pathlib import Path

from lcnet.data.decoding import PICTURE_SUFFIXES
from lcnet.data.readers.listing import Listing, check_path, counted, near_of
from lcnet.data.readers.voc_objects import Difficult, mark, objects_of, suffix_of
from lcnet.data.readers.xml_file import read_xml
from lcnet.errors import DataError

ANNOTATION = "annotation"
"""The root element of an XML file of VOC."""


def xml_files(folder: Path) -> list[Path]:
    """The XML files in a folder, sorted."""
    found = (path for path in folder.glob("*.[xX][mM][lL]") if not path.name.startswith("."))
    return sorted(found)


def is_xml_folder(folder: Path) -> bool:
    """Whether the first XML file in a folder is one of VOC."""
    files = xml_files(folder)
    try:
        return bool(files) and read_xml(files[0], files[0].name).tag == ANNOTATION
    except DataError:
        return False


def xml_folders(root: Path) -> Iterator[str]:
    """The folders with XML files of VOC: the root as `.`, those in it, and those below these."""
    for pattern in (".", "*", "*/*"):
        for folder in sorted(root.glob(pattern)) if pattern != "." else [root]:
            if folder.is_dir() and folder.name[:1] != "." and is_xml_folder(folder):
                yield folder.relative_to(root).as_posix()


def read_xml_folder(root: Path, split: str, difficult: Difficult) -> Listing:
    """The picture of each XML file in the folder `split`, with the labels of its objects.

    A picture has the name of its XML file. One without an XML file is left out, since it may not
    have been annotated yet. The labels are the sorted names of the objects.
    """
    pictures, marks_of, sources = [], [], []
    first: dict[str, str] = {}
    files = xml_files(root / split)
    for file in files:
        where = file.relative_to(root).as_posix()
        picture = read_xml(file, where)
        marks: dict[str, int] = {}
        for name, is_difficult, here in objects_of(picture, where):
            first.setdefault(name, here)
            mark(marks, name, difficult if is_difficult else None)
        pictures.append(check_path(file.stem + suffix_of(picture, ""), where))
        marks_of.append(marks)
        sources.append(where)
    near = near_of(f"{split.removeprefix('.').strip('/')}/x".strip("/"), "JPEGImages", "images")
    notes = _left(root / split, {file.stem for file in files})
    order = tuple(sorted(first))
    return Listing(split, order, pictures, marks_of, sources, first, near, notes)


def _left(folder: Path, annotated: set[str]) -> tuple[str, ...]:
    suffixes = PICTURE_SUFFIXES
    pictures = (path for path in folder.iterdir() if path.suffix.lower() in suffixes)
    left = sum(path.stem not in annotated for path in pictures)
    return (f"{counted(left, 'picture')} without an XML file left out.",) if left else ()
