"""Tests of which reading is taken of small data sets as people have them."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.data.readers.drawing import draw

from lcnet.config import Data
from lcnet.data.readers import load_split
from lcnet.data.readers.folder import same_names
from lcnet.data.readers.table_names import separator_of
from lcnet.data.recognising import recognise
from lcnet.errors import DataError

LABELS = ("cat", "dog", "sofa")
MARKS = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0), (1, 1, 0), (0, 1, 1), (1, 0, 1), (1, 1, 1)] * 2
PICTURES = [f"images/{index}.jpg" for index in range(len(MARKS))]


def store(root: Path, header: Sequence[str], rows: Sequence[Sequence[Any]], name: str) -> None:
    lines = [",".join(map(str, row)) for row in [header, *rows]]
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", "utf-8")


def wide(root: Path, present: str, absent: str, more: Sequence[Any] = ()) -> None:
    """A table of label columns, with a further column if `more` has its name and cells."""
    draw(root, *PICTURES)
    rows = [
        [picture, *(present if mark else absent for mark in marks)]
        for picture, marks in zip(PICTURES, MARKS, strict=True)
    ]
    if more:
        rows = [[*row, cell] for row, cell in zip(rows, [*more[1:]] * len(rows), strict=False)]
    store(root, ["image", *LABELS, *more[:1]], rows, "labels.csv")


def listed(root: Path, join: Callable[[list[str]], str]) -> None:
    """A table with a column of names."""
    draw(root, *PICTURES)
    rows = [[picture, f'"{join(names)}"'] for picture, names in zip(PICTURES, NAMES, strict=True)]
    store(root, ["image", "labels"], rows, "labels.csv")


NAMES = [[name for name, mark in zip(LABELS, marks, strict=True) if mark] for marks in MARKS]
TRUTH = dict(zip(PICTURES, MARKS, strict=True))


def read(root: Path, data: Data | None = None) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The labels, and the targets of each picture of all splits."""
    found: dict[str, Any] = {}
    labels: tuple[str, ...] = ()
    known = recognise(root, data).data
    for name in filter(None, (known.train, known.val, known.test)):
        split = load_split(known, name, labels or None)
        labels = labels or split.labels
        for sample, targets in zip(split.samples, split.targets, strict=True):
            found[sample.path.resolve().relative_to(root.resolve()).as_posix()] = tuple(targets)
    return labels, found


def as_advised(message: str, number: int) -> Data:
    """The settings with one of the flags that a message names."""
    name, text = re.findall(r"--data\.([a-z.]+) ('[^']*'|\S+)", message)[number]
    text = text.strip("'").rstrip(".")
    value: Any = re.findall(r'"([^"]*)"', text) if '"' in text else [text.strip("[]")]
    if not text.startswith("["):
        value = text
    if not name.startswith("table."):
        return replace(Data(), **{name: value})
    return replace(Data(), table=replace(Data().table, **{name.removeprefix("table."): value}))


@pytest.mark.parametrize(
    ("present", "absent"),
    [
        ("WAHR", "FALSCH"),
        ("VRAI", "FAUX"),
        ("sí", "no"),
        ("j", "n"),
        ("x", "-"),
        ('"1,0"', '"0,0"'),
        ("1.0", "0.0"),
    ],
)
def test_cells_of_other_programs_are_known(tmp_path: Path, present: str, absent: str) -> None:
    wide(tmp_path, present, absent)
    assert read(tmp_path) == (LABELS, TRUTH)


@pytest.mark.parametrize(
    ("present", "absent"),
    [("1", "-1"), ("1", ""), ("1", "nan"), ("x", ""), ("up", "down"), ("1", "2")],
)
def test_cells_with_two_readings_are_refused_and_the_advice_works(
    tmp_path: Path, present: str, absent: str
) -> None:
    wide(tmp_path, present, absent)
    with pytest.raises(DataError) as error:
        recognise(tmp_path)
    message = str(error.value)
    data = as_advised(message, 1 if absent in ("down", "2") else 0)
    if present == "up":
        with pytest.raises(DataError) as error:
            recognise(tmp_path, data)
        data = replace(data, table=replace(data.table, absent=[absent]))
        assert f"{absent!r} can mean present, absent or unknown" in str(error.value)
    assert read(tmp_path, data) == (LABELS, TRUTH)


@pytest.mark.parametrize("odd", ["2", "0.5", "maybe"])
def test_a_cell_that_can_mean_several_things_is_refused(tmp_path: Path, odd: str) -> None:
    wide(tmp_path, "1", "0")
    table = tmp_path / "labels.csv"
    table.write_text(table.read_text().replace("6.jpg,1", f"6.jpg,{odd}"))
    with pytest.raises(DataError, match=f"column 'cat': .* got '{odd}'") as error:
        recognise(tmp_path)
    assert read(tmp_path, as_advised(str(error.value), 0)) == (LABELS, TRUTH)


def test_probabilities_are_refused(tmp_path: Path) -> None:
    draw(tmp_path, *PICTURES)
    rows = [[name, f"0.{index}1", f"0.{index}2"] for index, name in enumerate(PICTURES)]
    store(tmp_path, ["image", "cat", "dog"], rows, "labels.csv")
    with pytest.raises(DataError, match="probabilities"):
        recognise(tmp_path)


@pytest.mark.parametrize(
    "join",
    [
        "/".join,
        "+".join,
        " & ".join,
        "\n".join,
        ", ".join,
        lambda names: "[" + ", ".join(names) + "]",
        lambda names: "{" + ",".join(names) + "}",
        lambda names: "[" + " ".join(map(repr, names)) + "]",
        lambda names: str(set(names)) if names else "set()",
    ],
)
def test_names_are_told_apart(tmp_path: Path, join: Callable[[list[str]], str]) -> None:
    listed(tmp_path, join)
    assert read(tmp_path) == (LABELS, TRUTH)


def test_a_hyphen_that_can_join_names_is_refused(tmp_path: Path) -> None:
    listed(tmp_path, "-".join)
    with pytest.raises(DataError, match="can be one name or several") as error:
        recognise(tmp_path)
    assert read(tmp_path, as_advised(str(error.value), 0)) == (LABELS, TRUTH)


@pytest.mark.parametrize(
    "write",
    [
        lambda names: "".join(str(int(name in names)) for name in LABELS),
        lambda names: str([int(name in names) for name in LABELS]),
        lambda names: str({name: int(name in names) for name in LABELS}),
    ],
)
def test_marks_in_a_column_of_names_are_refused(
    tmp_path: Path, write: Callable[[list[str]], str]
) -> None:
    listed(tmp_path, write)
    with pytest.raises(DataError, match="say something of each label"):
        recognise(tmp_path)


@pytest.mark.parametrize("name", ["set", "view", "text"])
def test_a_column_that_may_be_a_label_is_refused(tmp_path: Path, name: str) -> None:
    wide(tmp_path, "1", "0", [name, 0, 1])
    with pytest.raises(DataError, match=f"column '{name}' can be a label or") as error:
        recognise(tmp_path)
    assert read(tmp_path, as_advised(str(error.value), 0))[0] == (*LABELS, name)
    assert read(tmp_path, as_advised(str(error.value), 1)) == (LABELS, TRUTH)


def test_a_flag_of_a_split_may_be_a_label(tmp_path: Path) -> None:
    wide(tmp_path, "1", "0", ["validation", 0, 0, 1])
    with pytest.raises(DataError, match="can be a label or say the split") as error:
        recognise(tmp_path)
    data = as_advised(str(error.value), 1)
    assert recognise(tmp_path, data).data.val == "labels.csv[1]"
    assert read(tmp_path, data) == (LABELS, TRUTH)


@pytest.mark.parametrize("name", ["train", "kfold", "Unnamed: 4"])
def test_columns_that_only_look_otherwise(tmp_path: Path, name: str) -> None:
    wide(tmp_path, "1", "0", [name, *(["", ""] if name[0] == "U" else [0, 1])])
    assert read(tmp_path)[0] == ((*LABELS, name) if name == "train" else LABELS)


def test_a_column_of_any_name_can_say_the_split(tmp_path: Path) -> None:
    wide(tmp_path, "1", "0", ["Teil", "train", "train", "val", "test"])
    data = recognise(tmp_path).data
    assert (data.train, data.val) == ("labels.csv[train]", "labels.csv[val]")
    assert read(tmp_path) == (LABELS, TRUTH)


@pytest.mark.parametrize("folder", ["{}", "images/{}", "{}/images", "{}_images"])
def test_each_split_has_pictures_of_the_same_names(tmp_path: Path, folder: str) -> None:
    truth: dict[str, Any] = {}
    for role in ("train", "val", "test"):
        names = [f"{folder.format(role)}/{index}.jpg" for index in range(len(MARKS))]
        draw(tmp_path, *names)
        rows = [[index, *marks] for index, marks in enumerate(MARKS)]
        store(tmp_path, ["id", *LABELS], rows, f"{role}.csv")
        truth |= dict(zip(names, MARKS, strict=True))
    assert read(tmp_path) == (LABELS, truth)


def test_pictures_that_are_there_twice_are_refused_and_the_advice_works(tmp_path: Path) -> None:
    draw(tmp_path, *(f"{place}/{name}" for name in PICTURES for place in ("a", "b")))
    rows = [[Path(name).name, *marks] for name, marks in TRUTH.items()]
    store(tmp_path, ["image", *LABELS], rows, "labels.csv")
    with pytest.raises(DataError, match="expected one file, got a/images/") as error:
        recognise(tmp_path)
    data = as_advised(str(error.value), 1)
    assert read(tmp_path, data)[1] == {f"b/{name}": marks for name, marks in TRUTH.items()}


def test_the_way_to_write_predictions_is_no_training_table(tmp_path: Path) -> None:
    """Planet has each picture twice, and a sample submission for other pictures."""
    names = [f"train_{index}" for index in range(len(MARKS))]
    draw(tmp_path, *(f"train-{kind}/{name}.{kind}" for name in names for kind in ("jpg", "tif")))
    draw(tmp_path, "test-jpg/test_0.jpg", "test-jpg/test_1.jpg")
    rows = [[name, " ".join(listed)] for name, listed in zip(names, NAMES, strict=True)]
    store(tmp_path, ["image_name", "tags"], rows, "train_v2.csv")
    sample = [["test_0", "cat sofa"], ["test_1", "cat sofa"]]
    store(tmp_path, ["image_name", "tags"], sample, "sample_submission_v2.csv")
    with pytest.raises(DataError, match=r"got train-jpg/\S+ and train-tif/") as error:
        recognise(tmp_path)
    truth = {f"train-tif/{name}.tif": marks for name, marks in zip(names, MARKS, strict=True)}
    assert read(tmp_path, as_advised(str(error.value), 1)) == (LABELS, truth)


def test_of_two_tables_the_settings_choose(tmp_path: Path) -> None:
    wide(tmp_path, "1", "0")
    store(tmp_path, ["image", "camera"], [[name, "x100"] for name in PICTURES], "cameras.csv")
    with pytest.raises(DataError, match="expected one table for train, got 2"):
        recognise(tmp_path)
    assert read(tmp_path, Data(train="labels.csv")) == (LABELS, TRUTH)


def test_a_table_of_objects_is_one_of_labels(tmp_path: Path) -> None:
    draw(tmp_path, *PICTURES)
    rows = [
        [picture, name, 10 * again, 20]
        for picture, names in zip(PICTURES, NAMES, strict=True)
        for name in names
        for again in range(2)
    ]
    store(tmp_path, ["filename", "class", "xmin", "xmax"], rows, "labels.csv")
    assert read(tmp_path) == (LABELS, {name: marks for name, marks in TRUTH.items() if any(marks)})


@pytest.mark.parametrize("first", ["sep=,\n", "# exported on Monday\n"])
def test_lines_above_the_header_are_passed_over(tmp_path: Path, first: str) -> None:
    wide(tmp_path, "1", "0")
    table = tmp_path / "labels.csv"
    table.write_text(first + table.read_text())
    assert read(tmp_path) == (LABELS, TRUTH)


@pytest.mark.parametrize("number", [3, 4, 5])
def test_few_pictures_are_in_all_parts(tmp_path: Path, number: int) -> None:
    draw(tmp_path, *PICTURES[:number])
    rows = [[name, *TRUTH[name]] for name in PICTURES[:number]]
    store(tmp_path, ["image", *LABELS], rows, "labels.csv")
    assert len(read(tmp_path)[1]) == number


def test_addresses_that_lead_nowhere_leave_the_names_to_an_id(tmp_path: Path) -> None:
    draw(tmp_path, *PICTURES)
    rows = [
        [index, f"https://example.org/{index}x.jpg", "|".join(names)]
        for index, names in enumerate(NAMES)
    ]
    store(tmp_path, ["imdbId", "Poster", "Genre"], rows, "labels.csv")
    assert read(tmp_path) == (LABELS, TRUTH)


def test_the_splits_of_celeba_may_lie_in_a_folder_of_their_own(tmp_path: Path) -> None:
    names = [f"{index:06d}.jpg" for index in range(6)]
    draw(tmp_path, *(f"Img/{name}" for name in names))
    rows = "".join(f"{name} {1 - 2 * (i % 2)} 1\n" for i, name in enumerate(names))
    (tmp_path / "Anno").mkdir()
    (tmp_path / "Eval").mkdir()
    (tmp_path / "Anno/list_attr_celeba.txt").write_text(f"6\nSmiling Young\n{rows}")
    parts = "".join(f"{name} {i // 2}\n" for i, name in enumerate(names))
    (tmp_path / "Eval/list_eval_partition.txt").write_text(parts)
    data = recognise(tmp_path).data
    test = load_split(data, data.test)
    assert [sample.path.name for sample in test.samples] == names[4:]


@pytest.mark.parametrize("folder", ["", "splits/"])
@pytest.mark.parametrize("suffix", [".jpg", ""])
def test_lists_beside_a_table_say_the_splits(tmp_path: Path, folder: str, suffix: str) -> None:
    wide(tmp_path, "1", "0")
    parts = {"train": PICTURES[:8], "val": PICTURES[8:12], "test": PICTURES[12:]}
    for role, pictures in parts.items():
        lines = [Path(name).with_suffix(suffix).as_posix() for name in pictures]
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / f"{folder}{role}.txt").write_text("\n".join(lines))
    data = recognise(tmp_path).data
    for role, pictures in parts.items():
        split = load_split(data, getattr(data, role))
        assert [sample.path.relative_to(tmp_path).as_posix() for sample in split.samples] == [
            *pictures
        ]


def test_what_label_studio_puts_before_a_name_is_passed_over(tmp_path: Path) -> None:
    draw(tmp_path, *PICTURES)
    rows = [
        [f"/data/upload/3/1a2b3c4d-{Path(name).name}", f'"{names}"', 3.1]
        for name, names in zip(PICTURES, NAMES, strict=True)
    ]
    store(tmp_path, ["image", "choice", "lead_time"], rows, "export.csv")
    assert read(tmp_path) == (LABELS, TRUTH)


def test_folders_beside_another_table_are_read_as_advised(tmp_path: Path) -> None:
    draw(tmp_path, *(f"{label}/{label}{index}.jpg" for label in LABELS for index in range(4)))
    store(tmp_path, ["camera", "year"], [["Leica", 1999], ["Nikon", 2001]], "cameras.csv")
    with pytest.raises(DataError, match="If the folders are the labels, set"):
        recognise(tmp_path)
    assert read(tmp_path, Data(format="folder"))[0] == LABELS


def test_tables_separated_by_blanks_are_no_lists(tmp_path: Path) -> None:
    draw(tmp_path, *PICTURES)
    for role, names in (("train", PICTURES[:8]), ("val", PICTURES[8:12]), ("test", PICTURES[12:])):
        rows = [" ".join([name, *map(str, TRUTH[name])]) for name in names]
        (tmp_path / f"{role}.txt").write_text("\n".join(["image cat dog sofa", *rows]))
    assert read(tmp_path) == (LABELS, TRUTH)


def test_folders_without_splits_can_be_checked(tmp_path: Path) -> None:
    draw(tmp_path, *(f"{label}/{index}.jpg" for label in LABELS for index in range(4)))
    for index, label in enumerate(LABELS):
        (tmp_path / label / "0.jpg").write_bytes(
            (tmp_path / "cat/1.jpg").read_bytes() + b"0" * index
        )
    data = recognise(tmp_path).data
    training = load_split(data, data.train)
    assert list(same_names(training, Path(data.root))) == ["0.jpg"]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["0", "0 1", "1 2", "2"], " "),
        (["0 1", "2 3"], " "),
        (["red car", "hot dog", "dog"], "|"),
        (["Lung Opacity", "Lung Lesion", "Pleural Effusion", "Pleural Other"], "|"),
    ],
)
def test_numbers_of_labels_are_joined_by_blanks_and_words_may_be_one_name(
    cells: list[str], expected: str
) -> None:
    assert separator_of(cells, "labels") == expected


def test_a_name_that_recurs_in_two_joined_cells_alone_is_in_doubt() -> None:
    with pytest.raises(DataError, match="'cat dog' can be one name or several"):
        separator_of(["cat", "cat dog", "dog sofa", "sofa"], "labels")


def test_three_signs_that_may_join_names_are_one_question() -> None:
    with pytest.raises(DataError, match=r"Set --data.separator '\|' or --data.separator ';'"):
        separator_of(["a|b", "c;d", "e\tf"], "labels")


def test_given_splits_are_named_in_place_of_shares(tmp_path: Path) -> None:
    wide(tmp_path, "1", "0")
    said = recognise(tmp_path / "labels.csv", Data(splits="runs/mine/splits.csv")).said
    assert said.endswith("; parts as in runs/mine/splits.csv")
    assert "are drawn" not in said
