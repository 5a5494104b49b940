"""What a user may rely on when reading COCO."""

import json
from pathlib import Path
from typing import Any

import pytest

from lcnet.data.readers.coco import read_coco
from lcnet.errors import DataError


def content() -> dict[str, Any]:
    return {
        "images": [
            {"id": 30, "file_name": "a.jpg"},
            {"id": 7, "file_name": "sub/b.jpg"},
            {"id": 9, "file_name": "c.jpg"},
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}],
        "annotations": [
            {"image_id": 30, "category_id": 18, "iscrowd": 0},
            {"image_id": 30, "category_id": 18, "iscrowd": 0},
            {"image_id": 7, "category_id": 1, "iscrowd": 1},
            {"image_id": 7, "category_id": 18, "iscrowd": 0},
        ],
    }


def write(root: Path, stored: object, split: str = "val") -> Path:
    (root / "annotations").mkdir(exist_ok=True)
    (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(stored))
    return root


def test_labels_stand_in_the_order_of_their_ids(tmp_path: Path) -> None:
    assert read_coco(write(tmp_path, content()), "val").labels == ("person", "dog")


def test_every_image_comes_with_its_file_and_place_even_without_objects(tmp_path: Path) -> None:
    split = read_coco(write(tmp_path, content()), "val")
    assert [sample.path for sample in split.samples] == [
        tmp_path / "val/a.jpg",
        tmp_path / "val/sub/b.jpg",
        tmp_path / "val/c.jpg",
    ]
    assert split.targets[2].tolist() == [0, 0]
    assert split.samples[1].source == "instances_val.json: image 7"
    assert split.name == "val"


def test_an_object_makes_its_label_present_also_as_a_crowd(tmp_path: Path) -> None:
    split = read_coco(write(tmp_path, content()), "val")
    assert split.targets.tolist() == [[0, 1], [1, 1], [0, 0]]


def test_given_labels_set_the_order_and_may_be_more_than_the_split_has(tmp_path: Path) -> None:
    split = read_coco(write(tmp_path, content()), "val", ["dog", "cat", "person"])
    assert split.labels == ("dog", "cat", "person")
    assert split.targets.tolist() == [[1, 0, 0], [1, 0, 1], [0, 0, 0]]


def test_a_label_without_any_object_need_not_be_known(tmp_path: Path) -> None:
    stored = content()
    stored["categories"].append({"id": 90, "name": "toothbrush"})
    split = read_coco(write(tmp_path, stored), "val", ["person", "dog"])
    assert split.targets.tolist() == [[0, 1], [1, 1], [0, 0]]


def test_an_unknown_label_is_named_with_its_object_and_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        read_coco(write(tmp_path, content()), "val", ["person", "dogs", "cat"])
    message = str(error.value)
    assert message.startswith("instances_val.json: annotations[0]: unknown label 'dog'")
    assert "'dogs'" in message


def changed(key: str, value: object) -> dict[str, Any]:
    return content() | {key: value}


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in content().items() if name != key}


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ([1], "expected an object with images, annotations and categories, got list"),
        (without("images"), "expected a list under 'images', got no such key"),
        (without("categories"), "expected a list under 'categories', got no such key"),
        (without("annotations"), "expected a list under 'annotations', got no such key"),
        (changed("annotations", {}), "expected a list under 'annotations', got another value"),
        (changed("images", []), "instances_val.json: no images"),
        (changed("images", [7]), "images[0]: expected 'id' with a value of type int, got None"),
        (changed("images", [{"id": "x"}]), "images[0]: expected 'id' with a value of type int"),
        (changed("images", [{"id": 1}]), "images[0]: expected 'file_name' with a value of type"),
        (
            changed("images", [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}]),
            "images[1]: expected each id once, got 1 twice",
        ),
        (
            changed("images", [{"id": 1, "file_name": "a"}, {"id": 7, "file_name": "./a"}]),
            "image 7: expected each file_name once, got './a' already as image 1",
        ),
        (
            changed("categories", [{"id": 1, "name": "dog"}, {"id": 18, "name": "dog"}]),
            "expected each label name once, got 'dog' twice",
        ),
        (
            changed("categories", [{"id": 1, "name": "dog"}, {"id": 1, "name": "cat"}]),
            "categories[1]: expected each id once, got 1 twice",
        ),
        (changed("categories", [{"id": 1}]), "categories[0]: expected 'name'"),
        (changed("categories", []), "expected at least one label, got none"),
        (
            changed("annotations", [{"image_id": 5, "category_id": 1}]),
            "annotations[0]: no image has the image_id 5",
        ),
        (
            changed("annotations", [{"image_id": 7, "category_id": 5}]),
            "annotations[0]: no category has the category_id 5",
        ),
        (
            changed("annotations", [{"image_id": [], "category_id": 5}]),
            "annotations[0]: expected 'image_id' with a value of type int, got []",
        ),
        (changed("annotations", [{"image_id": 7}]), "annotations[0]: expected 'category_id'"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, stored: object, message: str) -> None:
    with pytest.raises(DataError) as error:
        read_coco(write(tmp_path, stored), "val")
    assert message in str(error.value)
    assert "instances_val.json" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("stored", [b"", b'{"images": [', b"\xff\xff\xff", b"[" * 100_000])
def test_a_file_that_is_no_json_is_refused_in_one_line(tmp_path: Path, stored: bytes) -> None:
    write(tmp_path, {})
    (tmp_path / "annotations/instances_val.json").write_bytes(stored)
    with pytest.raises(DataError, match=r"^instances_val.json: expected JSON, got: .*$"):
        read_coco(tmp_path, "val")


def test_a_missing_root_says_what_belongs_inside(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder .*nowhere \(expected annotations/instances_"):
        read_coco(tmp_path / "nowhere", "val")


def test_a_missing_split_names_those_that_exist(tmp_path: Path) -> None:
    write(tmp_path, content(), "train2014")
    write(tmp_path, content(), "val2014")
    with pytest.raises(DataError, match=r"^val: no such split.*there are: train2014, val2014\)"):
        read_coco(tmp_path, "val")


def test_a_root_without_annotations_says_that_there_is_no_split(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"instances_val.json \(there are none\)"):
        read_coco(tmp_path, "val")


def test_given_labels_must_differ(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="each label name once, got 'dog' twice"):
        read_coco(write(tmp_path, content()), "val", ["dog", "person", "dog"])
