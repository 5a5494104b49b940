"""What a user may rely on when reading exports of FiftyOne."""

from pathlib import Path
from typing import Any

import pytest
from tests.data.readers.drawing import below, draw, recognised, splits_of, store

from lcnet.data.readers import read_split
from lcnet.data.readers.layout import Given
from lcnet.data.readers.layouts import LAYOUTS
from lcnet.errors import DataError


@pytest.mark.parametrize(
    "stored",
    [
        {"classes": ["dog", "cat"], "labels": {"a": [0, 1], "b": [], "c": 1}},
        {"classes": ["dog", "cat"], "labels": {"a": ["dog", "cat"], "b": [], "c": {"label": 1}}},
        {
            "classes": ["dog", "cat"],
            "labels": {
                "a": [{"label": 0, "bounding_box": [0, 0, 1, 1]}, {"label": 1}],
                "b": [],
                "c": {"label": "cat", "confidence": 0.5},
            },
        },
    ],
)
def test_an_image_classification_is_read(tmp_path: Path, stored: dict[str, Any]) -> None:
    draw(tmp_path, "data/a.png", "data/b.jpg", "data/c.png")
    stored["labels"]["d"] = None
    store(tmp_path / "labels.json", stored)
    found = recognised("fiftyone", tmp_path)
    assert found.data.train == "labels.json"
    split = read_split(found.data, "labels.json")
    assert split.labels == ("dog", "cat")
    assert split.targets.tolist() == [[1, 1], [0, 0], [0, 1]]
    assert below(tmp_path, split) == ["data/a.png", "data/b.jpg", "data/c.png"]
    assert "1 picture without a target left out" in found.said


def test_without_classes_targets_are_names(tmp_path: Path) -> None:
    draw(tmp_path, "data/a.png", "data/b.png")
    store(tmp_path / "labels.json", {"labels": {"a": "dog", "b": ["cat", "dog"]}})
    split = read_split(recognised("fiftyone", tmp_path).data, "labels.json")
    assert (split.labels, split.targets.tolist()) == (("cat", "dog"), [[0, 1], [1, 1]])


def test_a_folder_per_split_is_a_split(tmp_path: Path) -> None:
    for split in ("train", "validation"):
        draw(tmp_path, f"{split}/data/a.png")
        labels = {"a": [0, 1] if split == "train" else [1]}
        store(tmp_path / split / "labels.json", {"classes": ["dog", "cat"], "labels": labels})
    splits = splits_of(recognised("fiftyone", tmp_path).data)
    assert below(tmp_path, splits["val"]) == ["validation/data/a.png"]
    assert splits["val"].targets.tolist() == [[0, 1]]


def sample(name: str, *labels: str, **more: object) -> dict[str, Any]:
    inside = [{"_cls": "Classification", "label": label} for label in labels]
    field = {"_cls": "Classifications", "classifications": inside}
    return {"filepath": f"data/{name}", "tags": [], "ground_truth": field, **more}


def test_a_dataset_is_read(tmp_path: Path) -> None:
    draw(tmp_path, "data/a.png", "data/b.png")
    samples = [
        sample("a.png", "dog"),
        sample("b.png"),
        sample("c.png", ground_truth=None),
    ]
    store(tmp_path / "samples.json", {"samples": samples})
    store(tmp_path / "metadata.json", {"default_classes": ["dog", "cat"], "classes": {}})
    found = recognised("fiftyone", tmp_path)
    split = read_split(found.data, "samples.json")
    assert (split.labels, split.targets.tolist()) == (("dog", "cat"), [[1, 0], [0, 0]])
    assert below(tmp_path, split) == ["data/a.png", "data/b.png"]
    assert "1 sample without it left out" in found.said


def test_tags_of_samples_are_splits(tmp_path: Path) -> None:
    draw(tmp_path, "data/a.png", "data/b.png", "data/c.png")
    samples = [
        sample("a.png", "dog", tags=["train", "good"]),
        sample("b.png", "cat", tags=["validation"]),
        sample("c.png", "cat", tags=["good"]),
    ]
    store(tmp_path / "samples.json", {"samples": samples})
    found = recognised("fiftyone", tmp_path)
    assert found.data.train == "samples.json[train]"
    assert found.data.val == "samples.json[validation]"
    splits = splits_of(found.data)
    assert splits["train"].labels == ("cat", "dog")
    assert below(tmp_path, splits["val"]) == ["data/b.png"]
    assert "1 sample without the tag of a split left out" in found.said


def test_two_fields_need_a_choice_which_then_works(tmp_path: Path) -> None:
    draw(tmp_path, "data/a.png")
    boxes = {"_cls": "Detections", "detections": [{"_cls": "Detection", "label": "cat"}]}
    store(tmp_path / "samples.json", {"samples": [sample("a.png", "dog", boxes=boxes)]})
    with pytest.raises(DataError, match=r"'ground_truth' \(Classifications\) and 'boxes'"):
        recognised("fiftyone", tmp_path)
    for asked, label in (("ground_truth", "dog"), ("boxes", "cat")):
        found = recognised("fiftyone", tmp_path, labels_in=asked).data
        assert read_split(found, found.train).labels == (label,)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({"classes": ["dog"], "labels": {"a": 1}}, "labels.json: 'a': expected the number of a"),
        ({"classes": ["dog"], "labels": {"a": "cat"}}, "'a': unknown label 'cat'"),
        ({"classes": ["dog", 3], "labels": {"a": 0}}, "expected a list of names"),
        ({"labels": {"a": 0}}, "expected the name of a label, got 0 and no list of classes"),
        ({"labels": {"a": None}}, "expected at least one picture, got none"),
        ({"labels": {"a": []}}, "expected at least one label, got none"),
        ({"samples": [{"filepath": "a.png"}]}, "expected labels, got none"),
        ({"samples": [sample("a.png", "dog"), 3]}, "samples[1]: expected an object, got int"),
        (
            {"samples": [sample("a", ground_truth={"_cls": "Classifications"})]},
            "expected a list under 'classifications'",
        ),
        ({"samples": [sample("a.png", "dog", filepath=3)]}, "expected the path of a picture"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, stored: object, message: str) -> None:
    draw(tmp_path, "data/a.png")
    store(tmp_path / "labels.json", stored)
    with pytest.raises(DataError) as error:
        read_split(recognised("fiftyone", tmp_path).data, "labels.json")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_other_json_is_not_fiftyone(tmp_path: Path) -> None:
    store(tmp_path / "a.json", {"labels": [1], "samples": []})
    assert LAYOUTS["fiftyone"].recognise(Given(tmp_path)) is None
