"""Reads FiftyOne's exports: `labels.json` of an image classification, `samples.json` of a dataset.

An image classification has one target per picture, whose key is the picture's name without suffix;
a dataset has samples with fields, of which several may hold labels.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lcnet.data.dataset import POSITIVE
from lcnet.data.readers.json_file import read_json
from lcnet.data.readers.label_file import (
    Asked,
    LabelFile,
    chosen,
    entries,
    json_files,
    layout_of,
    name_at,
    names_of,
    record,
)
from lcnet.data.readers.layout import role_of
from lcnet.data.readers.listing import Listing, Row, counted, listing_of, near_of
from lcnet.errors import DataError

INSIDE = {
    "Classification": "",
    "Classifications": "classifications",
    "Detection": "",
    "Detections": "detections",
    "Polyline": "",
    "Polylines": "polylines",
}
"""The classes of fields with labels, and the key of their list."""
METADATA = "metadata.json"


def said(content: Any, asked: Asked) -> Listing:
    """The pictures of an export that have labels; those that have none yet are left out."""
    content = record(content, asked.where)
    return _samples(content, asked) if "samples" in content else _targets(content, asked)


def _targets(content: Any, asked: Asked) -> Listing:
    """What `labels.json` says: targets are names, or numbers in its `classes`, or lists of them."""
    where = asked.where
    classes = names_of(content["classes"], where) if content.get("classes") else None
    rows, left = [], 0
    for key, target in record(content.get("labels"), where).items():
        here = f"{where}: {key!r}"
        if target is None:
            left += 1
            continue
        marks = {_name(one, classes, here): POSITIVE for one in _each(target)}
        rows.append(Row(key, marks, here))
    notes = [f"{counted(left, 'picture')} without a target left out"] if left else []
    return listing_of(where, rows, classes, near=near_of(asked.file), notes=notes)


def _each(target: object) -> list[Any]:
    return target if isinstance(target, list) else [target]


def _name(target: object, classes: Sequence[str] | None, where: str) -> str:
    if isinstance(target, dict):
        target = target.get("label")
    if isinstance(target, str):
        return target
    if classes is None:
        raise DataError(
            f"{where}: expected the name of a label, got {target!r} and no list of classes. "
            "Export it again with its classes."
        )
    return name_at(target, classes, where)


def _samples(content: Any, asked: Asked) -> Listing:
    """What `samples.json` says of one field."""
    where = asked.where
    samples = [
        record(sample, f"{where}: samples[{number}]")
        for number, sample in enumerate(entries(content, "samples", where))
    ]
    field = chosen(_fields(samples), asked)
    rows, names, left, outside = [], set(), 0, 0
    for sample in samples:
        here = f"{where}: {sample.get('filepath')!r}"
        labels = _labels(sample.get(field), here)
        names |= {*(labels or ())}
        roles = [tag for tag in _tags(sample) if role_of(tag)]
        if asked.part and asked.part not in roles:
            outside += not roles
        elif labels is None:
            left += 1
        else:
            rows.append(Row(sample.get("filepath"), dict.fromkeys(labels, POSITIVE), here))
    notes = [f"labels of field {field!r}"]
    if left:
        notes.append(f"{counted(left, 'sample')} without it left out")
    if outside:
        notes.append(f"{counted(outside, 'sample')} without the tag of a split left out")
    order = _classes(asked, field, names)
    return listing_of(where, rows, order, near=near_of(asked.file), notes=notes)


def _fields(samples: Iterable[dict[str, Any]]) -> dict[str, str]:
    """The fields that hold labels, with the class of each."""
    return {
        name: str(value["_cls"])
        for sample in samples
        for name, value in sample.items()
        if isinstance(value, dict) and value.get("_cls") in INSIDE
    }


def _labels(value: Any, where: str) -> list[str] | None:
    """The names in a field of a sample; None if it has not been labelled."""
    if value is None:
        return None
    key = INSIDE.get(str(record(value, where).get("_cls")), "")
    listed = entries(value, key, where) if key else [value]
    names = [record(one, where).get("label") for one in listed]
    return list(names_of([name for name in names if name is not None], where))


def _classes(asked: Asked, field: str, names: set[str]) -> Sequence[str]:
    """The classes that the dataset declares for a field; otherwise the names that occur."""
    file = (asked.root / asked.file).with_name(METADATA)
    said = read_json(file, METADATA) if file.is_file() else {}
    said = said if isinstance(said, Mapping) else {}
    of_fields = said.get("classes")
    declared = of_fields.get(field) if isinstance(of_fields, dict) else None
    declared = declared or said.get("default_classes")
    if declared and names <= set(names_of(declared, METADATA)):
        return list(declared)
    return sorted(names)


def _tags(sample: Mapping[str, Any]) -> list[str]:
    tags = sample.get("tags")
    return [str(tag) for tag in tags] if isinstance(tags, list) else []


def _parts(content: Any) -> Iterator[str]:
    samples = content.get("samples") if isinstance(content, dict) else None
    for sample in samples if isinstance(samples, list) else ():
        yield from _tags(sample) if isinstance(sample, dict) else ()


def _fits(content: Any) -> bool:
    if not isinstance(content, dict):
        return False
    samples, labels = content.get("samples"), content.get("labels")
    if isinstance(samples, list):
        return bool(samples) and isinstance(samples[0], dict) and "filepath" in samples[0]
    return isinstance(labels, dict) and set(content) <= {"classes", "labels", "info"}


FIFTYONE = layout_of(LabelFile("fiftyone", "FiftyOne", said, json_files(_fits), parts=_parts))
