"""What a user may rely on when reading COCO."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.data.readers.drawing import below, draw, files_of, recognised, splits_of, store

from lcnet.config import Data
from lcnet.data.readers import read_split
from lcnet.data.readers.coco import read_coco
from lcnet.data.readers.layout import Given
from lcnet.data.readers.layouts import LAYOUTS
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
        (
            changed("images", [7]),
            "images[0]: expected 'id' with a whole number or a text, got None",
        ),
        (changed("images", [{"id": True}]), "images[0]: expected 'id' with a whole number or a"),
        (changed("images", [{"id": 1.5}]), "images[0]: expected 'id' with a whole number or a"),
        (changed("images", [{"id": "x"}]), "images[0]: expected 'file_name' with a text, got None"),
        (changed("images", [{"id": 1, "file_name": "a\0"}]), "images[0]: expected the path of a"),
        (
            changed("images", [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}]),
            "images[1]: expected each id once, got 1 twice",
        ),
        (
            changed("images", [{"id": 1, "file_name": "a"}, {"id": 7, "file_name": "./a"}]),
            "image 7: expected each file_name once, got './a' already as image 1",
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
            "annotations[0]: expected 'image_id' with a whole number or a text, got []",
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


# Other kinds of COCO


def coco(*pictures: str, **changes: object) -> dict[str, Any]:
    """A file in which the pictures show a cat, a dog, nothing, a cat, ..."""
    return {
        "images": [{"id": number, "file_name": name} for number, name in enumerate(pictures)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"image_id": number, "category_id": 1 + number % 3}
            for number in range(len(pictures))
            if number % 3 < 2
        ],
    } | changes


SHOWN = [[1, 0], [0, 1], [0, 0]]


@pytest.mark.parametrize(
    ("file", "listed", "pictures"),
    [
        ("annotations/instances_{}.json", "{}.png", "{split}/"),
        ("annotations/instances_{}.json", "{}.png", "images/{split}/"),
        ("annotations/instances_{}.json", "{}.png", "images/"),
        ("annotations/instances_{}.json", "{split}/{}.png", ""),
        ("annotations/instances_{}.json", "{split}/{}.png", "images/"),
        ("annotations/instances_{}.json", "/home/me/data/{}.png", "scans/new/"),
        ("{}.json", "{}.png", "images/"),
        ("labels/{}.json", "{}.png", "{split}/"),
        ("{}/_annotations.coco.json", "{}.png", "{split}/"),
        ("set/annotations/instances_{}2017.json", "{}.png", "set/{split}2017/"),
    ],
)
def test_coco_is_recognised_with_its_pictures(
    tmp_path: Path, file: str, listed: str, pictures: str
) -> None:
    expected = {}
    for split in ("train", "val"):
        names = [f"{split}{number}" for number in range(3)]
        paths = [listed.replace("{split}", split).format(name) for name in names]
        folder = pictures.replace("{split}", split)
        expected[split] = [
            folder + (path.rpartition("/")[2] if path[0] == "/" else path) for path in paths
        ]
        draw(tmp_path, *expected[split])
        store(tmp_path / file.format(split), coco(*paths))
    found = recognised("coco", tmp_path)
    assert (found.data.train, found.data.val) == (file.format("train"), file.format("val"))
    assert found.data.test == ""
    for role, split in splits_of(found.data).items():
        assert split.labels == ("cat", "dog")
        assert split.targets.tolist() == SHOWN
        assert below(tmp_path, split) == expected[role]
    assert "train0" not in found.said
    assert "3 pictures" in found.said
    assert "2 labels (cat, dog)" in found.said


def test_pictures_of_one_name_in_each_split_are_not_confused(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        draw(tmp_path, *(f"{split}/{number}.png" for number in range(3)))
        store(tmp_path / split / "_annotations.coco.json", coco("0.png", "1.png", "2.png"))
    found = recognised("coco", tmp_path).data
    assert found.folders == []
    for role, split in splits_of(found).items():
        folder = "valid" if role == "val" else role
        assert below(tmp_path, split) == [f"{folder}/{number}.png" for number in range(3)]


def test_the_folder_of_another_split_is_not_taken(tmp_path: Path) -> None:
    draw(tmp_path, *(f"train/{number}.png" for number in range(3)))
    for split in ("train", "val"):
        store(tmp_path / "annotations" / f"{split}.json", coco("0.png", "1.png", "2.png"))
    with pytest.raises(DataError, match=r"val.json: .* only in train, .*--data.folders '\[train\]"):
        recognised("coco", tmp_path)
    data = Data("coco", str(tmp_path), "annotations/train.json", "annotations/val.json")
    with pytest.raises(DataError, match="found them only in train"):
        read_split(data, "annotations/val.json")
    split = read_split(replace(data, folders=["train"]), "annotations/val.json")
    assert len(files_of(split)) == 3


def test_a_file_of_training_and_validation_has_the_pictures_of_both(tmp_path: Path) -> None:
    draw(tmp_path, "train2014/0.png", "train2014/1.png", "val2014/2.png", "val2014/3.png")
    stored = coco("0.png", "1.png", "2.png", "3.png")
    store(tmp_path / "annotations/instances_trainval35k.json", stored)
    found = recognised("coco", tmp_path).data
    assert below(tmp_path, read_split(found, found.train)) == [
        "train2014/0.png",
        "train2014/1.png",
        "val2014/2.png",
        "val2014/3.png",
    ]
    assert recognised("coco", tmp_path, train="trainval35k").data.train == "trainval35k"


def test_one_folder_may_hold_the_pictures_of_all_splits(tmp_path: Path) -> None:
    draw(tmp_path, *(f"train/{number}.png" for number in range(6)))
    store(tmp_path / "train.json", coco("0.png", "1.png", "2.png"))
    store(tmp_path / "val.json", coco("3.png", "4.png", "5.png"))
    found = recognised("coco", tmp_path).data
    assert found.folders == ["train"]
    assert below(tmp_path, splits_of(found)["val"]) == ["train/3.png", "train/4.png", "train/5.png"]


def test_one_file_is_a_data_set_without_splits(tmp_path: Path) -> None:
    draw(tmp_path, "images/0.png", "images/1.png", "images/2.png")
    file = store(tmp_path / "annotations/instances_default.json", coco("0.png", "1.png", "2.png"))
    for given in (tmp_path, file):
        found = recognised("coco", given).data
        assert (found.val, found.test) == ("", "")
        split = splits_of(found)["train"]
        assert split.targets.tolist() == SHOWN
        assert len(files_of(split)) == 3


def test_only_objects_with_categories_are_labels(tmp_path: Path) -> None:
    draw(tmp_path, "train/0.png", "train/1.png", "train/2.png", "val/3.png")
    inside = tmp_path / "annotations"
    stored = coco("0.png", "1.png", "2.png")
    for other in ("person_keypoints", "stuff", "panoptic"):
        store(inside / f"{other}_train.json", stored)
    store(inside / "captions_train.json", stored | {"annotations": [{"caption": "a cat"}]})
    store(inside / "image_info_test.json", {"images": [], "categories": []})
    store(inside / "instances_train.json", stored)
    store(inside / "instances_val.json", coco("3.png"))
    store(inside / "instances_test.json", coco("9.png", annotations=[]))
    found = recognised("coco", tmp_path).data
    assert (found.train, found.val, found.test) == (
        "annotations/instances_train.json",
        "annotations/instances_val.json",
        "",
    )


def test_two_files_for_a_split_need_a_choice(tmp_path: Path) -> None:
    draw(tmp_path, "images/0.png")
    store(tmp_path / "a.json", coco("0.png"))
    store(tmp_path / "b.json", coco("0.png"))
    with pytest.raises(DataError, match=r"got a.json and b.json. Set --data.train to one of them"):
        recognised("coco", tmp_path)
    assert recognised("coco", tmp_path, train="b.json").data.train == "b.json"


def test_ids_may_be_texts(tmp_path: Path) -> None:
    stored = content()
    for entry in stored["images"]:
        entry["id"] = f"img{entry['id']}"
    for entry in stored["categories"]:
        entry["id"] = str(entry["id"])
    for entry in stored["annotations"]:
        entry["image_id"] = f"img{entry['image_id']}"
        entry["category_id"] = str(entry["category_id"])
    split = read_coco(write(tmp_path, stored), "val")
    assert split.labels == ("person", "dog")
    assert split.targets.tolist() == [[0, 1], [1, 1], [0, 0]]


def test_categories_of_one_name_are_one_label(tmp_path: Path) -> None:
    stored = content()
    stored["categories"].append({"id": 20, "name": "dog"})
    stored["annotations"] = [
        {"image_id": 30, "category_id": 20},
        {"image_id": 7, "category_id": 18},
    ]
    split = read_coco(write(tmp_path, stored), "val")
    assert split.labels == ("person", "dog")
    assert split.targets.tolist() == [[0, 1], [0, 1], [0, 0]]
    assert split.notes == ("instances_val.json: several categories are called dog: taken as one.",)


ABOVE = [
    {"id": 0, "name": "animals", "supercategory": "none"},
    {"id": 1, "name": "cat", "supercategory": "animals"},
    {"id": 2, "name": "dog", "supercategory": "animals"},
]


def test_the_category_of_a_project_is_no_label(tmp_path: Path) -> None:
    store(tmp_path / "train/_annotations.coco.json", coco("0.png", "1.png", categories=ABOVE))
    draw(tmp_path, "train/0.png", "train/1.png")
    found = recognised("coco", tmp_path)
    split = read_split(found.data, found.data.train)
    assert split.labels == ("cat", "dog")
    assert "'animals' is left out" in found.said
    assert "'animals' is left out" in split.notes[0]


def test_a_category_above_all_others_that_has_objects_is_a_label(tmp_path: Path) -> None:
    boxes = [{"image_id": 0, "category_id": 0}]
    write(tmp_path, coco("0.png", categories=ABOVE, annotations=boxes), "train")
    split = read_coco(tmp_path, "train")
    assert split.labels == ("animals", "cat", "dog")
    assert split.targets.tolist() == [[1, 0, 0]]


def test_labels_that_a_file_does_not_mention_are_said(tmp_path: Path) -> None:
    split = read_coco(write(tmp_path, coco("0.png"), "val"), "val", ["cat", "dog", "sofa"])
    assert split.targets.tolist() == [[1, 0, 0]]
    (note,) = split.notes
    assert note == "instances_val.json: it does not mention sofa: absent in all its pictures."


def test_a_large_file_is_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(tmp_path, "images/0.png")
    file = store(tmp_path / "train.json", coco("0.png"))
    os.utime(file, (1, 1))
    parsed = []
    loads = json.loads
    monkeypatch.setattr(
        "lcnet.data.readers.json_file.json.loads", lambda text: parsed.append(1) or loads(text)
    )
    found = recognised("coco", tmp_path)
    read_split(found.data, found.data.train)
    read_split(found.data, found.data.train)
    assert parsed == [1]
    store(file, coco("0.png", "1.png"))
    assert len(read_split(found.data, found.data.train)) == 2


def test_a_broken_split_is_not_passed_over(tmp_path: Path) -> None:
    store(tmp_path / "annotations/instances_train.json", '{"images": [')
    store(tmp_path / "annotations/instances_val.json", coco("0.png"))
    with pytest.raises(DataError, match=r"^annotations/instances_train.json: expected JSON, got"):
        recognised("coco", tmp_path)


def test_another_folder_is_not_coco(tmp_path: Path) -> None:
    store(tmp_path / "a.json", [1, 2])
    store(tmp_path / "b.json", "{")
    assert LAYOUTS["coco"].recognise(Given(tmp_path)) is None
