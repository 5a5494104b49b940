"""What a user may rely on when reading exports of Label Studio."""

from pathlib import Path
from typing import Any

import pytest
from tests.data.readers.drawing import below, draw, files_of, recognised, splits_of, store

from lcnet.data.readers import read_split
from lcnet.data.readers.layout import Given
from lcnet.data.readers.layouts import LAYOUTS
from lcnet.errors import DataError


def result(names: list[Any], control: str = "labels", kind: str = "choices") -> dict[str, Any]:
    return {"from_name": control, "to_name": "image", "type": kind, "value": {kind: names}}


def task(number: int, image: str, *annotations: list[Any], **more: object) -> dict[str, Any]:
    """A task whose annotations each have one result, of these names."""
    made = [
        {"id": 10 * number + place, "was_cancelled": False, "result": [result(names)]}
        for place, names in enumerate(annotations)
    ]
    return {"id": number, "data": {"image": image}, "annotations": made, "predictions": [], **more}


def test_an_export_is_recognised_and_read(tmp_path: Path) -> None:
    draw(tmp_path, "images/a.png", "images/b.png", "images/c.png")
    store(
        tmp_path / "tasks.json",
        [
            task(1, "/data/upload/1/a.png", ["cat", "dog"]),
            task(2, "/data/upload/1/b.png", ["dog"]),
            task(3, "/data/upload/1/c.png", []),
            task(4, "/data/upload/1/d.png"),
        ],
    )
    found = recognised("label_studio", tmp_path)
    assert found.data.train == "tasks.json"
    assert (found.data.val, found.data.test) == ("", "")
    split = read_split(found.data, "tasks.json")
    assert split.labels == ("cat", "dog")
    assert split.targets.tolist() == [[1, 1], [0, 1], [0, 0]]
    assert below(tmp_path, split) == ["images/a.png", "images/b.png", "images/c.png"]
    assert split.samples[1].source == "tasks.json: task 2"
    assert "labels of choices 'labels'" in found.said
    assert "1 task without an annotation left out" in found.said
    assert any("1 task without an annotation" in note for note in split.notes)


@pytest.mark.parametrize(
    ("listed", "file"),
    [
        ("/data/upload/1/0a1b2c3d-x.png", "pictures/x.png"),
        ("/data/upload/1/0a1b2c3d-x.png", "upload/1/0a1b2c3d-x.png"),
        ("/data/local-files/?d=scans/x.png", "scans/x.png"),
        ("/data/local-files/?d=scans%2Fnew%20x.png", "scans/new x.png"),
        ("s3://bucket/scans/x.png", "x.png"),
        ("https://example.org/a/x.png?token=1", "images/x.png"),
        ("x.png", "x.png"),
    ],
)
def test_pictures_are_found_however_they_were_imported(
    tmp_path: Path, listed: str, file: str
) -> None:
    draw(tmp_path, file)
    store(tmp_path / "tasks.json", [task(1, listed, ["cat"])])
    found = recognised("label_studio", tmp_path).data
    assert below(tmp_path, read_split(found, found.train)) == [file]


def test_cancelled_annotations_do_not_count_and_ground_truth_does(tmp_path: Path) -> None:
    draw(tmp_path, "a.png", "b.png", "c.png")
    first, second, third = (
        task(1, "a.png", ["cat"], ["dog"]),
        task(2, "b.png", ["cat"], ["dog"]),
        task(3, "c.png", ["cat"]),
    )
    first["annotations"][1]["was_cancelled"] = True
    second["annotations"][1]["ground_truth"] = True
    third["annotations"][0]["was_cancelled"] = True
    file = store(tmp_path / "tasks.json", [first, second, third])
    found = recognised("label_studio", file).data
    split = read_split(found, found.train)
    assert split.targets.tolist() == [[1, 0], [0, 1]]
    assert len(files_of(split)) == 2


def test_what_annotators_do_not_agree_on_is_unknown_and_said(tmp_path: Path) -> None:
    draw(tmp_path, "a.png", "b.png")
    store(
        tmp_path / "tasks.json",
        [task(1, "a.png", ["cat", "dog"], ["cat"]), task(2, "b.png", ["dog"], ["dog"])],
    )
    found = recognised("label_studio", tmp_path)
    assert read_split(found.data, "tasks.json").targets.tolist() == [[1, -1], [0, 1]]
    assert "annotators of 1 task do not agree" in found.said


def test_boxes_give_their_labels_to_the_picture(tmp_path: Path) -> None:
    draw(tmp_path, "a.png")
    one = task(1, "a.png", [])
    one["annotations"][0]["result"] = [
        result(["Car"], "box", "rectanglelabels"),
        result(["Car"], "box", "rectanglelabels"),
        result(["Bus"], "box", "rectanglelabels"),
    ]
    store(tmp_path / "tasks.json", [one])
    split = read_split(recognised("label_studio", tmp_path).data, "tasks.json")
    assert (split.labels, split.targets.tolist()) == (("Bus", "Car"), [[1, 1]])


def test_two_controls_need_a_choice_which_then_works(tmp_path: Path) -> None:
    draw(tmp_path, "a.png")
    one = task(1, "a.png", ["cat"])
    one["annotations"][0]["result"] += [
        result(["night"], "scene"),
        {"from_name": "remark", "type": "textarea", "value": {"text": ["blurred"]}},
    ]
    store(tmp_path / "tasks.json", [one])
    message = r"got them in 'labels' \(choices\) and 'scene' \(choices\). Set --data.labels_in"
    with pytest.raises(DataError, match=message):
        recognised("label_studio", tmp_path)
    found = recognised("label_studio", tmp_path, labels_in="scene").data
    assert read_split(found, found.train).labels == ("night",)
    with pytest.raises(DataError, match="expected labels in 'remark'"):
        recognised("label_studio", tmp_path, labels_in="remark")


def test_a_taxonomy_is_joined(tmp_path: Path) -> None:
    draw(tmp_path, "a.png")
    one = task(1, "a.png", [])
    one["annotations"][0]["result"] = [result([["animal", "cat"], ["night"]], "kinds", "taxonomy")]
    store(tmp_path / "tasks.json", [one])
    split = read_split(recognised("label_studio", tmp_path).data, "tasks.json")
    assert split.labels == ("animal/cat", "night")


def row(number: int, image: str, label: object, **more: object) -> dict[str, Any]:
    return {
        "image": image,
        "id": number,
        "choice": label,
        "annotator": 1,
        "annotation_id": number,
        "lead_time": 2.5,
        **more,
    }


def test_json_min_is_read(tmp_path: Path) -> None:
    draw(tmp_path, "a.png", "b.png", "c.png")
    store(
        tmp_path / "min.json",
        [
            row(1, "/data/upload/1/a.png", "cat", remark="one"),
            row(2, "/data/upload/1/b.png", {"choices": ["cat", "dog"]}, remark="two"),
            row(3, "/data/upload/1/c.png", None),
            row(3, "/data/upload/1/c.png", "dog"),
        ],
    )
    split = read_split(recognised("label_studio", tmp_path).data, "min.json")
    assert split.labels == ("cat", "dog")
    assert split.targets.tolist() == [[1, 0], [1, 1], [0, -1]]


def test_json_min_of_boxes_is_read(tmp_path: Path) -> None:
    draw(tmp_path, "a.png")
    box = {"x": 1, "y": 1, "width": 2, "height": 2, "rectanglelabels": ["car"]}
    store(tmp_path / "min.json", [row(1, "a.png", [box])])
    split = read_split(recognised("label_studio", tmp_path).data, "min.json")
    assert (split.labels, split.targets.tolist()) == (("car",), [[1]])


def test_a_file_per_split_is_a_split(tmp_path: Path) -> None:
    draw(tmp_path, "a.png", "b.png")
    store(tmp_path / "train.json", [task(1, "a.png", ["cat", "dog"])])
    store(tmp_path / "val.json", [task(1, "b.png", ["dog"])])
    found = recognised("label_studio", tmp_path).data
    assert splits_of(found)["val"].targets.tolist() == [[0, 1]]
    store(tmp_path / "val.json", [task(1, "b.png", ["dgo"])])
    with pytest.raises(DataError, match=r"val.json: task 1: unknown label 'dgo', .*'dog'"):
        splits_of(found)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ([task(1, "a.png", ["cat"]), 7], "task at 1: expected an object, got int"),
        ([task(1, "a.png", ["cat"]), {"data": 3, "annotations": []}], "expected an object, got"),
        ([task(1, "a.png", [3])], "tasks.json: task 1: expected label names, got '3'"),
        ([task(1, "", ["cat"])], "tasks.json: task 1: expected the path of a picture, got ''"),
        ([task(1, "a.png")], "tasks.json: expected labels, got none"),
        ([task(1, "a.png", ["cat"], annotations=3)], "task 1: expected a list, got int"),
        (
            [task(1, "a.png", ["cat"]), task(2, "a.png", ["cat"])],
            "task 2: expected each picture once, got 'a.png' already in tasks.json: task 1",
        ),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, stored: object, message: str) -> None:
    draw(tmp_path, "a.png")
    store(tmp_path / "tasks.json", stored)
    with pytest.raises(DataError) as error:
        read_split(recognised("label_studio", tmp_path).data, "tasks.json")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_other_json_is_not_label_studio(tmp_path: Path) -> None:
    store(tmp_path / "a.json", {"images": []})
    store(tmp_path / "b.json", [{"data": 1}])
    assert LAYOUTS["label_studio"].recognise(Given(tmp_path)) is None
