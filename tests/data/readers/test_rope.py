"""What a user may rely on when reading rope damage."""

from pathlib import Path

import pytest

from lcnet.data.readers.rope import read_rope
from lcnet.errors import DataError


def write(root: Path, text: str | bytes, split: str = "Train") -> Path:
    (root / f"rope{split}").mkdir(exist_ok=True)
    stored = text.encode() if isinstance(text, str) else text
    (root / f"imageLabels{split}.csv").write_bytes(stored)
    return root


def test_a_row_is_a_picture_of_the_split_and_a_column_a_label(tmp_path: Path) -> None:
    write(tmp_path, "name,wear,cut,birdcage\na.jpg,1,0,1\nb.png,0.0,1.0,0\n")
    split = read_rope(tmp_path, "train")
    assert split.labels == ("wear", "cut", "birdcage")
    assert split.targets.tolist() == [[1, 0, 1], [0, 1, 0]]
    assert [s.path for s in split.samples] == [
        tmp_path / "ropeTrain/a.jpg",
        tmp_path / "ropeTrain/b.png",
    ]
    assert [s.source for s in split.samples] == [f"imageLabelsTrain.csv:{n}" for n in (2, 3)]
    assert split.name == "train"


@pytest.mark.parametrize(("split", "spelt"), [("train", "Train"), ("val", "Val"), ("test", "Test")])
def test_each_split_has_its_own_table_and_folder(tmp_path: Path, split: str, spelt: str) -> None:
    for each in ("Train", "Val", "Test"):
        write(tmp_path, f"name,wear\n{each}.jpg,1\n", each)
    read = read_rope(tmp_path, split)
    assert read.name == split
    assert [sample.path for sample in read.samples] == [tmp_path / f"rope{spelt}/{spelt}.jpg"]


@pytest.mark.parametrize("count", [1, 2, 11, 12, 17])
def test_every_further_column_is_a_label_however_many(tmp_path: Path, count: int) -> None:
    names = [f"damage {number}" for number in range(count)]
    marks = [number % 3 == 0 for number in range(count)]
    header = ",".join(["name", *names])
    write(tmp_path, f"{header}\na.jpg,{','.join(str(int(value)) for value in marks)}\n")
    split = read_rope(tmp_path, "train")
    assert split.labels == tuple(names)
    assert split.targets.tolist() == [marks]


@pytest.mark.parametrize("labels", [None, ["wear"]])
def test_a_single_column_is_a_label_and_never_a_list_of_names(
    tmp_path: Path, labels: list[str] | None
) -> None:
    write(tmp_path, "name,wear\na.jpg,1\nb.jpg,wear|cut\n")
    with pytest.raises(
        DataError, match=r"^imageLabelsTrain.csv:3: column 'wear': expected 1 \(present\), 0"
    ):
        read_rope(tmp_path, "train", labels)


def test_a_single_column_of_another_label_is_not_taken_for_names(tmp_path: Path) -> None:
    write(tmp_path, "name,wear\na.jpg,1\n")
    with pytest.raises(DataError, match=r"^imageLabelsTrain.csv:1: unknown label 'wear'"):
        read_rope(tmp_path, "train", ["0", "1"])


def test_names_of_pictures_and_labels_may_have_spaces_and_subfolders(tmp_path: Path) -> None:
    write(tmp_path, 'file name,core out,"cut, deep"\nrope 7/a b.jpg,0,1\n')
    split = read_rope(tmp_path, "train")
    assert split.labels == ("core out", "cut, deep")
    assert split.samples[0].path == tmp_path / "ropeTrain/rope 7/a b.jpg"


def test_an_empty_cell_and_minus_one_are_unknown(tmp_path: Path) -> None:
    write(tmp_path, "name,wear,cut\na.jpg,,1\nb.jpg,0,-1\nc.jpg,0\n")
    assert read_rope(tmp_path, "train").targets.tolist() == [[-1, 1], [0, -1], [0, -1]]


def test_given_labels_set_the_order(tmp_path: Path) -> None:
    write(tmp_path, "name,wear,cut\na.jpg,1,0\n")
    split = read_rope(tmp_path, "train", ["cut", "wear"])
    assert (split.labels, split.targets.tolist()) == (("cut", "wear"), [[0, 1]])


@pytest.mark.parametrize("split", ["Train", "ropeTrain", "imageLabelsTrain.csv", "all", ""])
def test_splits_have_one_spelling(tmp_path: Path, split: str) -> None:
    write(tmp_path, "name,wear\na.jpg,1\n")
    with pytest.raises(DataError) as error:
        read_rope(tmp_path, split)
    assert f"expected split train, val or test, got {split!r}" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_root_says_what_belongs_inside(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder .*nowhere \(expected ropeTrain/ and imageLab"):
        read_rope(tmp_path / "nowhere", "train")


def test_a_missing_table_names_the_splits_that_exist(tmp_path: Path) -> None:
    write(write(tmp_path, "name,wear\n", "Val"), "name,wear\n", "Train")
    (tmp_path / "ropeTest").mkdir()
    with pytest.raises(DataError, match=r"^test: .*imageLabelsTest.csv \(there are: train, val\)"):
        read_rope(tmp_path, "test")


def test_a_missing_folder_of_pictures_is_named_with_its_table(tmp_path: Path) -> None:
    write(tmp_path, "name,wear\na.jpg,1\n", "Val")
    (tmp_path / "ropeVal").rmdir()
    with pytest.raises(DataError) as error:
        read_rope(tmp_path, "val")
    assert str(error.value).startswith("val: expected the pictures that imageLabelsVal.csv lists")
    assert str(tmp_path / "ropeVal") in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,wear\n", "imageLabelsTrain.csv: no rows"),
        ("name\na.jpg\n", "imageLabelsTrain.csv: no label column"),
        ("name,wear\na.jpg,0\nb.jpg,1\na.jpg,1\n", "imageLabelsTrain.csv:4: picture 'a.jpg' is"),
        ("name,wear,wear\na.jpg,0,1\n", "imageLabelsTrain.csv:1: expected each column once"),
        (
            "name,wear,cut\na.jpg,0,2\n",
            "imageLabelsTrain.csv:2: column 'cut': expected 1 (present), 0 (absent)",
        ),
        (b"name,wear\n\x81.jpg,1\n", "imageLabelsTrain.csv: expected text in UTF-8"),
    ],
)
def test_a_wrong_table_is_refused_in_one_line(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    with pytest.raises(DataError) as error:
        read_rope(write(tmp_path, text), "train")
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
