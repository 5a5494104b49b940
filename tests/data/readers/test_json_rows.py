"""Tests of JSON of one's own: a list, lines or an object of pictures with their labels."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.data.readers.drawing import below, draw, splits_of, store

from lcnet.config import Data, Table
from lcnet.data.dataset import Split
from lcnet.data.recognising import recognise
from lcnet.errors import DataError

LABELS = ("blue", "green", "red")
MARKS = [(1, 0, 0), (0, 1, 1), (0, 0, 0), (1, 1, 1), (0, 1, 0), (0, 0, 1)]
FILES = [f"images/{number}.png" for number in range(len(MARKS))]
NAMES = [[name for name, mark in zip(LABELS, marks, strict=True) if mark] for marks in MARKS]
BY_NAME = [dict(zip(LABELS, marks, strict=True)) for marks in MARKS]


def read(path: Path, data: Data | None = None) -> Split:
    recognised = recognise(path, data, divide=False)
    assert recognised.data.format == "json"
    return splits_of(recognised.data)["train"]


def rows(row: Callable[[int], dict[str, Any]]) -> list[dict[str, Any]]:
    return [row(number) for number in range(len(MARKS))]


@pytest.mark.parametrize(
    "content",
    [
        rows(lambda n: {"image": FILES[n], "labels": NAMES[n]}),
        rows(lambda n: {"path": FILES[n], "tags": NAMES[n], "annotator": "x", "size": [4, 3]}),
        rows(lambda n: {"id": n + 2, "file_name": FILES[n][7:], "classes": BY_NAME[n]}),
        rows(lambda n: {"image": FILES[n], **BY_NAME[n]}),
        rows(lambda n: {"img": FILES[n], "objects": [{"label": x, "box": 1} for x in NAMES[n]]}),
        {"data": rows(lambda n: {"image": FILES[n], "labels": NAMES[n]}), "version": 2},
        dict(zip(FILES, NAMES, strict=True)),
        dict(zip(FILES, BY_NAME, strict=True)),
    ],
)
def test_pictures_with_names_or_marks_are_read_whatever_the_keys(
    tmp_path: Path, content: Any
) -> None:
    draw(tmp_path, *FILES)
    store(tmp_path / "labels.json", content)
    for path in (tmp_path, tmp_path / "labels.json"):
        split = read(path)
        assert split.labels == LABELS
        assert below(tmp_path, split) == FILES
        assert split.targets.tolist() == [list(marks) for marks in MARKS]


def test_an_empty_list_shows_none_of_the_labels_unless_that_is_unknown(tmp_path: Path) -> None:
    draw(tmp_path, *FILES)
    file = tmp_path / "labels.json"
    store(file, rows(lambda n: {"image": FILES[n], "labels": NAMES[n]}))
    (line,) = read(file).doubts
    assert "1 of 6 entries names no label (an empty list in 'labels')" in line
    assert "an empty list is no label (1 row)" in recognise(file).said
    data = Data(table=Table(unknown=["[]"]))
    split = read(file, data)
    assert not split.doubts
    assert split.targets.tolist() == [[-1] * 3 if not any(m) else list(m) for m in MARKS]
    assert "an empty list is unknown (1 row)" in recognise(file, data).said


def test_lines_of_json_and_their_splits_are_read(tmp_path: Path) -> None:
    draw(tmp_path, *FILES)
    splits = ["training", "validation", "test"]
    lines = rows(lambda n: {"path": FILES[n], "tags": NAMES[n], "split": splits[n // 2]})
    store(tmp_path / "own.jsonl", "\n".join(map(json.dumps, lines)) + "\n")
    found = splits_of(recognise(tmp_path).data)
    assert {role: below(tmp_path, split) for role, split in found.items()} == {
        "train": FILES[:2],
        "val": FILES[2:4],
        "test": FILES[4:],
    }
    assert found["train"].labels == LABELS


def test_an_unknown_mark_stays_unknown(tmp_path: Path) -> None:
    draw(tmp_path, *FILES)
    marks = [*BY_NAME[:-2], {"blue": -1, "green": None, "red": 1}, {"red": 0}]
    store(tmp_path / "a.json", rows(lambda n: {"image": FILES[n], "labels": marks[n]}))
    assert read(tmp_path).targets[-2:].tolist() == [[-1, -1, 1], [-1, -1, 0]]


@pytest.mark.parametrize(
    ("row", "line", "data", "labels"),
    [
        (
            lambda n: {"image": FILES[n], "path": FILES[n - 1], "labels": NAMES[n]},
            r"all hold the picture \(the keys are image, path, labels\).*picture image",
            None,
            None,
        ),
        (
            lambda n: {"scan": f"{n}", "labels": NAMES[n]},
            r"no key holds the picture.* Set --data.table.picture scan",
            None,
            None,
        ),
        (lambda n: {"image": FILES[n], "grade": n}, "none of the keys image, grade", None, None),
        (
            lambda n: {"image": FILES[n], "labels": BY_NAME[n], "seen": n % 2},
            "expected labels in one place, got them in 'labels' .* and 'columns'",
            Data(labels_in="labels"),
            LABELS,
        ),
        (
            lambda n: {"image": FILES[n], "label": "".join(f"#{x}" for x in NAMES[n])},
            "--data.separator '#'",
            Data(separator="#"),
            LABELS,
        ),
        (
            lambda n: {"pick": FILES[n], "other": FILES[n - 1], "labels": NAMES[n]},
            "--data.table.picture pick or --data.table.picture other",
            Data(table=Table(picture="pick")),
            LABELS,
        ),
    ],
)
def test_unclear_keys_are_named_and_the_setting_decides(
    tmp_path: Path, row: Any, line: str, data: Data | None, labels: tuple[str, ...] | None
) -> None:
    draw(tmp_path, *FILES)
    store(tmp_path / "own.json", rows(row))
    with pytest.raises(DataError, match=line):
        recognise(tmp_path / "own.json")
    if data:
        assert read(tmp_path, data).labels == labels
