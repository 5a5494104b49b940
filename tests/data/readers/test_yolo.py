"""What a user may rely on when reading YOLO."""

from pathlib import Path

import pytest
from tests.data.readers.drawing import below, draw, recognised, splits_of, store

from lcnet.data.readers import read_split
from lcnet.data.readers.layout import Given
from lcnet.data.readers.layouts import LAYOUTS
from lcnet.errors import DataError

BOX = "0.5 0.5 0.2 0.2"


def boxes(*numbers: int) -> str:
    return "".join(f"{number} {BOX}\n" for number in numbers)


def write(root: Path, images: str, labels: str) -> None:
    """Four pictures: a dog and a cat, an empty file, no file, a cat."""
    draw(root, *(f"{images}/{name}.png" for name in "abcd"))
    store(root / labels / "a.txt", boxes(0, 0, 1))
    store(root / labels / "b.txt", "\n")
    store(root / labels / "d.txt", boxes(1))


TARGETS = [[1, 1], [0, 0], [0, 0], [0, 1]]


@pytest.mark.parametrize(
    ("layout", "yaml"),
    [
        ("{kind}/{split}", "path: .\ntrain: images/train\nval: images/val\nnames: [dog, cat]\n"),
        ("{kind}/{split}", "path: /gone\ntrain: images/train\nval: images/val\nnames: [dog, cat]"),
        (
            "{kind}/{split}",
            "train: images/train\nval: [images/val]\nnc: 2\nnames: {0: dog, 1: cat}",
        ),
        ("{split}/{kind}", "train: ../train/images\nval: ../val/images\nnames: ['dog', 'cat']\n"),
        ("{kind}/{split}", ""),
        ("{split}/{kind}", ""),
    ],
)
def test_yolo_is_recognised_and_read(tmp_path: Path, layout: str, yaml: str) -> None:
    root = tmp_path / "set"
    for split in ("train", "val"):
        write(
            root,
            layout.format(kind="images", split=split),
            layout.format(kind="labels", split=split),
        )
    if yaml:
        store(root / "data.yaml", yaml)
    else:
        store(root / "classes.txt", "dog\ncat\n")
    found = recognised("yolo", root)
    assert found.data.test == ""
    assert found.data.train == (
        "data.yaml[train]" if yaml else layout.format(kind="images", split="train")
    )
    for role, split in splits_of(found.data).items():
        folder = layout.format(kind="images", split=role)
        assert split.labels == ("dog", "cat")
        assert split.targets.tolist() == TARGETS
        assert below(root, split) == [f"{folder}/{name}.png" for name in "abcd"]
        assert any("1 picture without a text file: no label" in note for note in split.notes)
    assert "train with 4 pictures" in found.said.replace(found.data.train, "train")
    assert "2 labels (dog, cat)" in found.said


def test_lists_of_pictures_are_read(tmp_path: Path) -> None:
    write(tmp_path, "images", "labels")
    store(tmp_path / "train.txt", "./images/a.png\n./images/b.png\n")
    store(tmp_path / "val.txt", "/gone/images/d.png\n")
    store(tmp_path / "data.yaml", "train: train.txt\nval: val.txt\nnames: [dog, cat]\n")
    splits = splits_of(recognised("yolo", tmp_path).data)
    assert splits["train"].targets.tolist() == TARGETS[:2]
    assert below(tmp_path, splits["val"]) == ["images/d.png"]
    assert splits["val"].targets.tolist() == TARGETS[3:]


def test_a_folder_without_splits_is_one_and_labels_may_have_no_names(tmp_path: Path) -> None:
    write(tmp_path, "images", "labels")
    found = recognised("yolo", tmp_path)
    assert (found.data.train, found.data.val) == ("images", "")
    split = read_split(found.data, "images")
    assert (split.labels, split.targets.tolist()) == (("label_1", "label_2"), TARGETS)
    assert any("label_1 is number 0" in note for note in split.notes)


def test_darknet_lists_with_boxes_beside_pictures_are_read(tmp_path: Path) -> None:
    write(tmp_path, "obj_train_data", "obj_train_data")
    store(tmp_path / "obj.names", "dog\ncat\n")
    store(tmp_path / "train.txt", "".join(f"data/obj_train_data/{name}.png\n" for name in "abcd"))
    found = recognised("yolo", tmp_path).data
    assert read_split(found, "train.txt").targets.tolist() == TARGETS


def test_splits_without_boxes_or_of_the_same_pictures_are_left_out_and_said(
    tmp_path: Path,
) -> None:
    write(tmp_path, "images/train", "labels/train")
    draw(tmp_path, "images/test/x.png")
    store(
        tmp_path / "data.yaml",
        "train: images/train\nval: images/train\ntest: images/test\nnames: [dog, cat]\n",
    )
    found = recognised("yolo", tmp_path)
    assert (found.data.val, found.data.test) == ("", "")
    assert "data.yaml[val] has the same pictures and is left out" in found.said
    assert "data.yaml[test] has no text files of boxes and is left out" in found.said
    with pytest.raises(
        DataError, match=r"expected a text file of boxes for its pictures, got none"
    ):
        read_split(found.data, "data.yaml[test]")


def test_two_descriptions_need_a_choice_which_then_works(tmp_path: Path) -> None:
    write(tmp_path, "images/train", "labels/train")
    store(tmp_path / "a.yaml", "train: images/train\nnames: [dog, cat]\n")
    store(tmp_path / "b.yaml", "train: images/train\nnames: [hound, lion]\n")
    with pytest.raises(DataError, match=r"got a.yaml\[train\] and b.yaml\[train\]. Set --data.tr"):
        recognised("yolo", tmp_path)
    found = recognised("yolo", tmp_path, train="b.yaml[train]").data
    assert read_split(found, found.train).labels == ("hound", "lion")
    given = recognised("yolo", tmp_path / "a.yaml").data
    assert read_split(given, given.train).labels == ("dog", "cat")


@pytest.mark.parametrize(
    ("yaml", "text", "message"),
    [
        ("names: [dog]", boxes(1), "labels/train/a.txt:1: expected the number of a label, 0 to 0"),
        ("names: [dog]", "0 0.5 0.5\n", "labels/train/a.txt:1: expected the number of a label and"),
        ("names: [dog]", f"dog {BOX}\n", "a.txt:1: expected the number of a label and a box"),
        ("names: [dog]", f"-1 {BOX}\n", "a.txt:1: expected the number of a label and a box"),
        ("names: [dog]", "0 a b c d\n", "a.txt:1: expected the number of a label and a box"),
        ("names: [dog]\nnc: 2", boxes(0), "expected as many names as nc says, 2, got 1"),
        ("names: {1: dog}", boxes(0), "names: expected the numbers 0 to 0, got others"),
        ("names: [[dog]]", boxes(0), "names: expected a list of names"),
        ("names: [dog, dog]", boxes(0), "each label name once, got 'dog' twice"),
        ("names: &a [dog, *a]", boxes(0), "aliases (*name) are not read"),
        ("names: !!python/object/apply:os.system ['touch x']", boxes(0), "not a YAML file"),
        ("names: " + "[" * 50_000, boxes(0), "values nested too deeply"),
    ],
)
def test_wrong_files_are_refused_in_one_line(
    tmp_path: Path, yaml: str, text: str, message: str
) -> None:
    draw(tmp_path, "images/train/a.png")
    store(tmp_path / "labels/train/a.txt", text)
    store(tmp_path / "data.yaml", f"train: images/train\n{yaml}\n")
    with pytest.raises(DataError) as error:
        read_split(recognised("yolo", tmp_path).data, "data.yaml[train]")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    store(tmp_path / "data.yaml", "train: images/train\nnames: [dog]\n")
    with pytest.raises(DataError, match=r"data.yaml: train: no folder or list 'images/train'"):
        recognised("yolo", tmp_path)


def test_a_split_whose_folder_is_gone_is_left_out_and_said(tmp_path: Path) -> None:
    write(tmp_path, "images/train", "labels/train")
    store(
        tmp_path / "data.yaml",
        "train: images/train\nval: images/train\ntest: images/gone\nnames: [dog, cat]\n",
    )
    found = recognised("yolo", tmp_path)
    assert found.data.test == ""
    assert "test is left out (data.yaml: test: no folder or list 'images/gone'" in found.said


def test_a_folder_above_the_data_set_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    store(tmp_path / "set/data.yaml", "train: ../..\nnames: [dog]\n")
    with pytest.raises(DataError, match=r"got '../..', which holds the whole data set"):
        recognised("yolo", tmp_path / "set")


def test_other_folders_are_not_yolo(tmp_path: Path) -> None:
    draw(tmp_path, "images/a.png")
    store(tmp_path / "labels/a.txt", "cat\n")
    store(tmp_path / "config.yaml", "train:\n  lr: 0.1\n")
    assert LAYOUTS["yolo"].recognise(Given(tmp_path)) is None
