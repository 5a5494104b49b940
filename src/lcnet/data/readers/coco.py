"""Reads COCO: one JSON file per split that lists pictures, labels and annotated objects."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from lcnet.data.dataset import POSITIVE, Sample, Split
from lcnet.data.readers.checks import (
    check_known,
    check_labels,
    check_root,
    missing_split,
    targets_of,
    unreadable,
)
from lcnet.errors import DataError

# fmt: off
COCO_LABELS = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat",
    "traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog",
    "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella",
    "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite",
    "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange",
    "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant",
    "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone",
    "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors",
    "teddy bear", "hair drier", "toothbrush",
)
# fmt: on
"""COCO's 80 labels in ascending order of id."""

Value = TypeVar("Value", int, str)


def read_coco(
    root: Path,
    split: str,
    labels: Sequence[str] | None = None,
    *,
    unlabelled: list[tuple[str, str]] | None = None,
) -> Split:
    """All pictures of `annotations/instances_{split}.json`, also those without any object.

    Pictures are expected in `root/{split}`. A label is present if any object has it, crowds
    (`iscrowd`) included, and absent otherwise. Without `labels`, the labels are the file's, in
    ascending order of id. Raises DataError for a file that is not COCO, lists a picture twice or
    has an object of another label. If a list `unlabelled` is given, an object with an unknown
    category raises no error: its place in the file and its category are added to the list.
    """
    content = _load(root, split)
    where = f"instances_{split}.json"
    names = _by_id(content, "categories", "name", where)
    files = _by_id(content, "images", "file_name", where)
    if not files:
        raise DataError(f"{where}: no images. Choose a split that has pictures.")
    _check_files(files, where)
    named = check_labels([names[key] for key in sorted(names)], where)
    order = named if labels is None else check_labels(labels, "labels")

    present: dict[int, dict[str, int]] = {image: {} for image in files}
    for number, entry in enumerate(_entries(content, "annotations", where)):
        here = f"{where}: annotations[{number}]"
        image = _value(entry, "image_id", int, here)
        if image not in files:
            raise DataError(
                f"{here}: no image has the image_id {image}. Add the image or drop the annotation."
            )
        known = isinstance(entry.get("category_id"), int) and entry["category_id"] in names
        if unlabelled is not None and not known:
            unlabelled.append((here, f"category_id {entry.get('category_id')!r}"))
            continue
        label = _value(entry, "category_id", int, here)
        if label not in names:
            raise DataError(
                f"{here}: no category has the category_id {label}. Add the category or drop the "
                "annotation."
            )
        check_known(names[label], order, here)
        present[image][names[label]] = POSITIVE
    samples = tuple(
        Sample(root / split / file, f"{where}: image {image}") for image, file in files.items()
    )
    return Split(order, samples, targets_of(list(present.values()), order), split)


def _load(root: Path, split: str) -> dict[str, Any]:
    check_root(root, f"annotations/instances_{split}.json and the pictures in {split}/")
    path = root / "annotations" / f"instances_{split}.json"
    if not path.is_file():
        splits = (
            file.stem.removeprefix("instances_") for file in path.parent.glob("instances_*.json")
        )
        raise missing_split(path, split, splits)
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise unreadable(path.name, "JSON", error) from None
    if not isinstance(content, dict):
        raise DataError(
            f"{path.name}: expected an object with images, annotations and categories, "
            f"got {type(content).__name__}. Write the file in COCO's format."
        )
    return content


def _check_files(files: dict[int, str], where: str) -> None:
    first: dict[Path, int] = {}
    for image, file in files.items():
        earlier = first.setdefault(Path(file), image)
        if earlier != image:
            raise DataError(
                f"{where}: image {image}: expected each file_name once, got {file!r} already as "
                f"image {earlier}. Join the two."
            )


def _entries(content: dict[str, Any], key: str, where: str) -> list[Any]:
    if not isinstance(content.get(key), list):
        got = "another value" if key in content else "no such key"
        raise DataError(f"{where}: expected a list under {key!r}, got {got}. Add the list.")
    return list(content[key])


def _value(entry: object, key: str, kind: type[Value], where: str) -> Value:
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, kind):
        raise DataError(
            f"{where}: expected {key!r} with a value of type {kind.__name__}, got {value!r}. "
            "Write the entry in COCO's format."
        )
    return value


def _by_id(content: dict[str, Any], key: str, field: str, where: str) -> dict[int, str]:
    values: dict[int, str] = {}
    for number, entry in enumerate(_entries(content, key, where)):
        here = f"{where}: {key}[{number}]"
        identity = _value(entry, "id", int, here)
        if identity in values:
            raise DataError(f"{here}: expected each id once, got {identity} twice. Renumber one.")
        values[identity] = _value(entry, field, str, here)
    return values
