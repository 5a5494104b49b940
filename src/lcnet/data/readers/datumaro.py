"""Reads Datumaro's JSON: a file per subset that lists items with annotations."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from lcnet.data.dataset import POSITIVE
from lcnet.data.readers.label_file import (
    PICTURES,
    Asked,
    LabelFile,
    either,
    entries,
    json_files,
    layout_of,
    name_at,
    record,
)
from lcnet.data.readers.listing import Listing, Row, is_path, listing_of, near_of

LABEL = "label"
SHAPES = ("bbox", "polygon", "polyline", "mask", "points", "ellipse", "rotated_bbox")


def said(content: Any, asked: Asked) -> Listing:
    """The items of a file with the labels of whole pictures, or with those of boxes and shapes.

    The labels are those of `categories`. Raises DataError if there are both and `data.labels_in`
    does not choose.
    """
    where = asked.where
    content = record(content, where)
    categories = record(content.get("categories"), f"{where}: categories")
    declared = entries(categories.get(LABEL), "labels", f"{where}: categories.label")
    names = [str(record(entry, f"{where}: categories").get("name", "")) for entry in declared]
    items = [
        record(item, f"{where}: items[{number}]")
        for number, item in enumerate(entries(content, "items", where))
    ]
    places = [f"{where}: item {item.get('id')!r}" for item in items]
    kinds = {
        kind for item, here in zip(items, places, strict=True) for kind, _ in _labelled(item, here)
    }
    kind = either(LABEL in kinds, bool(kinds - {LABEL}), asked)
    tags = (LABEL,) if kind == PICTURES else SHAPES
    rows = [_row(item, tags, names, here) for item, here in zip(items, places, strict=True)]
    notes = [f"labels of {'whole pictures' if kind == PICTURES else 'boxes and shapes'}"]
    near = near_of(asked.file, Path(asked.file).stem)
    listing = listing_of(where, rows, names, near=near, notes=notes)
    identities = [item.get("id") for item in items]
    usable = all(isinstance(one, str) and is_path(one) for one in identities)
    return replace(listing, other=[str(identity) for identity in identities] if usable else ())


def _row(item: dict[str, Any], tags: tuple[str, ...], names: list[str], where: str) -> Row:
    marks = {
        name_at(index, names, where): POSITIVE
        for kind, index in _labelled(item, where)
        if kind in tags
    }
    return Row(_path(item), marks, where)


def _labelled(item: dict[str, Any], where: str) -> Iterator[tuple[str, object]]:
    """The type and the label's number of each annotation that has a label."""
    for entry in entries(item, "annotations", where):
        annotation = record(entry, where)
        if annotation.get("label_id") is not None and annotation.get("type") in (LABEL, *SHAPES):
            yield annotation["type"], annotation["label_id"]


def _path(item: dict[str, Any]) -> object:
    """The path of an item's picture; its id, which has no suffix, if the file has none."""
    for key in ("media", "image"):
        media = item.get(key)
        if isinstance(media, dict) and media.get("path"):
            return media["path"]
    return item.get("id")


def _fits(content: Any) -> bool:
    return (
        isinstance(content, dict)
        and isinstance(content.get("items"), list)
        and isinstance(content.get("categories"), dict)
    )


DATUMARO = layout_of(LabelFile("datumaro", "Datumaro", said, json_files(_fits)))
