"""Reads COCO: one JSON file per split that lists pictures, labels and annotated objects."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lcnet.data.dataset import POSITIVE, Split
from lcnet.data.readers.checks import check_labels, check_root, missing_split
from lcnet.data.readers.json_file import (
    State,
    forget_json,
    outlines,
    read_json,
    remembered,
    state_of,
)
from lcnet.data.readers.layout import Given, Recognised
from lcnet.data.readers.listing import (
    Listing,
    check_path,
    files_by_role,
    near_of,
    recognised,
    split_of,
)
from lcnet.data.readers.locating import Place
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

PREFIX = "instances_"
ROBOFLOW = "_annotations.coco.json"
OTHERS = ("person_keypoints_", "captions_", "stuff_", "panoptic_", "image_info_")
"""Beginnings of COCO's files that list other things than labelled objects."""
Id = int | str


@dataclass(frozen=True)
class _File:
    """What a file says, and the objects whose category it does not have."""

    listing: Listing
    unlabelled: tuple[tuple[str, str, str], ...]
    """Of each: its place in the file, its category, and what is wrong."""


def read_coco(
    root: Path,
    split: str,
    labels: Sequence[str] | None = None,
    *,
    place: Place | None = None,
    unlabelled: list[tuple[str, str]] | None = None,
) -> Split:
    """All pictures of a COCO file, also those without any object.

    `split` is the file, relative to `root`, or stands for `annotations/instances_{split}.json`.
    Pictures are expected in `root/{split}`, beside a file `_annotations.coco.json`, or at `place`.
    A label is present if any object has it, crowds (`iscrowd`) included, and absent otherwise.
    Without `labels`, the labels are the file's, in ascending order of id. Raises DataError for a
    file that is not COCO, lists a picture twice or has an object of another label. If a list
    `unlabelled` is given, an object with an unknown category raises no error: its place in the file
    and its category are added to the list.
    """
    file = _file_of(root, split)
    read = _read(state_of(root / file), file)
    for where, category, wrong in read.unlabelled:
        if unlabelled is None:
            raise DataError(wrong)
        unlabelled.append((where, category))
    return split_of(read.listing, root, split, labels, place)


def recognise_coco(given: Given) -> Recognised | None:
    """COCO files anywhere in the folder; None if there is none."""
    named = [name for name, content in outlines(given).items() if _is_coco(content)]
    found = [name for name in named if given.file or not Path(name).name.startswith(OTHERS)]
    if not found:
        return None
    usual = [name for name in found if Path(name).name.startswith(PREFIX)]
    files = files_by_role(given, usual or found, "COCO file")
    left = [name for name in found if name not in files.values()]
    return recognised(
        given,
        "coco",
        files,
        lambda name: _listing(given.root, name),
        title="COCO",
        left=[f"{', '.join(left[:3])}: left alone"] if left else [],
    )


def _listing(root: Path, split: str) -> Listing:
    file = _file_of(root, split)
    return _read(state_of(root / file), file).listing


def _is_coco(content: Any) -> bool:
    """Whether the outline of a JSON file is that of COCO, with objects."""
    return (
        isinstance(content, dict)
        and all(isinstance(content.get(key), list) for key in ("images", "categories"))
        and isinstance(content.get("annotations"), list)
        and any("category_id" in entry for entry in content["annotations"] if type(entry) is dict)
    )


def _file_of(root: Path, split: str) -> str:
    """The file of a split, relative to the root."""
    check_root(root, f"annotations/{PREFIX}{split}.json and the pictures in {split}/")
    usual = f"annotations/{PREFIX}{split}.json"
    others = (f"annotations/{split}.json", f"{split}.json", f"{split}/{ROBOFLOW}")
    for file in (split, usual, *others):
        if (root / file).is_file():
            return file
    folder = root / "annotations"
    splits = (file.stem.removeprefix(PREFIX) for file in folder.glob(f"{PREFIX}*.json"))
    raise missing_split(root / usual, split, splits)


@remembered
def _read(state: State, file: str) -> _File:
    """What a file says; `file` is its path relative to the root."""
    where = Path(file).name
    where = file if where == ROBOFLOW else where
    try:
        return _said(_content(Path(state.path), where), file, where)
    except RecursionError:
        raise DataError(f"{where}: values nested too deeply. Export it again.") from None
    finally:
        forget_json()


def _said(content: dict[str, Any], file: str, where: str) -> _File:
    names, notes = _labels(content, where)
    files = _by_id(content, "images", "file_name", where)
    if not files:
        raise DataError(f"{where}: no images. Choose a split that has pictures.")
    _check_files(files, where)
    present: dict[Id, dict[str, int]] = {image: {} for image in files}
    first: dict[str, str] = {}
    unlabelled = []
    for here, image, category in _objects(content, where):
        if image not in files:
            raise DataError(
                f"{here}: no image has the image_id {image}. Add the image or drop the annotation."
            )
        name = names.get(category) if isinstance(category, Id) else None
        if name is None:
            unlabelled.append((here, f"category_id {category!r}", _wrong(category, here)))
            continue
        present[image][name] = POSITIVE
        first.setdefault(name, here)
    sources = tuple(f"{where}: image {image}" for image in files)
    near = near_of(file, Path(file).stem.removeprefix(PREFIX))
    marks = tuple(present.values())
    order = check_labels(tuple(dict.fromkeys(names.values())), where)
    listing = Listing(where, order, tuple(files.values()), marks, sources, first, near, notes)
    return _File(listing, tuple(unlabelled))


def _wrong(category: object, where: str) -> str:
    if not isinstance(category, Id):
        return _no_id("category_id", category, where)
    return (
        f"{where}: no category has the category_id {category}. Add the category or drop the "
        "annotation."
    )


def _no_id(key: str, value: object, where: str) -> str:
    return (
        f"{where}: expected {key!r} with a whole number or a text, got {value!r}. "
        "Write the entry in COCO's format."
    )


def _content(path: Path, where: str) -> dict[str, Any]:
    content = read_json(path, where)
    if not isinstance(content, dict):
        raise DataError(
            f"{where}: expected an object with images, annotations and categories, "
            f"got {type(content).__name__}. Write the file in COCO's format."
        )
    return content


def _labels(content: dict[str, Any], where: str) -> tuple[dict[Id, str], tuple[str, ...]]:
    """The name of each category in ascending order of id, and what was done with them."""
    names, notes = _by_id(content, "categories", "name", where), []
    if (above := _above_all(content)) is not None and above in names:
        notes.append(
            f"category {names.pop(above)!r} is left out: it stands above all others and "
            "no object has it."
        )
    twice = [name for name, count in Counter(names.values()).items() if count > 1]
    if twice:
        notes.append(f"several categories are called {', '.join(twice)}: taken as one.")
    if all(isinstance(key, int) for key in names) or all(isinstance(key, str) for key in names):
        names = {key: names[key] for key in sorted(names, key=_in_order)}
    return names, tuple(notes)


def _in_order(identity: Id) -> tuple[int, str]:
    if isinstance(identity, int):
        return identity, ""
    return (int(identity) if identity.isdecimal() and len(identity) < 20 else -1), identity


def _above_all(content: dict[str, Any]) -> Id | None:
    """The id of the category that Roboflow writes for the project itself; None if there is none."""
    entries = [entry for entry in content["categories"] if isinstance(entry, dict)]
    below = Counter(str(entry.get("supercategory")) for entry in entries)
    for entry in entries:
        is_top = entry.get("supercategory") in ("none", None, "")
        if is_top and below[str(entry.get("name"))] == len(entries) - 1 > 0:
            used = any(
                isinstance(one, dict) and one.get("category_id") == entry.get("id")
                for one in content.get("annotations") or []
            )
            return None if used else _id_of(entry.get("id"))
    return None


def _check_files(files: dict[Id, str], where: str) -> None:
    first: dict[Path, Id] = {}
    for image, file in files.items():
        earlier = first.setdefault(Path(file), image)
        if earlier != image:
            raise DataError(
                f"{where}: image {image}: expected each file_name once, got {file!r} already as "
                f"image {earlier}. Join the two."
            )


def _objects(content: dict[str, Any], where: str) -> Iterator[tuple[str, Id, object]]:
    """The place in the file, the image and the category of each object."""
    for number, entry in enumerate(_entries(content, "annotations", where)):
        here = f"{where}: annotations[{number}]"
        image = _id(entry, "image_id", here)
        category = entry.get("category_id")
        known = _id_of(category)
        yield here, image, category if known is None else known


def _entries(content: dict[str, Any], key: str, where: str) -> list[Any]:
    if not isinstance(content.get(key), list):
        got = "another value" if key in content else "no such key"
        raise DataError(f"{where}: expected a list under {key!r}, got {got}. Add the list.")
    return list(content[key])


def _id(entry: object, key: str, where: str) -> Id:
    value = entry.get(key) if isinstance(entry, dict) else None
    identity = _id_of(value)
    if identity is None:
        raise DataError(_no_id(key, value, where))
    return identity


def _id_of(value: object) -> Id | None:
    """An id: a whole number, also one that is written with a point, or a text."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, Id) and not isinstance(value, bool) else None


def _by_id(content: dict[str, Any], key: str, field: str, where: str) -> dict[Id, str]:
    values: dict[Id, str] = {}
    for number, entry in enumerate(_entries(content, key, where)):
        here = f"{where}: {key}[{number}]"
        identity = _id(entry, "id", here)
        if identity in values:
            raise DataError(f"{here}: expected each id once, got {identity} twice. Renumber one.")
        value = entry.get(field)
        if not isinstance(value, str):
            raise DataError(
                f"{here}: expected {field!r} with a text, got {value!r}. "
                "Write the entry in COCO's format."
            )
        values[identity] = check_path(value, here) if field == "file_name" else value
    return values
