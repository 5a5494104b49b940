"""What an XML file of VOC says of a picture: its suffix and its objects."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

from lcnet.data.dataset import NEGATIVE, POSITIVE, UNKNOWN
from lcnet.data.decoding import PICTURE_SUFFIXES
from lcnet.errors import DataError

Difficult = Literal["positive", "negative", "unknown"]
DIFFICULT = {"positive": POSITIVE, "negative": NEGATIVE, "unknown": UNKNOWN}


def suffix_of(picture: ElementTree.Element, otherwise: str = ".jpg") -> str:
    """The suffix of the picture's file, as its `<filename>` has it."""
    suffix = Path((picture.findtext("filename") or "").strip()).suffix
    return suffix if suffix.lower() in PICTURE_SUFFIXES else otherwise


def objects_of(picture: ElementTree.Element, file: str) -> Iterator[tuple[str, bool, str]]:
    """Each object's label, whether it is difficult, and where it is."""
    for number, entry in enumerate(picture.findall("object"), start=1):
        where = f"{file}: object {number}"
        name = (entry.findtext("name") or "").strip()
        difficult = entry.findtext("difficult", default="0").strip()
        if not name:
            raise DataError(f"{where}: expected a <name>, got none. Write the label's name.")
        if difficult not in ("0", "1"):
            raise DataError(
                f"{where}: expected 0 or 1 as <difficult>, got {difficult!r}. Correct it."
            )
        yield name, difficult == "1", where


def mark(marks: dict[str, int], name: str, difficult: Difficult | None) -> None:
    """Mark a label as present; with `difficult`, only if no other object has decided on it."""
    if difficult is None:
        marks[name] = POSITIVE
    else:
        marks.setdefault(name, DIFFICULT[difficult])
