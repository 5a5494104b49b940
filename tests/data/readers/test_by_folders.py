"""Layouts that are recognised by their folders."""

from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from tests.data.readers.drawing import draw, recognised, splits_of, store

from lcnet.data.readers.digits import write_scenes
from lcnet.data.readers.layout import Given
from lcnet.data.readers.layouts import LAYOUTS
from lcnet.errors import DataError


def test_scenes_of_digits_are_recognised(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write_scenes(tmp_path / split, split, scenes=2)
    data = recognised("digits", tmp_path).data
    assert (data.train, data.val, data.test) == ("train", "val", "")


def test_rope_is_recognised(tmp_path: Path) -> None:
    for split in ("Train", "Val"):
        draw(tmp_path, f"rope{split}/a.png")
        store(tmp_path / f"imageLabels{split}.csv", "image,cut,worn\na.png,1,0\n")
    data = recognised("rope", tmp_path).data
    assert (data.train, data.val, data.test) == ("train", "val", "")
    assert splits_of(data)["val"].targets.tolist() == [[1, 0]]


def test_shards_are_recognised_in_the_folder_of_each_split(tmp_path: Path) -> None:
    for split in ("train", "validation"):
        store(tmp_path / split / "0.tar", "")
    data = recognised("shards", tmp_path).data
    assert (data.train, data.val, data.test) == ("train", "validation", "")


@pytest.mark.parametrize("folder", [".", "data"])
def test_shards_of_several_splits_in_one_folder_are_refused(tmp_path: Path, folder: str) -> None:
    store(tmp_path / folder / "train-0.tar", "")
    store(tmp_path / folder / "val-0.tar", "")
    with pytest.raises(DataError, match="Move them into train/ and val/"):
        recognised("shards", tmp_path)


def test_parquet_files_are_shards_if_they_have_pictures(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    table = pyarrow.Table.from_pylist([{"image": "a.png", "labels": ["cat"]}])
    pyarrow.parquet.write_table(table, tmp_path / "data/0.parquet")
    assert LAYOUTS["shards"].recognise(Given(tmp_path)) is None
    table = pyarrow.Table.from_pylist([{"image": {"bytes": b"x"}, "labels": ["cat"]}])
    pyarrow.parquet.write_table(table, tmp_path / "data/0.parquet")
    assert recognised("shards", tmp_path).data.train == "data"


def test_an_archive_beside_a_table_is_no_shard(tmp_path: Path) -> None:
    store(tmp_path / "images.tar", "")
    store(tmp_path / "train.csv", "image,cat\n")
    assert LAYOUTS["shards"].recognise(Given(tmp_path)) is None


@pytest.mark.parametrize("form", sorted(LAYOUTS))
def test_an_empty_folder_and_a_picture_are_of_no_layout(tmp_path: Path, form: str) -> None:
    assert LAYOUTS[form].recognise(Given(tmp_path)) is None
    draw(tmp_path, "a.png")
    assert LAYOUTS[form].recognise(Given(tmp_path / "a.png")) is None
