import json
from pathlib import Path

import pytest

from lcnet.config import Data
from lcnet.data.readers import load_split
from lcnet.data.readers.layouts import LAYOUTS
from lcnet.errors import DataError


def test_every_format_of_the_settings_has_a_reader():
    assert set(LAYOUTS) == set(Data.__dataclass_fields__["format"].type.__args__)


def test_a_listed_picture_that_is_not_there_is_named_with_its_row(colour_table):
    (colour_table / "images" / "train3.png").unlink()
    (colour_table / "images" / "train7.png").unlink()
    with pytest.raises(DataError, match=r"train\.csv:5: no picture .*train3\.png, and 1 more"):
        load_split(Data("table", str(colour_table)), "train.csv")


def test_a_missing_rope_picture_is_named_with_its_row(tmp_path: Path):
    (tmp_path / "ropeVal").mkdir()
    (tmp_path / "ropeVal" / "a.jpg").touch()
    (tmp_path / "a b.jpg").touch()
    (tmp_path / "imageLabelsVal.csv").write_text("name,wear\na.jpg,1\na b.jpg,0\n")
    with pytest.raises(DataError, match=r"^imageLabelsVal\.csv:3: no picture .*ropeVal.a b\.jpg\."):
        load_split(Data("rope", str(tmp_path)), "val")


def marked(root: Path, *marks: str) -> Path:
    """A table of two labels with one picture per row of marks."""
    rows = [f"{number}.png,{row}" for number, row in enumerate(marks)]
    for number in range(len(rows)):
        (root / f"{number}.png").touch()
    (root / "train.csv").write_text("\n".join(["image,cat,dog", *rows]) + "\n")
    return root


def names(root: Path, split: str, **settings: str) -> list[str]:
    """The pictures that `load_split` gives, by name."""
    samples = load_split(Data(root=str(root), **settings), split).samples
    return [sample.path.name for sample in samples]


def test_annotated_leaves_out_what_has_no_present_label(tmp_path: Path):
    marked(tmp_path, "1,0", "0,0", ",1", ",", "0,-1", "1,1")
    settings = {"format": "table", "images": "annotated"}
    assert names(tmp_path, "train.csv", **settings) == ["0.png", "2.png", "5.png"]
    split = load_split(Data(root=str(tmp_path), **settings), "train.csv")
    assert split.targets.tolist() == [[1, 0], [-1, 1], [1, 1]]
    assert [sample.source for sample in split.samples] == [f"train.csv:{n}" for n in (2, 4, 7)]
    assert (split.labels, split.name) == (("cat", "dog"), "train.csv")


def test_all_pictures_are_taken_unless_told_otherwise(tmp_path: Path):
    marked(tmp_path, "1,0", "0,0", ",")
    assert names(tmp_path, "train.csv", format="table") == ["0.png", "1.png", "2.png"]


def test_annotated_leaves_out_the_coco_pictures_without_objects(tmp_path: Path):
    content = {
        "images": [{"id": number, "file_name": f"{number}.jpg"} for number in (1, 2, 3)],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"image_id": 3, "category_id": 1, "iscrowd": 1}],
    }
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/instances_val.json").write_text(json.dumps(content))
    (tmp_path / "val").mkdir()
    for number in (1, 2, 3):
        (tmp_path / f"val/{number}.jpg").touch()
    assert names(tmp_path, "val", format="coco") == ["1.jpg", "2.jpg", "3.jpg"]
    assert names(tmp_path, "val", format="coco", images="annotated") == ["3.jpg"]


@pytest.mark.parametrize(("difficult", "kept"), [("positive", 2), ("negative", 1), ("unknown", 1)])
def test_annotated_counts_difficult_objects_as_told(tmp_path: Path, difficult: str, kept: int):
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (tmp_path / folder).mkdir(parents=True)
    for mark in "01":
        (tmp_path / f"JPEGImages/{mark}.jpg").touch()
        (tmp_path / f"Annotations/{mark}.xml").write_text(
            f"<a><object><name>cat</name><difficult>{mark}</difficult></object></a>"
        )
    (tmp_path / "ImageSets/Main/train.txt").write_text("0\n1\n")
    settings = {"format": "voc", "difficult": difficult, "images": "annotated"}
    assert names(tmp_path, "train", **settings) == ["0.jpg", "1.jpg"][:kept]


def test_annotated_needs_one_present_label(tmp_path: Path):
    marked(tmp_path, "0,0", "0,")
    with pytest.raises(DataError) as error:
        names(tmp_path, "train.csv", format="table", images="annotated")
    assert "'train.csv': expected a picture with a present label, got none in 2" in str(error.value)
    assert "\n" not in str(error.value)


def test_the_separator_reaches_the_table_reader(colour_table: Path):
    rows = "image,names\nimages/train0.png,a;b\nimages/train1.png,b\n"
    (colour_table / "names.csv").write_text(rows)
    split = load_split(Data("table", str(colour_table), separator=";"), "names.csv")
    assert (split.labels, split.targets.tolist()) == (("a", "b"), [[1, 1], [0, 1]])
