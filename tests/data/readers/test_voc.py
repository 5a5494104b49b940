"""What a user may rely on when reading Pascal VOC."""

from pathlib import Path
from typing import Literal

import pytest
from tests.data.readers.drawing import below, draw, recognised, splits_of

from lcnet.config import Data
from lcnet.data.readers import read_split
from lcnet.data.readers.layout import Given
from lcnet.data.readers.layouts import LAYOUTS
from lcnet.data.readers.voc import LABELS, read_voc
from lcnet.errors import DataError


def annotation(*objects: tuple[str, int | None], filename: str = "") -> str:
    """One XML file; an object is its name and its `difficult`, None to leave that out."""
    entries = "".join(
        f"<object><name>{name}</name>"
        + ("" if difficult is None else f"<difficult>{difficult}</difficult>")
        + "<part><name>head</name></part></object>"
        for name, difficult in objects
    )
    return f"<annotation><filename>{filename}</filename>{entries}</annotation>"


def write(year: Path, pictures: dict[str, str | bytes], split: str = "train") -> Path:
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (year / folder).mkdir(parents=True, exist_ok=True)
    for identity, xml in pictures.items():
        stored = xml.encode() if isinstance(xml, str) else xml
        (year / "Annotations" / f"{identity}.xml").write_bytes(stored)
    (year / "ImageSets/Main" / f"{split}.txt").write_text("\n".join(pictures) + "\n")
    return year


def small(year: Path) -> Path:
    return write(
        year,
        {
            "000005": annotation(("dog", 0), ("dog", 1), ("cat", 1)),
            "000007": annotation(("cat", None)),
            "000009": annotation(),
        },
    )


def test_a_small_split_has_all_twenty_labels_in_alphabetical_order(tmp_path: Path) -> None:
    split = read_voc(small(tmp_path / "VOC2007"), "train")
    assert split.labels == LABELS == tuple(sorted(LABELS))
    assert len(split.labels) == 20


def test_a_few_of_the_labels_in_a_folder_of_ones_own_are_all_labels(tmp_path: Path) -> None:
    split = read_voc(small(tmp_path / "scans"), "train")
    assert split.labels == ("cat", "dog")
    assert split.targets.tolist() == [[-1, 1], [1, 0], [0, 0]]


def test_pictures_stand_in_the_order_of_the_list_with_their_place(tmp_path: Path) -> None:
    split = read_voc(small(tmp_path), "train")
    assert [sample.path for sample in split.samples] == [
        tmp_path / "JPEGImages" / f"{identity}.jpg" for identity in ("000005", "000007", "000009")
    ]
    assert [sample.source for sample in split.samples] == [f"train.txt:{n}" for n in (1, 2, 3)]


@pytest.mark.parametrize(("difficult", "cat"), [("positive", 1), ("negative", 0), ("unknown", -1)])
def test_a_label_with_difficult_objects_only_counts_as_told(
    tmp_path: Path, difficult: Literal["positive", "negative", "unknown"], cat: int
) -> None:
    split = read_voc(small(tmp_path), "train", ["cat", "dog"], difficult=difficult)
    assert split.targets.tolist() == [[cat, 1], [1, 0], [0, 0]]


def test_difficult_objects_are_unknown_unless_told_otherwise(tmp_path: Path) -> None:
    assert read_voc(small(tmp_path), "train", ["cat", "dog"]).targets[0].tolist() == [-1, 1]


def test_the_order_of_objects_does_not_matter(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "1": annotation(("dog", 1), ("dog", 0)),
            "2": annotation(("dog", 0), ("dog", 1)),
        },
    )
    assert read_voc(tmp_path, "train", ["dog"]).targets.tolist() == [[1], [1]]


def test_other_names_are_taken_from_all_splits(tmp_path: Path) -> None:
    write(tmp_path, {"1": annotation(("crack", 0)), "2": annotation(("dog", 0))}, "train")
    write(tmp_path, {"3": annotation(("bolt", 0))}, "val")
    assert read_voc(tmp_path, "train").labels == ("bolt", "crack", "dog")
    assert read_voc(tmp_path, "val").targets.tolist() == [[1, 0, 0]]


@pytest.mark.parametrize("inner", ["VOC2007", "VOCdevkit/VOC2012"])
def test_the_folder_of_the_year_is_found_below_the_root(tmp_path: Path, inner: str) -> None:
    small(tmp_path / inner)
    split = read_voc(tmp_path, "train")
    assert split.samples[0].path == tmp_path / inner / "JPEGImages/000005.jpg"


def test_two_years_are_not_guessed_between(tmp_path: Path) -> None:
    small(tmp_path / "VOCdevkit/VOC2007")
    small(tmp_path / "VOCdevkit/VOC2012")
    with pytest.raises(DataError, match="got VOCdevkit/VOC2007 and VOCdevkit/VOC2012"):
        read_voc(tmp_path, "train")


def released(root: Path, split: str, pictures: dict[str, str | bytes]) -> Path:
    """A split with a tree of its own, as the release has it."""
    write(root / split / "VOCdevkit/VOC2007", pictures, split)
    return root


@pytest.mark.parametrize("inner", ["VOCdevkit/VOC2007", "VOC2012"])
def test_a_split_may_have_a_tree_of_its_own(tmp_path: Path, inner: str) -> None:
    for split, object_of in (("train", "dog"), ("val", "cat"), ("test", "cow")):
        write(tmp_path / split / inner, {split: annotation((object_of, 0))}, split)
    for split, object_of in (("train", "dog"), ("val", "cat"), ("test", "cow")):
        read = read_voc(tmp_path, split)
        assert read.labels == LABELS
        assert read.samples[0].path == tmp_path / split / inner / f"JPEGImages/{split}.jpg"
        assert read.targets.tolist() == [[int(label == object_of) for label in LABELS]]
        assert read.name == split


def test_the_tree_of_the_split_comes_before_one_of_all_splits(tmp_path: Path) -> None:
    small(tmp_path / "VOCdevkit/VOC2012")
    write(tmp_path / "VOCdevkit/VOC2012", {"000009": annotation()}, "val")
    released(tmp_path, "train", {"1": annotation()})
    assert [s.path.stem for s in read_voc(tmp_path, "train").samples] == ["1"]
    assert [s.path.stem for s in read_voc(tmp_path, "val").samples] == ["000009"]


def test_other_names_are_taken_from_the_trees_of_all_splits(tmp_path: Path) -> None:
    released(tmp_path, "train", {"1": annotation(("crack", 0))})
    released(tmp_path, "val", {"2": annotation(("bolt", 0))})
    assert read_voc(tmp_path, "train").labels == ("bolt", "crack")
    assert read_voc(tmp_path, "val").targets.tolist() == [[1, 0]]


def test_a_wrong_annotation_is_named_with_its_tree(tmp_path: Path) -> None:
    released(tmp_path, "train", {"1": annotation()})
    released(tmp_path, "val", {"1": annotation(("dog", 2))})
    with pytest.raises(DataError, match=r"^val/VOCdevkit/VOC2007/Annotations/1.xml: object 1: "):
        read_voc(tmp_path, "train")


def test_two_years_of_a_split_are_not_guessed_between(tmp_path: Path) -> None:
    released(tmp_path, "train", {"1": annotation()})
    small(tmp_path / "train/VOC2012")
    with pytest.raises(DataError, match="got train/VOC2012 and train/VOCdevkit/VOC2007"):
        read_voc(tmp_path, "train")


def test_a_split_without_a_tree_names_those_that_have_one(tmp_path: Path) -> None:
    released(released(tmp_path, "val", {"1": annotation()}), "train", {"1": annotation()})
    with pytest.raises(DataError, match=r"^test: .*test.VOCdevkit \(there are: train, val\)"):
        read_voc(tmp_path, "test")


def test_a_tree_without_the_list_of_its_split_names_the_lists_it_has(tmp_path: Path) -> None:
    write(tmp_path / "val/VOCdevkit/VOC2007", {"1": annotation()}, "trainval")
    with pytest.raises(DataError, match=r"^val: .*Main.val.txt \(there are: trainval\)"):
        read_voc(tmp_path, "val")


def test_a_picture_has_the_suffix_of_its_filename_if_that_is_one(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"a.1": annotation(filename="other.PNG"), "b.2": annotation(filename="b.2")},
    )
    names = [sample.path.name for sample in read_voc(tmp_path, "train").samples]
    assert names == ["a.1.PNG", "b.2.jpg"]


def test_the_lists_of_single_labels_are_read_by_their_first_column(tmp_path: Path) -> None:
    small(tmp_path)
    (tmp_path / "ImageSets/Main/cat_train.txt").write_text("000007  1\n\n000009 -1\n")
    split = read_voc(tmp_path, "cat_train", ["cat"])
    assert split.targets.tolist() == [[1], [0]]
    assert split.samples[1].source == "cat_train.txt:3"


def test_an_unknown_label_is_named_with_its_object_and_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        read_voc(small(tmp_path), "train", ["dog", "cart"])
    message = str(error.value)
    assert message.startswith("Annotations/000005.xml: object 3: unknown label 'cat'")
    assert "'cart'" in message


BOMB = '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><annotation>&c;</annotation>'


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        (BOMB, "expected XML without DOCTYPE and ENTITY, got DOCTYPE 'a'"),
        (f'<?xml version="1.0" encoding="utf-16"?>{BOMB}'.encode("utf-16"), "got DOCTYPE 'a'"),
        ("<annotation><object>", "expected XML, got: no element found"),
        ("", "expected XML, got: no element found"),
        (b"<annotation>\xff</annotation>", "expected XML, got: not well-formed"),
        ('<?xml version="1.0" encoding="nix"?><a/>', "expected XML, got: unknown encoding"),
        ("<annotation><object/></annotation>", "object 1: expected a <name>, got none"),
        (annotation(("dog", 0), ("dog", 2)), "object 2: expected 0 or 1 as <difficult>, got '2'"),
    ],
)
@pytest.mark.parametrize("labels", [None, ["dog"]])
def test_a_wrong_annotation_is_refused_in_one_line(
    tmp_path: Path, xml: str | bytes, message: str, labels: list[str] | None
) -> None:
    with pytest.raises(DataError) as error:
        read_voc(write(tmp_path, {"1": xml}), "train", labels)
    assert str(error.value).startswith("Annotations/1.xml: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        (b"", "train.txt: no rows"),
        (b"\n\n", "train.txt: no rows"),
        (b"000005\n\n000005\n", "train.txt:3: picture '000005' is already listed in train.txt:1"),
        (b"000005\n000042\n", "Annotations/000042.xml: no such file (listed in train.txt:2)"),
        (b"\xff\xfe", "train.txt: expected UTF-8 text, got: 'utf-8' codec"),
    ],
)
def test_a_wrong_list_is_refused_in_one_line(tmp_path: Path, listed: bytes, message: str) -> None:
    small(tmp_path)
    (tmp_path / "ImageSets/Main/train.txt").write_bytes(listed)
    with pytest.raises(DataError) as error:
        read_voc(tmp_path, "train")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_root_says_what_belongs_inside(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder .*nowhere \(expected JPEGImages/, Annotations"):
        read_voc(tmp_path / "nowhere", "train")


def test_an_empty_root_says_what_belongs_inside(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data.root: expected JPEGImages/, Annotations/.*got none"):
        read_voc(tmp_path, "train")


def test_a_missing_split_names_those_that_exist_without_the_lists_of_labels(tmp_path: Path) -> None:
    small(tmp_path)
    for name in ("val", "cat_train", "cat_val"):
        (tmp_path / f"ImageSets/Main/{name}.txt").touch()
    with pytest.raises(DataError, match=r"^test: no such split.*\(there are: train, val\)"):
        read_voc(tmp_path, "test")


# Lists alone


def write_lists(root: Path, lists: dict[str, str]) -> Path:
    (root / "ImageSets/Main").mkdir(parents=True)
    for name, text in lists.items():
        (root / "ImageSets/Main" / f"{name}.txt").write_text(text)
    return root


LISTS = {
    "train": "a\nb\nc\n",
    "cat_train": "a  1\nb -1\nc  0\n",
    "traffic_light_train": "a -1\nb  1\nc -1\n",
    "cat_val": "d  1\n",
    "traffic_light_val": "d -1\n",
}


def test_lists_alone_give_the_labels(tmp_path: Path) -> None:
    draw(write_lists(tmp_path, LISTS), *(f"JPEGImages/{name}.png" for name in "abcd"))
    found = recognised("voc", tmp_path)
    assert (found.data.train, found.data.val, found.data.test) == ("train", "val", "")
    assert "lists without XML" in found.said
    splits = splits_of(found.data)
    assert splits["train"].labels == ("cat", "traffic_light")
    assert splits["train"].targets.tolist() == [[1, 0], [0, 1], [-1, 0]]
    assert below(tmp_path, splits["train"]) == [f"JPEGImages/{name}.png" for name in "abc"]
    assert splits["val"].targets.tolist() == [[1, 0]]
    assert splits["train"].samples[2].source == "train.txt:3"
    asked = recognised("voc", tmp_path, difficult="negative").data
    assert read_split(asked, "train").targets[2].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("cat_train", "a 1\nb 2\nc 1\n", "cat_train.txt:2: expected 1, -1 or 0 after the id"),
        ("cat_train", "a 1\nb\nc 1\n", "cat_train.txt:2: expected 1, -1 or 0 after the id, got ''"),
        ("cat_train", "a 1\nx 1\n", "cat_train.txt:2: picture 'x' is not in the other lists"),
        ("cat_train", "a 1\nc 1\n", "cat_train.txt: expected a line for each picture of the split"),
        ("cat_train", "a 1\na 1\n", "cat_train.txt:2: picture 'a' is already listed"),
    ],
)
def test_wrong_lists_of_labels_are_refused(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    draw(write_lists(tmp_path, LISTS | {name: text}), "JPEGImages/a.png")
    with pytest.raises(DataError) as error:
        read_voc(tmp_path, "train")
    assert message in str(error.value)


# XML files without lists


def write_xml(root: Path, folder: str, pictures: str, **objects: tuple[str, ...]) -> None:
    for stem, names in objects.items():
        xml = annotation(*((name, 0) for name in names), filename=f"other/{stem}.png")
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / f"{stem}.xml").write_text(xml)
        draw(root, f"{pictures}/{stem}.png")


@pytest.mark.parametrize(
    ("folder", "pictures", "train"),
    [(".", ".", "."), ("Annotations", "JPEGImages", "Annotations"), ("xml", "images", "xml")],
)
def test_a_folder_of_xml_files_is_read(
    tmp_path: Path, folder: str, pictures: str, train: str
) -> None:
    write_xml(tmp_path, folder, pictures, a=("dog",), b=(), c=("dog", "cat"))
    found = recognised("voc", tmp_path)
    assert (found.data.train, found.data.val) == (train, "")
    split = read_split(found.data, train)
    assert split.labels == ("cat", "dog")
    assert split.targets.tolist() == [[0, 1], [0, 0], [1, 1]]
    names = [f"{pictures}/{name}.png".removeprefix("./") for name in "abc"]
    assert below(tmp_path, split) == names


def test_folders_of_xml_files_are_splits_and_pictures_without_one_are_left_out(
    tmp_path: Path,
) -> None:
    write_xml(tmp_path, "train", "train", a=("dog",), b=("cat",))
    write_xml(tmp_path, "valid", "valid", a=("dog",))
    draw(tmp_path, "train/new.png")
    found = recognised("voc", tmp_path)
    assert (found.data.train, found.data.val) == ("train", "valid")
    splits = splits_of(found.data)
    assert below(tmp_path, splits["train"]) == ["train/a.png", "train/b.png"]
    assert below(tmp_path, splits["val"]) == ["valid/a.png"]
    assert splits["val"].targets.tolist() == [[0, 1]]
    assert "1 picture without an XML file left out" in found.said


# Recognising


def test_a_year_is_recognised(tmp_path: Path) -> None:
    write(tmp_path / "VOC2007", {"1": annotation(("dog", 0)), "2": annotation()}, "train")
    for split, listed in (("val", "2\n"), ("trainval", "1\n2\n"), ("test", "9\n")):
        (tmp_path / f"VOC2007/ImageSets/Main/{split}.txt").write_text(listed)
    found = recognised("voc", tmp_path)
    assert (found.data.train, found.data.val, found.data.test) == ("train", "val", "")
    assert "20 labels (aeroplane" in found.said
    assert "test has no annotations and is left out" in found.said


def test_trees_of_splits_are_recognised(tmp_path: Path) -> None:
    released(released(tmp_path, "val", {"1": annotation()}), "train", {"1": annotation()})
    found = recognised("voc", tmp_path).data
    assert (found.train, found.val, found.test) == ("train", "val", "")


def test_several_years_are_not_recognised_as_one(tmp_path: Path) -> None:
    small(tmp_path / "VOCdevkit/VOC2007")
    small(tmp_path / "VOCdevkit/VOC2012")
    with pytest.raises(DataError, match="got VOCdevkit/VOC2007 and VOCdevkit/VOC2012"):
        recognised("voc", tmp_path)


def test_other_xml_is_not_voc(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<annotations/>")
    assert LAYOUTS["voc"].recognise(Given(tmp_path, Data())) is None
