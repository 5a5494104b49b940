"""A measurement of few pictures says that its numbers are rough, and how rough."""

import json
import re

import pytest

import lcnet
from lcnet.evaluating import measuring


def test_few_pictures_are_said_and_many_are_not(trained, capsys, monkeypatch):
    lcnet.evaluate(trained)
    said = capsys.readouterr().out
    pictures = int(said.split(" pictures, ")[0].split()[-1].replace(",", ""))
    assert f"only {pictures} pictures, so these numbers are rough" in said
    monkeypatch.setattr(measuring, "FEW", pictures)
    lcnet.evaluate(trained)
    assert "so these numbers are rough" not in capsys.readouterr().out


@pytest.mark.parametrize("intervals", [False, True])
def test_few_pictures_show_an_interval_and_how_many_show_each_label(trained, capsys, intervals):
    verification = lcnet.evaluate(trained, intervals=intervals)
    said = capsys.readouterr().out
    found = re.search(r"^mAP (\d+\.\d) \((\d+\.\d) to (\d+\.\d), 95 %\)$", said, re.M)
    assert found, said
    value, low, high = map(float, found.groups())
    assert value == round(verification.mAP, 1)
    assert low <= value <= high
    assert ("intervals over images: mAP" in said) == intervals
    stored = json.loads((trained / "metrics.json").read_text())
    assert "AP of each label (pictures that show it)\n" in said
    for label, positives in stored["positives"].items():
        assert f"{stored['AP'][label]:.1f} {label} ({positives})" in said
    assert ("intervals" in stored) == intervals  # what is kept stays as asked for


def test_enough_pictures_are_printed_as_they_were(trained, capsys, monkeypatch):
    monkeypatch.setattr(measuring, "FEW", 1)
    verification = lcnet.evaluate(trained)
    said = capsys.readouterr().out
    assert f"\nmAP {verification.mAP:.2f}\n" in said
    assert "AP of each label\n" in said
    assert "95 %" not in said
    assert re.search(r"\d red +\d", said)


NONE = ", since the file has none"


def test_a_file_of_few_predictions_is_said_in_the_same_words(trained, tmp_path, capsys):
    file = tmp_path / "seen.csv"
    lcnet.evaluate(trained, predictions=file)
    rough = re.compile(r"^(mAP .*\(.*95 %\)|only \d+ pictures, so .*|AP of each.*|AP as .*)$", re.M)
    of_run = rough.findall(capsys.readouterr().out)
    lcnet.evaluate(file)
    of_file = rough.findall(capsys.readouterr().out.replace(NONE, ""))
    assert of_file == of_run
    assert len(of_run) == 4


def test_a_terminal_is_told_what_the_names_mean(trained, capsys, monkeypatch):
    lcnet.evaluate(trained)
    assert "precision, recall and their F1" not in capsys.readouterr().out
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    monkeypatch.setenv("COLUMNS", "80")
    lcnet.evaluate(trained)
    said = capsys.readouterr().out
    for name in ("CP, CR, CF1", "OP, OR, OF1", "example F1", "Hamming loss", "ECE", "Brier"):
        assert name in said
    meanings = [line for line in said.splitlines() if "precision, recall" in line]
    assert len(meanings) == 1
