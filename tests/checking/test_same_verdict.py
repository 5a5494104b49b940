"""What `lcnet check` calls safe `lcnet train` takes, and what train refuses check calls unsafe."""

import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lcnet.checking.check import check
from lcnet.checking.check_page import CheckReport
from lcnet.config import Config, Data, Train
from lcnet.errors import DataError
from lcnet.runs.start import load_splits

MARKS = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (0, 1, 1), (1, 0, 1))
NAMES = ("cat", "dog", "sofa")


def write_table(root: Path, cells: Callable[[str, tuple[int, ...]], str], header: str) -> Data:
    """Three tables of six pictures each; `cells` makes a row's text after the picture."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    for split in ("train", "val", "test"):
        rows = [header] if header else []
        for number, marks in enumerate(MARKS):
            name = f"images/{split}_{number}.png"
            noise = rng.integers(0, 256, size=(8, 8, 3), dtype=np.uint8)
            Image.fromarray(noise).resize((48, 48)).save(root / name)
            rows.append(f"{name},{cells(split, marks)}")
        (root / f"{split}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return Data("table", str(root), "train.csv", "val.csv", "test.csv", workers=0)


def columns(one: str = "1", zero: str = "0", *, only: tuple[str, ...] = ("train", "val", "test")):
    def cells(split: str, marks: tuple[int, ...]) -> str:
        texts = (zero, one) if split in only else ("0", "1")
        return ",".join(texts[mark] for mark in marks)

    return cells


def joined(separator: str, names: tuple[str, ...] = NAMES):
    def cells(split: str, marks: tuple[int, ...]) -> str:
        present = [name for name, mark in zip(names, marks, strict=True) if mark]
        return '"' + separator.join(present).replace('"', '""') + '"'

    return cells


def always(split: str, marks: tuple[int, ...]) -> str:
    return f"1,{marks[1]},{marks[2]}"


def without_sofa(split: str, marks: tuple[int, ...]) -> str:
    return f"{marks[0]},{marks[1]},{marks[2] if split != 'train' else 0}"


HEADER = "image,cat,dog,sofa"
LISTED = "image,labels"
NFD = unicodedata.normalize("NFD", "Möwe")

TABLES = {
    "clean": (columns(), HEADER, "safe", ""),
    "clean names": (joined("|"), LISTED, "safe", ""),
    "present or unknown": (columns("1", "-1"), HEADER, "refused", "nothing-absent"),
    "present or blank": (columns("1", ""), HEADER, "refused", "nothing-absent"),
    "val of one class": (columns("1", "", only=("val",)), HEADER, "refused", "nothing-measurable"),
    "val without": (columns("0", "0", only=("val",)), HEADER, "refused", "nothing-measurable"),
    "test of one class": (columns("1", "", only=("test",)), HEADER, "safe", "nothing-measurable"),
    "all present": (columns("1", "1"), HEADER, "refused", "nothing-absent"),
    "always present": (always, HEADER, "unsafe", "label-without-absent"),
    "never present": (without_sofa, HEADER, "unsafe", "label-without-positives"),
    "blanks": (joined(" "), LISTED, "safe", ""),
    "commas": (joined(", "), LISTED, "safe", ""),
    "semicolons": (joined(";"), LISTED, "safe", ""),
    "lists": (joined("|", ("['cat']", "dog", "sofa")), LISTED, "refused", "no-name"),
    "choices": (joined("|", ('{"choices": ["a"', "dog", "b")), LISTED, "refused", "no-name"),
    "nan": (joined("|", ("nan", "dog", "sofa")), LISTED, "unsafe", "no-name"),
    "picture names": (joined("|", ("a.jpg", "dog", "sofa")), LISTED, "refused", "no-name"),
    "no header": (joined("|"), "", "safe", ""),
    "case": (columns(), "image,cat,dog,Cat", "unsafe", "similar-label-names"),
    "unicode": (columns(), f"image,Möwe,dog,{NFD}", "unsafe", "similar-label-names"),
    "hyphen": (columns(), "image,Film-Noir,dog,film noir", "unsafe", "similar-label-names"),
}


def verdict(report: CheckReport) -> str:
    if any(one.refused for one in report.findings):
        assert "lcnet train refuses" in report.verdict
        return "refused"
    return "safe" if report.verdict.startswith("Safe to train") else "unsafe"


def verdict_of_train(data: Data, capsys: pytest.CaptureFixture[str], **recipe: str) -> str:
    capsys.readouterr()
    try:
        load_splits(Config(data=data, train=replace(Train(), **recipe)))
    except DataError as error:
        assert "\n" not in str(error)
        return "refused"
    return "unsafe" if "warning: " in capsys.readouterr().out else "safe"


@pytest.mark.parametrize("name", TABLES)
def test_both_say_the_same_of_a_table(tmp_path, capsys, name):
    cells, header, expected, kind = TABLES[name]
    data = write_table(tmp_path / "data", cells, header)
    report = check(data, quiet=True)
    kinds = {one.kind for one in report.findings}
    assert (verdict(report), kind in kinds if kind else kinds == set()) == (expected, True), kinds
    assert verdict_of_train(data, capsys) == expected


def test_the_way_out_that_is_advised_is_one(tmp_path, capsys):
    data = write_table(tmp_path / "data", columns("1", "", only=("train",)), HEADER)
    (one,) = [one for one in check(data, quiet=True).findings if one.refused]
    assert "Set --train.unknown weighted" in one.detail
    assert verdict_of_train(data, capsys, unknown="negative") == "safe"
    data = replace(write_table(tmp_path / "other", joined(" "), LISTED), separator="|")
    one, *_ = [one for one in check(data, quiet=True).findings if one.refused]
    assert "set --data.separator ' '" in one.detail
    assert verdict_of_train(replace(data, separator=" "), capsys) == "safe"


def test_both_say_the_same_of_pictures_that_are_missing_or_in_two_splits(tmp_path, capsys):
    data = write_table(tmp_path / "data", columns(), HEADER)
    again = replace(data, val="train.csv")
    assert verdict(check(again, quiet=True)) == verdict_of_train(again, capsys) == "unsafe"
    val = tmp_path / "data" / "val.csv"
    val.write_text(val.read_text() + "images/train_0.png,1,0,0\n")
    assert verdict(check(data, quiet=True)) == "unsafe"
    capsys.readouterr()
    load_splits(Config(data=data))
    assert "val.csv: train.csv has 1 of its 7 pictures too" in capsys.readouterr().out
    (tmp_path / "data" / "images" / "train_1.png").unlink()
    assert verdict(check(data, quiet=True)) == verdict_of_train(data, capsys) == "refused"
    only_test = replace(data, train="val.csv", val="other.csv", test="train.csv")
    (tmp_path / "data" / "other.csv").write_text((tmp_path / "data" / "test.csv").read_text())
    assert verdict(check(only_test, quiet=True)) == "unsafe"  # a leak, and one is missing in test


def test_a_test_split_that_cannot_be_read_keeps_nobody_from_training(tmp_path, capsys):
    data = replace(write_table(tmp_path / "data", columns(), HEADER), test="nowhere.csv")
    assert (verdict(check(data, quiet=True)), verdict_of_train(data, capsys)) == ("unsafe", "safe")


def test_many_alike_names_are_a_few_lines_and_few_words(tmp_path, capsys):
    names = [f"{'label' if number % 2 else 'Label'} {number // 2}" for number in range(60)]
    data = write_table(
        tmp_path / "data",
        lambda _, marks: ",".join(map(str, marks * 20)),
        f"image,{','.join(names)}",
    )
    assert verdict_of_train(data, capsys) == "unsafe"
    load_splits(Config(data=data))
    printed = capsys.readouterr().out
    assert printed.count("only in case or space") == 5
    assert "train.csv: 25 more similar-label-names" in printed


def test_what_no_flag_mends_is_said_first(tmp_path):
    data = write_table(tmp_path / "data", columns("1", ""), HEADER)
    with pytest.raises(DataError, match=r"^val\.csv: no label has both present and absent"):
        load_splits(Config(data=data))


def test_a_run_that_goes_on_keeps_names_that_a_new_one_may_not_have(tmp_path, capsys):
    data = replace(write_table(tmp_path / "data", joined(" "), LISTED), separator="|")
    load_splits(Config(data=data), again=True)
    assert "labels that seem to be several ones" in capsys.readouterr().out


def test_rows_without_a_name_are_said_by_check_and_by_train(tmp_path, capsys) -> None:
    data = write_table(tmp_path / "data", joined(";"), LISTED)
    with (tmp_path / "data" / "train.csv").open("a") as table:
        for name in ("x", "y"):
            noise = np.random.default_rng(ord(name)).integers(0, 256, (48, 48, 3), dtype=np.uint8)
            Image.fromarray(noise).save(tmp_path / "data" / "images" / f"{name}.png")
            table.write(f"images/{name}.png,\n")
    report = check(data, quiet=True)
    (one,) = [one for one in report.findings if one.kind == "blank-entry"]
    line = (
        "2 of 8 entries name no label (an empty cell in column 'labels'). This is read as all "
        "labels absent. If it means not labelled yet, set --data.table.unknown '[\"\"]'."
    )
    assert (one.where, one.detail, one.unsafe) == ("train.csv", line, False)
    assert report.is_safe
    load_splits(Config(data=data))
    assert f"note: train.csv: {line}" in capsys.readouterr().out
    data = replace(data, table=replace(data.table, unknown=[""]))
    kinds = [one.kind for one in check(data, quiet=True).findings]
    assert kinds == ["unlabelled-row"] * 2
