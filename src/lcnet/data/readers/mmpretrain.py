"""Reads the annotation files of mmpretrain: a list of pictures with the numbers of their labels."""

from pathlib import Path
from typing import Any

from lcnet.data.dataset import POSITIVE
from lcnet.data.readers.checks import unnamed
from lcnet.data.readers.label_file import (
    PICTURES,
    Asked,
    LabelFile,
    either,
    entries,
    json_files,
    layout_of,
    name_at,
    names_of,
    record,
)
from lcnet.data.readers.listing import Listing, Row, listing_of, near_of
from lcnet.errors import DataError

MOST_UNNAMED = 100_000


def said(content: Any, asked: Asked) -> Listing:
    """The pictures of `data_list`, with the labels whose numbers `gt_label` has.

    Pictures with `instances` (as mmdetection writes them) have the labels of their boxes. Without
    `metainfo.classes` the labels are `label_1` and so on. Raises DataError if there are both.
    """
    where = asked.where
    rows = [
        record(entry, f"{where}: data_list[{number}]")
        for number, entry in enumerate(entries(content, "data_list", where))
    ]
    kind = either(
        any("gt_label" in row for row in rows), any(row.get("instances") for row in rows), asked
    )
    numbers = [
        _numbers(row, kind, f"{where}: data_list[{number}]") for number, row in enumerate(rows)
    ]
    names, notes = _classes(content, where), []
    if not names:
        names = unnamed(1 + max((number for found in numbers for number in found), default=0))
        notes = ["it has no classes: label_1 is number 0"]
    listed = [
        Row(row.get("img_path"), {name_at(one, names, here): POSITIVE for one in found}, here)
        for row, found, here in zip(
            rows, numbers, (f"{where}: data_list[{n}]" for n in range(len(rows))), strict=True
        )
    ]
    near = near_of(asked.file, Path(asked.file).stem)
    return listing_of(where, listed, names, near=near, notes=notes)


def _numbers(row: dict[str, Any], kind: str, where: str) -> list[int]:
    if kind == PICTURES:
        value = row.get("gt_label")
        found: list[Any] = value if isinstance(value, list) else [value]
    else:
        boxes = entries(row, "instances", where)
        found = list(dict.fromkeys(_label(record(box, where).get("bbox_label")) for box in boxes))
    for number in found:
        if type(number) is not int or not 0 <= number < MOST_UNNAMED:
            raise DataError(
                f"{where}: expected the numbers of labels from 0, got {number!r}. Correct it."
            )
    if len(set(found)) < len(found):
        raise DataError(
            f"{where}: expected the number of each label once, got {str(found)[:60]}. "
            "Write numbers of labels, not a 0 or 1 for each label."
        )
    return found


def _label(value: object) -> object:
    return value if isinstance(value, int | str) else str(value)


def _classes(content: Any, where: str) -> tuple[str, ...]:
    meta = content.get("metainfo") or {}
    meta = {key.lower(): value for key, value in record(meta, f"{where}: metainfo").items()}
    return names_of(meta["classes"], where) if meta.get("classes") else ()


def _fits(content: Any) -> bool:
    return isinstance(content, dict) and isinstance(content.get("data_list"), list)


MMPRETRAIN = layout_of(LabelFile("mmpretrain", "mmpretrain", said, json_files(_fits)))
