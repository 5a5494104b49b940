"""Reads CVAT's own XML for images: tags of pictures, boxes and shapes."""

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from lcnet.data.dataset import POSITIVE
from lcnet.data.readers.label_file import OBJECTS, PICTURES, Asked, LabelFile, either, layout_of
from lcnet.data.readers.layout import Given
from lcnet.data.readers.listing import Listing, Row, counted, listing_of, near_of
from lcnet.data.readers.xml_file import read_xml
from lcnet.errors import DataError

TAG = "tag"
SHAPES = ("box", "polygon", "polyline", "points", "ellipse", "mask", "cuboid", "skeleton")
HEAD_BYTES = 4096
MOST_FILES = 200


@dataclass(frozen=True)
class _Declared:
    name: str
    kind: str
    """What it is for: any, tag, rectangle and so on."""


def said(content: Element, asked: Asked) -> Listing:
    """The pictures of a file, or those of a subset, with the labels of their tags or their shapes.

    The labels are those that the task declares, in its order, as far as they are for what is read.
    Raises DataError if there are both tags and shapes and `data.labels_in` does not choose.
    """
    if content.find("track") is not None:
        raise DataError(
            f"{asked.where}: expected CVAT for images, got tracks of a video. "
            "Export it as 'CVAT for images 1.1'."
        )
    images = [image for image in content.iter("image") if asked.part in ("", _subset(image))]
    used = {
        PICTURES: {name for image in images for name, _ in _labels(image, (TAG,), "")},
        OBJECTS: {name for image in images for name, _ in _labels(image, SHAPES, "")},
    }
    kind = either(bool(used[PICTURES]), bool(used[OBJECTS]), asked)
    other = OBJECTS if kind == PICTURES else PICTURES
    declared = [
        label.name
        for label in _declared(content)
        if label.name in used[kind] or (label.name not in used[other] and _is_for(label.kind, kind))
    ]
    near = near_of(asked.file, *([asked.part] if asked.part else []))
    notes = [f"labels of {'tags' if kind == PICTURES else 'boxes and shapes'}"]
    if asked.part and (left := sum(not _subset(image) for image in content.iter("image"))):
        notes.append(f"{counted(left, 'picture')} of no subset left out")
    rows = _rows(images, (TAG,) if kind == PICTURES else SHAPES, asked)
    return listing_of(asked.where, rows, declared or None, near=near, notes=notes)


def _rows(images: list[Element], tags: tuple[str, ...], asked: Asked) -> Iterator[Row]:
    for number, image in enumerate(images):
        where = f"{asked.where}: image {image.get('id', number)}"
        marks = {name: POSITIVE for name, _ in _labels(image, tags, where)}
        yield Row(image.get("name"), marks, where)


def _labels(image: Element, tags: tuple[str, ...], where: str) -> Iterator[tuple[str, str]]:
    """The label of each tag or shape of a picture, and what it is of."""
    for element in image:
        if element.tag in tags:
            name = (element.get("label") or "").strip()
            if not name and where:
                raise DataError(f"{where}: expected a label of <{element.tag}>, got none. Add it.")
            if name:
                yield name, element.tag


def _declared(content: Element) -> Iterator[_Declared]:
    seen = set()
    for label in content.iterfind("./meta//labels/label"):
        name = (label.findtext("name") or "").strip()
        if name and name not in seen and label.find("parent") is None:
            seen.add(name)
            yield _Declared(name, (label.findtext("type") or "any").strip())


def _is_for(kind: str, wanted: str) -> bool:
    return kind == "any" or (kind == TAG) == (wanted == PICTURES)


def _subset(image: Element) -> str:
    return (image.get("subset") or "").strip()


def _parts(content: Element) -> Iterator[str]:
    return (_subset(image) for image in content.iter("image"))


def _found(given: Given) -> list[str]:
    names = [name for name in given.below if name.lower().endswith(".xml")]
    return [name for name in names[:MOST_FILES] if _is_cvat(given, name)]


def _is_cvat(given: Given, name: str) -> bool:
    try:
        with (given.root / name).open("rb") as opened:
            return b"<annotations>" in opened.read(HEAD_BYTES).replace(b" ", b"")
    except OSError:
        return False


CVAT = layout_of(LabelFile("cvat", "CVAT XML", said, _found, read_xml, _parts))
