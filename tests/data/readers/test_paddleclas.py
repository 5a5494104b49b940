"""What a user may rely on when reading lists of PaddleClas."""

from pathlib import Path

import pytest
from tests.data.readers.drawing import below, draw, recognised, splits_of, store

from lcnet.data.readers import read_split
from lcnet.data.readers.layout import Given
from lcnet.data.readers.layouts import LAYOUTS
from lcnet.errors import DataError


@pytest.mark.parametrize("gap", ["\t", " "])
def test_lists_are_read(tmp_path: Path, gap: str) -> None:
    draw(tmp_path, "images/a b.png", "images/c.png", "images/d.png")
    store(
        tmp_path / "multilabel_train_list.txt",
        f"images/a b.png{gap}0,1,1\nimages/c.png{gap}0,0,0\n\n",
    )
    store(tmp_path / "multilabel_test_list.txt", f"images/d.png{gap}1,0,0\n")
    found = recognised("paddleclas", tmp_path)
    assert (found.data.train, found.data.val, found.data.test) == (
        "multilabel_train_list.txt",
        "",
        "multilabel_test_list.txt",
    )
    splits = splits_of(found.data)
    assert splits["train"].labels == ("label_1", "label_2", "label_3")
    assert splits["train"].targets.tolist() == [[0, 1, 1], [0, 0, 0]]
    assert splits["test"].targets.tolist() == [[1, 0, 0]]
    assert below(tmp_path, splits["train"]) == ["images/a b.png", "images/c.png"]
    assert splits["train"].samples[1].source == "multilabel_train_list.txt:2"
    assert "no file of label names: they are called label_1 and so on" in found.said


@pytest.mark.parametrize("names", ["dog\nwild cat\n", "0 dog\n1 wild cat\n"])
def test_a_file_beside_the_list_names_the_labels(tmp_path: Path, names: str) -> None:
    draw(tmp_path, "a.png")
    store(tmp_path / "train_list.txt", "a.png\t0,1\n")
    store(tmp_path / "label_list.txt", names)
    found = recognised("paddleclas", tmp_path)
    split = read_split(found.data, "train_list.txt")
    assert (split.labels, split.targets.tolist()) == (("dog", "wild cat"), [[0, 1]])
    assert "label_1" not in found.said
    store(tmp_path / "label_list.txt", "dog\n")
    with pytest.raises(DataError, match=r"each of the 1 names in label_list.txt, got 2"):
        read_split(found.data, "train_list.txt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.png\t0,1\nb.png\t0,1,1\n", "train.txt:2: expected 2 values, as in the first line"),
        ("a.png\t0,1\nb.png\t0,2\n", "train.txt:2: expected a path and a 0 or 1 for each label"),
        ("a.png\t0,1\nb.png\n", "train.txt:2: expected a path and a 0 or 1"),
        ("a.png\t0,1\na.png\t0,1\n", "train.txt:2: expected each picture once"),
        ("a.png\t0,1\n\x01\t0,1\n", "train.txt:2: expected the path of a picture"),
    ],
)
def test_a_wrong_list_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    draw(tmp_path, "a.png")
    store(tmp_path / "train.txt", text)
    with pytest.raises(DataError) as error:
        read_split(recognised("paddleclas", tmp_path).data, "train.txt")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["a.png 3\n", "a.png 0 1\n", "a.png,0,1\n", "", "0 0.1 0.2\n"])
def test_other_text_is_not_paddleclas(tmp_path: Path, text: str) -> None:
    store(tmp_path / "train.txt", text)
    assert LAYOUTS["paddleclas"].recognise(Given(tmp_path)) is None
