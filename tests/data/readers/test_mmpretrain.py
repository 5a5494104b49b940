"""What a user may rely on when reading annotation files of mmpretrain."""

from pathlib import Path
from typing import Any

import pytest
from tests.data.readers.drawing import below, draw, recognised, splits_of, store

from lcnet.data.readers import read_split
from lcnet.data.readers.layout import Given
from lcnet.data.readers.layouts import LAYOUTS
from lcnet.errors import DataError


def row(path: object, label: object) -> dict[str, Any]:
    return {"img_path": path, "gt_label": label}


def content(*rows: object, **meta: object) -> dict[str, Any]:
    return {"metainfo": {"classes": ["dog", "cat"]} | meta, "data_list": list(rows)}


def test_splits_are_read(tmp_path: Path) -> None:
    draw(tmp_path, "train/a.png", "train/b.png", "train/c.png", "val/a.png")
    store(
        tmp_path / "annotations/train.json",
        content(row("a.png", [0, 1]), row("b.png", []), row("c.png", 1)),
    )
    store(tmp_path / "annotations/val.json", content(row("a.png", [0])))
    splits = splits_of(recognised("mmpretrain", tmp_path).data)
    assert splits["train"].labels == ("dog", "cat")
    assert splits["train"].targets.tolist() == [[1, 1], [0, 0], [0, 1]]
    assert splits["val"].targets.tolist() == [[1, 0]]
    assert below(tmp_path, splits["train"]) == ["train/a.png", "train/b.png", "train/c.png"]
    assert below(tmp_path, splits["val"]) == ["val/a.png"]


def test_without_classes_labels_have_numbers(tmp_path: Path) -> None:
    draw(tmp_path, "a.png")
    store(tmp_path / "labels.json", content(row("a.png", [0, 2]), classes=None))
    found = recognised("mmpretrain", tmp_path)
    split = read_split(found.data, found.data.train)
    assert split.labels == ("label_1", "label_2", "label_3")
    assert split.targets.tolist() == [[1, 0, 1]]
    assert "it has no classes: label_1 is number 0" in found.said


def test_boxes_give_their_labels_to_the_picture(tmp_path: Path) -> None:
    draw(tmp_path, "a.png", "b.png")
    boxes = [{"bbox_label": 1, "bbox": [0, 0, 1, 1]}, {"bbox_label": 1}]
    store(
        tmp_path / "labels.json",
        content({"img_path": "a.png", "instances": boxes}, {"img_path": "b.png", "instances": []}),
    )
    found = recognised("mmpretrain", tmp_path).data
    assert read_split(found, found.train).targets.tolist() == [[0, 1], [0, 0]]


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (content(row("a.png", 2)), "data_list[0]: expected the number of a label, 0 to 1, got 2"),
        (content(row("a.png", -1)), "data_list[0]: expected the numbers of labels from 0, got -1"),
        (content(row("a.png", True)), "expected the numbers of labels from 0, got True"),
        (content(row("a.png", [0, 1, 1])), "not a 0 or 1 for each label"),
        (content(row("a.png", 10**9), classes=None), "expected the numbers of labels from 0"),
        (content(row(None, 0)), "expected the path of a picture, got None"),
        (content(row("a.png", 0), 3), "data_list[1]: expected an object, got int"),
        (content({"img_path": "a.png"}), "expected labels, got none"),
        (content(row("a.png", 0), classes=[1]), "expected a list of names"),
        (
            content({"img_path": "a.png", "gt_label": 0, "instances": [{"bbox_label": 1}]}),
            "Set --data.labels_in",
        ),
        (
            content({"img_path": "a.png", "instances": [{"bbox_label": [1]}]}),
            "expected the numbers of labels from 0",
        ),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, stored: object, message: str) -> None:
    draw(tmp_path, "a.png")
    store(tmp_path / "labels.json", stored)
    with pytest.raises(DataError) as error:
        read_split(recognised("mmpretrain", tmp_path).data, "labels.json")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_other_json_is_not_mmpretrain(tmp_path: Path) -> None:
    store(tmp_path / "a.json", {"data_list": 3})
    assert LAYOUTS["mmpretrain"].recognise(Given(tmp_path)) is None
