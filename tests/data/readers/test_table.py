"""What a user may rely on when reading a table."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lcnet.config import Data, Table
from lcnet.data.dataset import Split
from lcnet.data.readers.table import read_table
from lcnet.data.readers.table_understanding import understand
from lcnet.errors import DataError


def write(root: Path, text: str | bytes, name: str = "train.csv") -> Path:
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return root


def read(root: Path, name: str, labels: list[str] | None = None, **settings: Any) -> Split:
    return read_table(Data(format="table", root=str(root), train=name, **settings), name, labels)


# 0/1 columns


def test_columns_hold_present_absent_and_unknown(tmp_path: Path) -> None:
    write(tmp_path, "picture,dog,cat\na.jpg,1,0\nb.jpg,1.0,0.0\nc.jpg,-1,\nd.jpg,-1.0, 1 \n")
    split = read(tmp_path, "train.csv")
    assert split.labels == ("dog", "cat")
    assert split.targets.tolist() == [[1, 0], [1, 0], [-1, -1], [-1, 1]]
    assert split.name == "train.csv"


def test_a_row_that_ends_early_is_unknown_from_there(tmp_path: Path) -> None:
    write(tmp_path, "picture,dog,cat\na.jpg,1\n")
    assert read(tmp_path, "train.csv").targets[0].tolist() == [1, -1]


def test_one_column_of_zeros_and_ones_is_one_label(tmp_path: Path) -> None:
    split = read(write(tmp_path, "picture,dog\na.jpg,1\nb.jpg,0\nc.jpg,\n"), "train.csv")
    assert split.labels == ("dog",)
    assert split.targets.tolist() == [[1], [0], [-1]]


def test_given_labels_set_the_order_of_columns(tmp_path: Path) -> None:
    write(tmp_path, "picture,dog,cat\na.jpg,1,0\n")
    assert read(tmp_path, "train.csv", ["cat", "dog"]).targets[0].tolist() == [0, 1]


def test_pictures_are_found_from_the_root_and_rows_by_their_line(tmp_path: Path) -> None:
    write(tmp_path, "picture,dog\nimg/a b.jpg,1\n\n,\nc.jpg,0\n", "lists/train.csv")
    samples = read(tmp_path, "lists/train.csv").samples
    assert [sample.path for sample in samples] == [tmp_path / "img/a b.jpg", tmp_path / "c.jpg"]
    assert [sample.source for sample in samples] == ["lists/train.csv:2", "lists/train.csv:5"]


def test_pictures_may_have_a_folder_of_their_own(tmp_path: Path) -> None:
    write(tmp_path, "picture,dog\nimg/a.jpg,1\n")
    split = read(tmp_path, "train.csv", folders=["photos"])
    assert split.samples[0].path == tmp_path / "photos/img/a.jpg"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_text_is_utf8_with_or_without_a_mark(tmp_path: Path, encoding: str) -> None:
    split = read(write(tmp_path, "Bild,Kätzchen\n猫.jpg,1\n".encode(encoding)), "train.csv")
    assert split.labels == ("Kätzchen",)
    assert split.samples[0].path.name == "猫.jpg"


@pytest.mark.parametrize("cell", ["nan", "None", "null", "N/A", "[]", ""])
def test_a_cell_that_says_there_is_no_value_is_no_label(tmp_path: Path, cell: str) -> None:
    split = read(write(tmp_path, f"picture,labels\nnull,cat|dog\nb.jpg,{cell}\n"), "train.csv")
    assert split.labels == ("cat", "dog")
    assert split.targets.tolist() == [[1, 1], [0, 0]]
    assert split.samples[0].path == tmp_path / "null"


# Label names


@pytest.mark.parametrize(
    ("blank", "setting", "targets"),
    [
        ("", [], [0, 0]),
        ("", [""], [-1, -1]),
        ("nan", [""], [-1, -1]),
        ("[]", [""], [0, 0]),
        ("[]", ["[]"], [-1, -1]),
        ("to do", ["To do"], [-1, -1]),
        ("No finding", [""], [0, 0]),
    ],
)
def test_a_row_without_names_shows_none_of_them_unless_that_is_unknown(
    tmp_path: Path, blank: str, setting: list[str], targets: list[int]
) -> None:
    write(tmp_path, f"picture,labels\na.jpg,cat|dog\nb.jpg,cat\nc.jpg,{blank}\n")
    split = read(tmp_path, "train.csv", table=Table(unknown=setting))
    assert split.labels == ("cat", "dog")
    assert split.targets.tolist() == [[1, 1], [1, 0], targets]
    said = understand(Data(root=str(tmp_path), table=Table(unknown=setting)), "train.csv").said
    assert "labels that a row does not name are absent" in said
    if targets == [0, 0] and blank != "No finding":
        (line,) = split.doubts
        assert "train.csv: 1 of 3 entries names no label" in line
        assert f"--data.table.unknown '[\"{blank}\"]'" in line
        assert "is none of the labels (1 row)" in said
    else:
        assert not split.doubts
        assert ("is unknown (1 row)" in said) == (blank in ("", "nan", "[]"))


def test_a_row_per_label_says_of_rows_without_a_name(tmp_path: Path) -> None:
    write(tmp_path, "picture,label\na.jpg,cat\na.jpg,dog\nb.jpg,cat\nc.jpg,\n")
    table = Table(rows="label")
    split = read(tmp_path, "train.csv", table=table)
    assert split.targets.tolist() == [[1, 1], [1, 0], [0, 0]]
    assert "1 of 4 entries names no label" in split.doubts[0]
    split = read(tmp_path, "train.csv", table=replace(table, unknown=[""]))
    assert split.targets.tolist() == [[1, 1], [1, 0], [-1, -1]]
    split = read(tmp_path, "train.csv", table=replace(table, unlisted="unknown"))
    assert split.targets.tolist() == [[1, 1], [1, -1], [-1, -1]]
    assert not split.doubts


def test_one_column_of_names_marks_those_and_no_others(tmp_path: Path) -> None:
    write(tmp_path, "picture,labels\na.jpg,dog | traffic light\nb.jpg,\nc.jpg,cat|\n")
    split = read(tmp_path, "train.csv")
    assert split.labels == ("cat", "dog", "traffic light")
    assert split.targets.tolist() == [[0, 1, 1], [0, 0, 0], [1, 0, 0]]


def test_the_separator_can_be_chosen(tmp_path: Path) -> None:
    write(tmp_path, 'picture,labels\na.jpg,"dog, cat"\nb.jpg,a|b\n')
    assert read(tmp_path, "train.csv", separator=",").labels == ("a|b", "cat", "dog")


def test_given_labels_set_the_order_of_names_and_may_be_more(tmp_path: Path) -> None:
    write(tmp_path, "picture,labels\na.jpg,dog\n")
    split = read(tmp_path, "train.csv", ["dog", "cow", "cat"])
    assert split.labels == ("dog", "cow", "cat")
    assert split.targets[0].tolist() == [1, 0, 0]


def test_given_labels_tell_names_from_marks_where_cells_do_not(tmp_path: Path) -> None:
    write(tmp_path, "picture,labels\na.jpg,1\nb.jpg,\n")
    assert read(tmp_path, "train.csv", ["0", "1"]).targets.tolist() == [[0, 1], [0, 0]]
    write(tmp_path, "picture,labels\na.jpg,\nb.jpg,\n")
    assert read(tmp_path, "train.csv", ["dog"]).targets.tolist() == [[0], [0]]
    assert read(tmp_path, "train.csv", ["labels"]).targets.tolist() == [[-1], [-1]]


# Errors


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("picture,dog\n", "train.csv: no rows"),
        ("picture,dog\n\n,\n", "train.csv: no rows"),
        ("", "train.csv: expected a table, got an empty file"),
        ("picture\na.jpg\n", "train.csv: no label column"),
        ("p,dog,cat\na.jpg,1,0,1\n", "train.csv:2: expected 3 cells, got 4"),
        ('p,dog\n"a.jpg,1\n', "got: unexpected end of data"),
        (b"p,dog\n\x81.jpg,1\n", "train.csv: expected text in UTF-8, UTF-16 or cp1252"),
        ("p,dog,cat,dog\na.jpg,1,0,1\n", "train.csv:1: expected each column once, got 'dog' twice"),
        ("p,dog, dog\na.jpg,1,0\n", "expected each column once, got 'dog' twice"),
        ("p,dog,\na.jpg,1,1\n", "train.csv:1: column 3 has no name"),
        ("p,dog,cat\na.jpg,1,1\nb.jpg,1,ok\n", "train.csv: column 'cat': expected 1 and 0, or"),
        ("p,dog,cat\na.jpg,1,0\n\nb.jpg,2,0\n", "train.csv: column 'dog': expected 1 and 0, or"),
        ("p,dog\n,1\n", "train.csv:2: no picture in column 'p'"),
        ("p,dog\na.jpg,1\nb.jpg,0\n./a.jpg,0\n", "train.csv:4: picture './a.jpg' is already"),
        ("p,labels\na.jpg,|\n", "train.csv: expected at least one label, got none"),
    ],
)
def test_a_wrong_table_is_refused_in_one_line(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    with pytest.raises(DataError) as error:
        read(write(tmp_path, text), "train.csv")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_wrong_cell_is_quoted(tmp_path: Path) -> None:
    table = Table(picture="p", labels=["dog", "cat"], present=["1"], absent=["0"], header="yes")
    known = replace(table, delimiter=",", encoding="utf-8")
    with pytest.raises(DataError, match=r"^train.csv:2: column 'cat': expected .* got 'yes'"):
        read(write(tmp_path, "p,dog,cat\na.jpg,1,yes\n"), "train.csv", table=known)


@pytest.mark.parametrize(
    ("text", "message", "nearest"),
    [
        ("p,dgo,cat\na.jpg,1,0\n", "train.csv:1: unknown label 'dgo'", "'dog'"),
        ("p,labels\na.jpg,dog\nb.jpg,cat|cats\n", "train.csv:3: unknown label 'cats'", "'cat'"),
    ],
)
def test_an_unknown_label_is_named_with_its_place_and_the_nearest_name(
    tmp_path: Path, text: str, message: str, nearest: str
) -> None:
    with pytest.raises(DataError) as error:
        read(write(tmp_path, text), "train.csv", ["dog", "cat"])
    assert str(error.value).startswith(message)
    assert nearest in str(error.value)


def test_a_column_may_not_be_lacking(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train.csv:1: expected a column for each.*none for 'cow'"):
        read(write(tmp_path, "p,dog,cat\na.jpg,1,0\n"), "train.csv", ["dog", "cow", "cat"])


def test_given_labels_must_differ(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="each label name once, got 'dog' twice"):
        read(write(tmp_path, "p,labels\na.jpg,dog\n"), "train.csv", ["dog", "dog"])


def test_a_missing_root_says_what_belongs_inside(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder .*nowhere \(expected train.csv and the pict"):
        read(tmp_path / "nowhere", "train.csv")


def test_a_missing_table_names_those_that_exist(tmp_path: Path) -> None:
    write(write(tmp_path, "p,dog\n", "fit.csv"), "p,dog\n", "eval.csv")
    with pytest.raises(DataError, match=r"^train.csv: no such split.*there are: eval.csv, fit.csv"):
        read(tmp_path, "train.csv")


@pytest.mark.parametrize(
    "rows",
    [
        ["1,0,1", ",,", "1,,0", ",1,", "0,0,", ",,1"],
        ["1.0,0,1", "1,1.0,0.0", "01,0,1", " 1, 0,1"],
        ["1,0", "1", ",1,0"],
    ],
)
def test_single_signs_and_other_cells_mean_the_same(tmp_path: Path, rows: list[str]) -> None:
    meaning = {"1": 1, "0": 0, "": -1}
    lines = [f"{number}.jpg,{row}" for number, row in enumerate([*rows, "1,0,1"])]
    write(tmp_path, "\n".join(["image,a,b,c", *lines]) + "\n")
    expected = [
        [meaning[cell.strip().lstrip("0").partition(".")[0] or cell.strip()[:1]] for cell in row]
        for row in ([*line.split(","), "", ""][1:4] for line in lines)
    ]
    assert read(tmp_path, "train.csv").targets.tolist() == expected


def test_a_cell_of_several_signs_is_no_row_of_single_ones(tmp_path: Path) -> None:
    known = Table(
        picture="image", labels=["a", "b"], present=["1"], absent=["0"], unknown=[""], header="yes",
        delimiter=",", encoding="utf-8",
    )  # fmt: skip
    write(tmp_path, "image,a,b\n1.jpg,1,0\n2.jpg,10,\n")
    with pytest.raises(DataError, match=r"column 'a': expected .* got '10'"):
        read(tmp_path, "train.csv", table=known)
