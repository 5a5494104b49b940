"""What a user may rely on when reading Hugging Face's metadata files."""

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from tests.data.readers.drawing import below, draw, recognised, splits_of, store

from lcnet.data.readers import read_split
from lcnet.data.readers.layout import Given
from lcnet.data.readers.layouts import LAYOUTS
from lcnet.errors import DataError


def row(name: object, **columns: object) -> dict[str, Any]:
    return {"file_name": name, **columns}


def write(file: Path, *rows: dict[str, Any]) -> Path:
    """A metadata file of the form that its suffix says."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), file)
        return file
    if file.suffix == ".jsonl":
        return store(file, "".join(json.dumps(one) + "\n" for one in rows))
    cells = [[f'"{cell}"' for cell in one.values()] for one in rows]
    return store(file, "\n".join([",".join(rows[0]), *(",".join(one) for one in cells)]) + "\n")


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_lists_of_names_are_read(tmp_path: Path, suffix: str) -> None:
    for split in ("train", "validation", "test"):
        draw(tmp_path, f"{split}/0.png", f"{split}/1.png")
        rows = [row("0.png", labels=["cat", "wild dog"]), row("1.png", labels=[])]
        write(tmp_path / split / f"metadata.{suffix}", *rows)
    found = recognised("huggingface", tmp_path)
    assert found.data.val == f"validation/metadata.{suffix}"
    for role, split in splits_of(found.data).items():
        assert split.labels == ("cat", "wild dog")
        assert split.targets.tolist() == [[1, 1], [0, 0]]
        folder = "validation" if role == "val" else role
        assert below(tmp_path, split) == [f"{folder}/0.png", f"{folder}/1.png"]
    assert "labels of column 'labels'" in found.said


def test_one_file_with_folders_has_splits(tmp_path: Path) -> None:
    draw(tmp_path, "train/0.png", "test/0.png", "more/1.png")
    write(
        tmp_path / "metadata.jsonl",
        row("train/0.png", tags=["cat"]),
        row("test/0.png", tags=["dog"]),
        row("more/1.png", tags=["dog"]),
    )
    found = recognised("huggingface", tmp_path)
    assert found.data.train == "metadata.jsonl[train]"
    assert found.data.test == "metadata.jsonl[test]"
    splits = splits_of(found.data)
    assert splits["train"].labels == ("cat", "dog")
    assert below(tmp_path, splits["test"]) == ["test/0.png"]
    assert splits["test"].targets.tolist() == [[0, 1]]
    assert "1 row outside the folders of splits left out" in found.said


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_columns_of_0_and_1_are_labels(tmp_path: Path, suffix: str) -> None:
    draw(tmp_path, "0.png", "1.png")
    write(
        tmp_path / f"metadata.{suffix}",
        row("0.png", cat=1, dog=0, text="a cat"),
        row("1.png", cat=0, dog=1, text="a dog"),
    )
    found = recognised("huggingface", tmp_path).data
    split = read_split(found, found.train)
    assert (split.labels, split.targets.tolist()) == (("cat", "dog"), [[1, 0], [0, 1]])


def test_several_columns_need_a_choice_which_then_works(tmp_path: Path) -> None:
    draw(tmp_path, "0.png")
    write(tmp_path / "metadata.jsonl", row("0.png", tags=["cat"], scenes=["night"], is_valid=True))
    with pytest.raises(DataError, match=r"'tags' \(lists\) and 'scenes' \(lists\) and 'columns'"):
        recognised("huggingface", tmp_path)
    for asked, label in (("tags", "cat"), ("scenes", "night"), ("columns", "is_valid")):
        found = recognised("huggingface", tmp_path, labels_in=asked).data
        assert read_split(found, found.train).labels == (label,)


def test_joined_names_are_not_guessed(tmp_path: Path) -> None:
    draw(tmp_path, "0.png", "1.png")
    write(tmp_path / "metadata.csv", row("0.png", label="cat"), row("1.png", label="cat;dog"))
    with pytest.raises(DataError, match=r"row 2: .*set --data.separator ';'"):
        recognised("huggingface", tmp_path)
    found = recognised("huggingface", tmp_path, separator=";").data
    assert read_split(found, found.train).targets.tolist() == [[1, 0], [1, 1]]


def test_a_list_that_numpy_wrote_is_several_names(tmp_path: Path) -> None:
    draw(tmp_path, "0.png")
    store(tmp_path / "metadata.csv", "file_name,labels\n0.png,\"['cat' 'dog']\"\n")
    found = recognised("huggingface", tmp_path).data
    assert read_split(found, found.train).labels == ("cat", "dog")


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ('"[""caf\\u00e9"", ""a/b""]"', ("a/b", "café")),
        ("\"['it\\'s', 'x, y']\"", ("it's", "x, y")),
        ("\"['cat',]\"", ("cat",)),
    ],
)
def test_lists_in_cells_are_read_as_they_were_written(
    tmp_path: Path, cell: str, names: tuple[str, ...]
) -> None:
    draw(tmp_path, "0.png")
    store(tmp_path / "metadata.csv", f"file_name,labels\n0.png,{cell}\n")
    found = recognised("huggingface", tmp_path).data
    assert read_split(found, found.train).labels == names


def test_two_files_of_a_folder_must_agree(tmp_path: Path) -> None:
    draw(tmp_path, "train/0.png")
    write(tmp_path / "train/metadata.csv", row("0.png", labels=["cat"]))
    write(tmp_path / "train/metadata.jsonl", row("0.png", labels=["cat"]))
    assert recognised("huggingface", tmp_path).data.train == "train/metadata.jsonl"
    write(tmp_path / "train/metadata.csv", row("0.png", labels=["dog"]))
    with pytest.raises(DataError, match=r"got train/metadata.csv and train/metadata.jsonl. Set"):
        recognised("huggingface", tmp_path)
    asked = recognised("huggingface", tmp_path, train="train/metadata.csv").data
    assert read_split(asked, asked.train).labels == ("dog",)


def test_rows_without_labels_are_left_out_and_said(tmp_path: Path) -> None:
    draw(tmp_path, "0.png")
    write(tmp_path / "metadata.jsonl", row("0.png", labels=["cat"]), row("1.png", labels=None))
    found = recognised("huggingface", tmp_path)
    assert len(read_split(found.data, found.data.train)) == 1
    assert "1 row without labels left out" in found.said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"file_name": "0.png", "labels": [0, 1]}\n', "row 1: expected a list of names, got"),
        ('{"file_name": "0.png", "labels": ["a"]}\n[]\n', "metadata.jsonl:2: expected an object"),
        ('{"file_name": 3, "labels": ["a"]}\n', "row 1: expected the path of a picture, got 3"),
        ('{"file_name": "0.png", "text": "a cat"}\n', "expected labels, got none"),
        ('{"file_name": "0.png", "labels": ["a"]}\n{\n', "expected a .jsonl file, got"),
        ('{"file_name": ' + "[" * 100_000, "expected a .jsonl file, got"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    draw(tmp_path, "0.png")
    store(tmp_path / "metadata.jsonl", text)
    with pytest.raises(DataError) as error:
        read_split(recognised("huggingface", tmp_path).data, "metadata.jsonl")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_ragged_table_is_refused(tmp_path: Path) -> None:
    store(tmp_path / "metadata.csv", "file_name,labels\n0.png,a,b\n")
    with pytest.raises(DataError, match="row 2 has another number of cells than the header"):
        recognised("huggingface", tmp_path)


def test_a_file_without_pictures_is_not_metadata_of_pictures(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_bytes("name;labels\n0.png;café\n".encode("cp1252"))
    assert LAYOUTS["huggingface"].recognise(Given(tmp_path)) is None
