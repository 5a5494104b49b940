"""Faults of pictures and files that `lcnet check` finds beside those of labels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.checking.test_check import Planted, draw

from lcnet.checking.check import check
from lcnet.config import Config, Data
from lcnet.data.readers.layout import Given
from lcnet.reporting.html_page import breakable
from lcnet.runs.start import load_splits


@pytest.fixture
def planted(tmp_path) -> Planted:
    return Planted(tmp_path / "data")


def found(planted: Planted, kind: str) -> list[str]:
    return [one.detail for one in planted.check().findings if one.kind == kind]


def test_files_that_no_split_lists_are_counted_by_suffix(planted):
    for name in (
        "a.jp2",
        "b.JP2",
        "c.psd",
        ".hidden.jpg",
        "notes.txt",
        "README.md",
        "no_suffix",
    ):
        (planted.root / "images" / name).write_bytes(b"")
    (planted.root / ".cache").mkdir()
    for folder in (".cache", "images"):
        draw(700).save(planted.root / folder / "left.png")
    assert found(planted, "passed-over") == [
        "no row in train.csv, val.csv or test.csv for 1 picture (1 .png), such as "
        f"{planted.root}/images/left.png; not trained on",
        "no pictures that lcnet reads: 2 .jp2, 1 .psd, 1 without a suffix",
    ]
    assert planted.check().is_safe


def test_the_current_folder_lists_its_pictures_as_any_other(planted, monkeypatch):
    planted.write()
    for name in ("images/left.png", "above.png"):
        draw(700 + len(name)).save(planted.root / name)
    monkeypatch.chdir(planted.root)
    report = check(Given(Path()), quiet=True)
    (one,) = (one for one in report.findings if one.kind == "passed-over")
    assert one.detail == (
        "no row in train.csv, val.csv or test.csv for 2 pictures (2 .png), such as above.png; "
        "not trained on"
    )


def test_parts_of_one_table_are_told_apart_on_a_narrow_terminal(planted, monkeypatch, capsys):
    rows = [f"{row},{split}" for split, rows in planted.rows.items() for row in rows]
    lines = "\n".join(["image,cat,dog,sofa,split", *rows])
    (planted.root / "labels_of_all_pictures.csv").write_text(f"{lines}\n")
    monkeypatch.setenv("COLUMNS", "80")
    check(Given(planted.root))
    rows = [line.strip("│ ") for line in capsys.readouterr().out.splitlines()]
    shown = [[cell.strip() for cell in row.split("│")] for row in rows]
    assert [row[0] for row in shown if len(row) == 5 and "x" in row[4]] == [*planted.rows]


def test_only_the_given_folder_of_labels_is_walked(tmp_path):
    for number in range(8):
        for label in ("cat", "dog"):
            (tmp_path / "mine" / label).mkdir(parents=True, exist_ok=True)
            draw(100 * (label == "cat") + number).save(tmp_path / "mine" / label / f"{number}.png")
    (tmp_path / "others.psd").write_bytes(b"")
    draw(900).save(tmp_path / "others.png")
    kinds = {one.kind for one in check(Given(tmp_path / "mine"), quiet=True).findings}
    assert "passed-over" not in kinds
    (tmp_path / "mine" / "own.psd").write_bytes(b"")
    report = check(Given(tmp_path / "mine"), quiet=True)
    (one,) = (one for one in report.findings if one.kind == "passed-over")
    assert (one.where, one.detail) == (
        str(tmp_path / "mine"),
        "no pictures that lcnet reads: 1 .psd",
    )


def test_the_table_of_labels_has_the_count_of_all_splits(planted, capsys):
    check(planted.check().data)
    rows = [line for line in capsys.readouterr().out.splitlines() if "cat" in line]
    cells = [cell.strip() for cell in rows[0].strip("│ ").split("│")]
    assert int(cells[-1]) == sum(int(cell.split()[0]) for cell in cells[1:-1])


def test_a_copy_with_other_labels_contradicts_itself(planted):
    planted.add("train", draw(3), "again.bmp", "0,1,0")
    (detail,) = found(planted, "conflicting-labels")
    assert detail.endswith("; only one has cat")


def test_pictures_of_few_grey_levels_are_found(planted):
    rng = np.random.default_rng(0)
    for file in (planted.root / "images").iterdir():
        Image.fromarray(rng.integers(0, 16, size=(32, 32), dtype=np.uint8)).save(file)
    report = planted.check()
    narrow = [one for one in report.findings if one.kind == "unused-range"]
    assert [one.where for one in narrow] == ["train.csv", "val.csv", "test.csv"]
    assert "all 16 readable pictures use only 0 to 15 of 255" in narrow[0].detail
    assert not report.is_safe


def test_a_split_that_is_stored_in_another_way_is_found(planted):
    for seed in range(100, 108):
        draw(seed).convert("L").save(planted.root / "images" / f"{seed}.png")
    (one,) = [one for one in planted.check().findings if one.kind == "other-depth"]
    assert (one.where, one.unsafe) == ("val.csv", False)
    assert "8 of 8 pictures are grey with 8-bit values, and none of train.csv is" in one.detail


@pytest.mark.parametrize("given", [[], [0, 65535]])
def test_deeper_pictures_in_validation_are_unsafe_unless_their_range_is_given(planted, given):
    for seed in range(100, 108):
        grey = np.asarray(draw(seed).convert("L")).astype(np.uint16) * 257
        Image.fromarray(grey).save(planted.root / "images" / f"{seed}.png")
    report = check(replace(planted.write(), pixel_range=given), quiet=True)
    kinds = {one.kind: one.unsafe for one in report.findings if one.where.startswith("val.csv")}
    assert kinds == ({"other-depth": False} if given else {"unreadable-image": True})


def folders(root: Path) -> Data:
    """Three labels with pictures of the same names, all different."""
    for number, split in enumerate(("train", "val")):
        for place, label in enumerate(("cat", "dog", "sofa")):
            (root / split / label).mkdir(parents=True)
            for name in range(4):
                picture = draw(1000 * number + 100 * place + name)
                picture.save(root / split / label / f"{name}.png")
    return Data("folder", str(root), "train", "val", "", workers=0)


def test_different_pictures_of_one_name_are_said(tmp_path, capsys):
    report = check(folders(tmp_path), quiet=True)
    assert len(report.splits[0].split) == 12
    assert [(one.kind, one.where) for one in report.findings] == [
        ("same-name", "train"),
        ("same-name", "val"),
    ]
    assert "4 names are in several labels' folders with other bytes" in report.findings[0].detail
    assert report.is_safe
    load_splits(Config(data=report.data))
    assert "note: train: 4 names are in several labels' folders" in capsys.readouterr().out


def test_shares_of_labels_of_which_nothing_is_absent_are_not_said(planted, capsys, tmp_path):
    planted.rows["train"] = [row.replace(",0", ",") for row in planted.rows["train"]]
    check(planted.write(), html=tmp_path / "page.html")
    assert "most often together: cat and dog in 4; cat and sofa in 4; dog and sofa in 4" in (
        capsys.readouterr().out
    )
    assert "100 % of pictures" not in (tmp_path / "page.html").read_text()


def test_thousands_of_faults_of_a_kind_are_a_few_lines(planted, capsys):
    planted.rows["train"] += [f"images/missing_{number}.png,1,0,0" for number in range(3000)]
    check(planted.write())
    printed = capsys.readouterr().out
    assert "missing-image: 3,000 " in printed
    assert printed.count("images/missing_") == 10  # five rows, each with its file


def test_labels_without_a_positive_share_a_line_for_the_splits_that_lack_them(planted, capsys):
    for split in ("val", "test"):
        planted.rows[split] = [f"{row[:-3]}0,0" for row in planted.rows[split]]
    planted.rows["test"][0] = planted.rows["test"][0][:-1] + "1"
    check(planted.write())
    lines = capsys.readouterr().out.splitlines()
    first = lines.index("label-without-positives: 3  (A label that no picture of a split shows.)")
    assert lines[first + 1 : first + 3] == ["  val.csv, test.csv: dog", "  val.csv: sofa"]


def test_the_page_says_how_it_was_read_and_counts_one_thing_as_one(planted, tmp_path, capsys):
    rows = [row for rows in planted.rows.values() for row in rows]
    (planted.root / "labels.csv").write_text("\n".join(["image,cat,dog,sofa", *rows]) + "\n")
    draw(900).save(planted.root / "images" / "left.png")
    report = check(Given(planted.root), html=tmp_path / "check.html")
    assert report.said == capsys.readouterr().out.splitlines()[0]
    page = (tmp_path / "check.html").read_text()
    assert "How it was read: table labels.csv" in page
    assert "<strong>1</strong>finding</div>" in page
    assert "<strong>3</strong>labels</div>" in page
    assert '<td class="name">train</td>' in page
    assert '<div class="scale"><span>0 %</span><span>' in page


def test_names_break_between_folders_and_parts_and_stay_escaped():
    assert breakable("a/b.csv[train]: x <b>") == "a/<wbr>b.csv<wbr>[train]: x &lt;b&gt;"
    assert breakable("set --data.a b") == 'set <span class="flag">--data.a</span> b'
