"""Data sets without splits: their parts are drawn once, kept, and read again."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lcnet.config import Config, Data
from lcnet.data.dividing import is_measurable
from lcnet.data.readers import load_split, read_split, record_parts
from lcnet.data.recognising import recognise
from lcnet.data.split_faults import judge_both
from lcnet.errors import DataError

NAMES = ("cat", "dog", "sofa")


def write(root: Path, *, rows: int = 60, patients: int = 0, name: str = "labels.csv") -> Path:
    """One table of pictures with one or two labels each, and perhaps their patients."""
    (root / "images").mkdir(parents=True)
    lines = ["image,labels" + ",PatientID" * bool(patients)]
    for number in range(rows):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(root / "images" / f"{number}.png")
        listed = {NAMES[number % 3], NAMES[(number // 3) % 3]}
        patient = f",p{number % patients}" if patients else ""
        lines.append(f"images/{number}.png,{'|'.join(sorted(listed))}{patient}")
    (root / name).write_text("\n".join(lines) + "\n")
    return root


def parts(data: Data) -> dict[str, set[str]]:
    return {
        name: {sample.path.name for sample in load_split(data, name).samples}
        for name in (data.train, data.val, data.test)
    }


def test_one_table_has_three_parts_that_share_no_picture(tmp_path):
    data = recognise(write(tmp_path)).data
    assert (data.train, data.val, data.test) == tuple(
        f"labels.csv[{role}]" for role in ("train", "val", "test")
    )
    train, val, test = parts(data).values()
    assert [len(train), len(val), len(test)] == pytest.approx([48, 6, 6], abs=1)
    assert len(train | val | test) == 60
    for split in (data.train, data.val, data.test):
        assert load_split(data, split).labels == NAMES
        assert (load_split(data, split).targets.mean(axis=0) > 0.3).all()
    assert parts(data) == parts(recognise(tmp_path).data)


def test_the_shares_are_those_of_the_settings(tmp_path):
    data = recognise(write(tmp_path), Data(shares=[0.5, 0.25, 0.25])).data
    assert [len(one) for one in parts(data).values()] == [30, 15, 15]
    said = recognise(tmp_path, Data(shares=[0.5, 0.25, 0.25])).said
    assert "50 % train, 25 % val, 25 % test" in said


def test_a_group_stays_in_one_part(tmp_path):
    data = recognise(write(tmp_path, patients=15)).data
    assert data.table.group == "PatientID"
    patients = [{int(name[:-4]) % 15 for name in names} for names in parts(data).values()]
    assert sum(map(len, patients)) == 15
    assert set.union(*patients) == set(range(15))
    assert min(map(len, patients)) >= 1


def test_validation_is_drawn_from_training_if_only_that_is_missing(tmp_path):
    write(tmp_path, name="train.csv")
    (tmp_path / "test.csv").write_text("image,labels\nimages/0.png,cat\nimages/1.png,dog\n")
    train = (tmp_path / "train.csv").read_text().splitlines()
    (tmp_path / "train.csv").write_text("\n".join([train[0], *train[3:]]) + "\n")
    data = recognise(tmp_path).data
    assert (data.train, data.val) == ("train.csv[train]", "train.csv[val]")
    assert data.test == "test.csv"
    train_part, val_part, _ = parts(data).values()
    assert [len(train_part), len(val_part)] == pytest.approx([52, 6], abs=1)


def test_a_file_keeps_the_parts_whatever_comes_later(tmp_path):
    root = write(tmp_path / "data")
    data = recognise(root).data
    before = parts(data)
    kept = record_parts(data, tmp_path / "splits.csv")
    assert parts(kept) == before
    with (root / "labels.csv").open("a") as table:
        table.write("images/new.png,cat\n")
    Image.new("RGB", (4, 4)).save(root / "images" / "new.png")
    assert parts(kept) == before
    rows = (tmp_path / "splits.csv").read_text().splitlines()
    assert (rows[0], len(rows)) == ("picture,split", 61)
    # A data set that has moved is found by its pictures' paths below the root.
    root.rename(tmp_path / "moved")
    assert parts(replace(kept, root=str(tmp_path / "moved"))) == before


def test_a_config_finds_the_file_beside_it_wherever_the_folder_is(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    data = record_parts(recognise(write(tmp_path / "data")).data, run / "splits.csv")
    Config(data=data).save(run / "config.yaml")
    assert "splits: splits.csv\n" in (run / "config.yaml").read_text()
    pictures = [sample.path for sample in load_split(data, data.train).samples]
    run.rename(tmp_path / "other")
    again = Config.load(tmp_path / "other" / "config.yaml").data
    assert again.splits == str(tmp_path / "other" / "splits.csv")
    assert [sample.path for sample in load_split(again, again.train).samples] == pictures


def test_splits_of_the_data_set_are_not_recorded(tmp_path):
    write(tmp_path)
    text = (tmp_path / "labels.csv").read_text().splitlines()
    rows = [f"{text[0]},split", *(f"{row},{'valid' if n % 4 else 'train'}" for n, row in
            enumerate(text[1:]))]  # fmt: skip
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    data = recognise(tmp_path).data
    assert (data.train, data.val) == ("labels.csv[train]", "labels.csv[valid]")
    assert (len(read_split(data, data.train)), len(read_split(data, data.val))) == (15, 45)
    assert record_parts(data, tmp_path / "splits.csv") == data
    assert not (tmp_path / "splits.csv").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,part\na,b\n", "expected a table of the columns picture and split"),
        ("picture,split\na\n", "expected a table of the columns picture and split"),
        ("picture,split\nimages/0.png,val\n", r"labels.csv\[train\]: no picture is in this part"),
    ],
)
def test_a_wrong_file_of_parts_is_refused_in_one_line(tmp_path, text, message):
    data = recognise(write(tmp_path)).data
    (tmp_path / "splits.csv").write_text(text)
    with pytest.raises(DataError, match=message) as error:
        read_split(replace(data, splits=str(tmp_path / "splits.csv")), data.train)
    assert "\n" not in str(error.value)


def test_drawing_is_the_same_for_the_same_labels_and_another_for_others(tmp_path):
    one = recognise(write(tmp_path / "one")).data
    other = recognise(write(tmp_path / "other", rows=61)).data
    first, second = (read_split(data, data.val) for data in (one, other))
    assert not np.array_equal(first.targets, second.targets)
    assert parts(one) == parts(one)


@pytest.mark.parametrize("rows", [10, 16, 24, 36])
def test_the_parts_of_a_small_data_set_are_large_enough_to_measure(tmp_path, rows):
    recognised = recognise(write(tmp_path, rows=rows))
    data = recognised.data
    val, test = (load_split(data, name, NAMES) for name in (data.val, data.test))
    assert min(len(val), len(test)) >= min(4, rows // 5)
    for part in (val, test):
        assert is_measurable(part.targets)
    shares = [f"{100 * share:.0f} %" for share in data.shares]
    assert f"{shares[0]} train, {shares[1]} val, {shares[2]} test (larger" in recognised.said
    assert data.shares[1] > 0.1


def test_a_small_training_split_gives_enough_pictures_for_validation(tmp_path):
    write(tmp_path, rows=24)
    lines = (tmp_path / "labels.csv").read_text().splitlines()
    cells = ["is_test", *(str(int(row >= 18)) for row in range(24))]
    rows = (f"{line},{cell}\n" for line, cell in zip(lines, cells, strict=True))
    (tmp_path / "labels.csv").write_text("".join(rows))
    data = recognise(tmp_path).data
    assert [len(one) for one in parts(data).values()] == pytest.approx([14, 4, 6], abs=1)
    assert len(load_split(data, data.val)) >= 4


def test_given_shares_are_kept_in_a_small_data_set(tmp_path):
    data = recognise(write(tmp_path, rows=20), Data(shares=[0.9, 0.05, 0.05])).data
    assert data.shares == [0.9, 0.05, 0.05]


def test_a_drawn_part_that_cannot_be_measured_is_refused_with_shares_that_work(tmp_path):
    data = recognise(write(tmp_path, rows=16), Data(shares=[0.9, 0.05, 0.05])).data
    training, validation = load_split(data, data.train), load_split(data, data.val)
    assert not is_measurable(validation.targets)
    (line,) = (
        one.detail
        for one in judge_both(training, validation, data, unknown="ignore")
        if one.kind == "nothing-measurable"
    )
    (found,) = re.findall(r"Set --data.shares '(\[.*\])'", line)
    better = replace(data, shares=json.loads(found))
    assert is_measurable(load_split(better, data.val, NAMES).targets)


def test_a_part_that_no_shares_can_measure_is_refused_without_such_advice(tmp_path):
    write(tmp_path, rows=16)
    table = tmp_path / "labels.csv"
    table.write_text(re.sub(r",\S+$", ",cat|dog", table.read_text(), flags=re.M))
    table.write_text(table.read_text().replace(",cat|dog", ",labels", 1))
    data = recognise(tmp_path).data
    training, validation = load_split(data, data.train), load_split(data, data.val)
    details = [
        one.detail
        for one in judge_both(training, validation, data, unknown="ignore")
        if one.kind == "nothing-measurable"
    ]
    assert details
    assert not any("--data.shares" in detail for detail in details)


def listed(root: Path, text: str, **changes: object) -> Data:
    """The data set with a list of its splits."""
    file = root.parent / "splits.csv"
    file.write_text("picture,split\n" + text)
    return replace(recognise(root).data, splits=str(file), **changes)


def test_a_list_made_for_a_table_in_another_folder_is_matched_by_the_ends_of_paths(tmp_path):
    root = write(tmp_path / "set", rows=6)
    parts = ("train", "train", "val", "val", "test", "test")
    for way in ("", "set/", "../set/", "../../elsewhere/../set/"):
        rows = [f"{way}images/{number}.png,{part}\n" for number, part in enumerate(parts)]
        if "elsewhere" in way:
            with pytest.raises(DataError, match=r"expected pictures of .*got '../../elsewhere"):
                load_split(listed(root, "".join(rows)), "labels.csv[val]")
            continue
        found = load_split(listed(root, "".join(rows)), "labels.csv[val]")
        assert {sample.path.name for sample in found.samples} == {"2.png", "3.png"}


def test_ends_of_paths_that_could_be_several_pictures_are_refused(tmp_path):
    root = write(tmp_path / "set", rows=6)
    rows = "../set/images/1.png,train\n../../set/images/1.png,val\n../set/images/2.png,val\n"
    with pytest.raises(DataError, match=r"expected one picture of .* for each path, got several"):
        load_split(listed(root, rows), "labels.csv[val]")


def test_pictures_that_a_list_leaves_out_are_said(tmp_path):
    root = write(tmp_path / "set", rows=6)
    found = load_split(listed(root, "images/0.png,train\nimages/1.png,val\n"), "labels.csv[val]")
    assert len(found) == 1
    assert any("4 of 6 pictures are in no split, since" in note for note in found.notes)
