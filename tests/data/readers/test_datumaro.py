"""What a user may rely on when reading Datumaro's JSON."""

from pathlib import Path
from typing import Any

import pytest
from tests.data.readers.drawing import below, draw, recognised, splits_of, store

from lcnet.data.readers import read_split
from lcnet.data.readers.layout import Given
from lcnet.data.readers.layouts import LAYOUTS
from lcnet.errors import DataError


def annotation(label: object, kind: str = "label") -> dict[str, Any]:
    return {"id": 0, "type": kind, "attributes": {}, "group": 0, "label_id": label}


def item(identity: str, *labels: int, path: str = "", kind: str = "label") -> dict[str, Any]:
    made = [annotation(label, kind) for label in labels]
    return {"id": identity, "annotations": made, "image": {"path": path or f"{identity}.png"}}


def content(*items: object) -> dict[str, Any]:
    labels = [{"name": "dog", "parent": ""}, {"name": "cat", "parent": ""}]
    return {"info": {}, "categories": {"label": {"labels": labels}}, "items": list(items)}


@pytest.mark.parametrize("folder", ["images/{}", "images"])
def test_subsets_are_read(tmp_path: Path, folder: str) -> None:
    places = {split: folder.format(split) for split in ("train", "val")}
    draw(tmp_path, *(f"{places['train']}/{name}.png" for name in "abc"), f"{places['val']}/d.png")
    inside = tmp_path / "annotations"
    store(inside / "train.json", content(item("a", 0, 1), item("b"), item("c", 1)))
    store(inside / "val.json", content(item("d", 0)))
    splits = splits_of(recognised("datumaro", tmp_path).data)
    assert splits["train"].labels == ("dog", "cat")
    assert splits["train"].targets.tolist() == [[1, 1], [0, 0], [0, 1]]
    assert splits["val"].targets.tolist() == [[1, 0]]
    assert below(tmp_path, splits["train"]) == [f"{places['train']}/{name}.png" for name in "abc"]
    assert below(tmp_path, splits["val"]) == [f"{places['val']}/d.png"]


def test_items_without_a_path_have_the_name_of_their_picture(tmp_path: Path) -> None:
    draw(tmp_path, "images/default/x/a.png", "images/default/x/b.png")
    items = [item("x/a", 0), item("x/b", 1)]
    for one in items:
        one["image"] = {"size": [3, 4]}
    store(tmp_path / "annotations/default.json", content(*items))
    found = recognised("datumaro", tmp_path).data
    split = read_split(found, found.train)
    assert below(tmp_path, split) == ["images/default/x/a.png", "images/default/x/b.png"]


def test_the_path_may_be_that_of_another_machine(tmp_path: Path) -> None:
    draw(tmp_path, "images/default/a.png")
    one = item("a", 0)
    del one["image"]
    one["media"] = {"path": "C:\\data\\a.png"}
    store(tmp_path / "annotations/default.json", content(one))
    found = recognised("datumaro", tmp_path).data
    assert below(tmp_path, read_split(found, found.train)) == ["images/default/a.png"]


def test_labels_and_boxes_need_a_choice_which_then_works(tmp_path: Path) -> None:
    draw(tmp_path, "images/a.png")
    one = item("a", 0)
    one["annotations"].append(annotation(1, "bbox"))
    store(tmp_path / "annotations/default.json", content(one))
    with pytest.raises(DataError, match=r"'pictures' .* and 'objects' .*Set --data.labels_in"):
        recognised("datumaro", tmp_path)
    for asked, targets in (("pictures", [[1, 0]]), ("objects", [[0, 1]])):
        found = recognised("datumaro", tmp_path, labels_in=asked).data
        assert read_split(found, found.train).targets.tolist() == targets


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (content(item("a", 2)), "item 'a': expected the number of a label, 0 to 1, got 2"),
        (content(item("a", -1)), "expected the number of a label, 0 to 1, got -1"),
        (content(item("a")), "expected labels, got none"),
        (content(item("a", 0), item("a", 1)), "expected each picture once"),
        (content(3), "items[0]: expected an object, got int"),
        (content({"id": "a"}), "expected a list under 'annotations'"),
        (content() | {"categories": {}}, "expected a list under 'labels'"),
        (content({"id": "a", "annotations": [3]}), "expected an object, got int"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, stored: object, message: str) -> None:
    draw(tmp_path, "images/a.png")
    store(tmp_path / "annotations/default.json", stored)
    with pytest.raises(DataError) as error:
        read_split(recognised("datumaro", tmp_path).data, "annotations/default.json")
    assert message in str(error.value)
    assert str(error.value).startswith("default.json: ")
    assert "\n" not in str(error.value)


def test_other_json_is_not_datumaro(tmp_path: Path) -> None:
    store(tmp_path / "a.json", {"items": [], "categories": []})
    assert LAYOUTS["datumaro"].recognise(Given(tmp_path)) is None
