"""Splits by name: train, val and test are good for every run, also where one table was divided."""

import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from tests.conftest import colours_config, few_resamples, one_table, with_train

from lcnet.cli import main
from lcnet.config import Data
from lcnet.data.readers.split_names import split_called
from lcnet.data.recognising import data_at
from lcnet.errors import DataError
from lcnet.evaluating.calibrate import calibrate
from lcnet.evaluating.evaluate import evaluate
from lcnet.run_folder import RunFolder
from lcnet.runs.train import train


@pytest.fixture(scope="module")
def divided_once(tmp_path_factory) -> Path:
    """A folder with a run on one table that lcnet divided: only to be copied."""
    folder = tmp_path_factory.mktemp("divided")
    data = replace(data_at(one_table(folder / "colours"), quiet=True), workers=0)
    config = replace(with_train(colours_config(folder), epochs=1), data=data)
    with pytest.MonkeyPatch.context() as patch:
        few_resamples(patch)
        train(config, folder / "run")
    return folder


@pytest.fixture
def divided(divided_once, tmp_path, monkeypatch) -> Path:
    """The run, of one's own."""
    few_resamples(monkeypatch)
    return shutil.copytree(divided_once / "run", tmp_path / "run")


def run_line(line: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(shlex.split(line))
    return int(ended.value.code or 0)


@pytest.mark.parametrize("role", ["train", "val", "test"])
def test_a_role_is_a_split_of_a_run_on_one_table(divided, role, read_json, tmp_path):
    named = evaluate(divided, split=role, quiet=True)
    file = "metrics-train.json" if role == "train" else "metrics.json"
    assert read_json(divided / file)["split"] == f"labels.csv[{role}]"
    assert named == evaluate(divided, split=f"labels.csv[{role}]", quiet=True)


def test_each_split_keeps_its_metrics_and_the_test_split_has_the_plain_name(
    divided, read_json, capsys
):
    first = (divided / "metrics.json").read_text()
    assert read_json(divided / "metrics.json")["role"] == "val"  # as training leaves it
    evaluate(divided, quiet=True)
    test = (divided / "metrics.json").read_text()
    assert read_json(divided / "metrics.json")["role"] == "test"
    assert (divided / "metrics-val.json").read_text() == first
    evaluate(divided, split="val")
    assert "metrics-val.json; metrics.json stays" in " ".join(capsys.readouterr().out.split())
    evaluate(divided, split="train", quiet=True)
    assert (divided / "metrics.json").read_text() == test
    assert read_json(divided / "metrics-val.json")["role"] == "val"
    assert read_json(divided / "metrics-train.json")["role"] == "train"
    of = RunFolder(divided)
    assert [file.name for file in of.metrics_files()] == [
        "metrics.json",
        "metrics-train.json",
        "metrics-val.json",
    ]


def test_what_was_measured_of_another_model_is_replaced(divided, read_json):
    evaluate(divided, quiet=True)
    calibrate(divided, quiet=True)
    evaluate(divided, split="val", quiet=True)
    assert read_json(divided / "metrics.json")["role"] == "val"


def test_every_verb_of_a_run_takes_a_role(divided, divided_once, tmp_path, capsys):
    page = tmp_path / "val.html"
    kept = tmp_path / "val.csv"
    assert run_line(f"evaluate {divided} --split val --predictions {kept}") == 0
    assert run_line(f"report {divided} --split val --out {page}") == 0
    assert "labels.csv[val]" in page.read_text(encoding="utf-8")
    assert run_line(f"evaluate {kept} {divided_once / 'colours'} --split val") == 0
    capsys.readouterr()
    calibrate(divided, split="test")
    assert "labels.csv[test] is the test split" in " ".join(capsys.readouterr().out.split())
    pytest.importorskip("cleanlab")
    checked = run_line(f"check {divided_once / 'colours'} --model {divided} --split val")
    assert "expected one of" not in capsys.readouterr().err
    assert checked in (0, 1)


def test_a_name_of_no_split_is_refused_with_those_there_are(divided, divided_once):
    wanted = (
        r'^no split "x"; this run has train, val, test '
        r"\(labels.csv\[train\], labels.csv\[val\], labels.csv\[test\]\)\. Name one of these"
    )
    for use in (evaluate, calibrate):
        with pytest.raises(DataError, match=wanted):
            use(divided, split="x", quiet=True)
    with pytest.raises(DataError, match=r'^no split "x"; this data set has val \(labels.csv\)'):
        evaluate(divided, split="x", data=divided_once / "colours", quiet=True)


def test_a_role_that_a_run_has_not_is_refused_with_those_there_are(divided):
    config = divided / "config.yaml"
    config.write_text(config.read_text().replace("test: labels.csv[test]", "test: ''"))
    with pytest.raises(DataError, match=r'^no split "test"; this run has train, val \('):
        evaluate(divided, split="test", quiet=True)


def test_a_split_of_that_very_name_goes_before_the_role(tmp_path):
    for split in ("train", "val", "holdout"):
        (tmp_path / split / "cat").mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / split / "cat" / "a.png")
    data = Data(format="folder", root=str(tmp_path), train="train", val="holdout", test="holdout")
    assert split_called(data, "val") == "val"
    assert split_called(data, "test") == "holdout"
    assert split_called(data, "train") == "train"
    assert split_called(data, "other") == "other"
    assert split_called(replace(data, test="val"), "val") == "val"
