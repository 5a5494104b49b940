"""Rules between labels, from a YAML file to check, training, decisions and measured rates."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tests.tiny import save_tiny_model

import lcnet
from lcnet.data.rules_file import read_rules
from lcnet.errors import CheckpointError, ConfigError
from lcnet.evaluating.measuring import how_measured, measure
from lcnet.metrics.label_rules import LabelRules
from lcnet.model_folder import ModelFolder, read_info
from lcnet.model_folder.exported import describe, understand
from lcnet.predicting.predictor import Predictor
from lcnet.runs.train import train

LABELS = ("red", "green", "blue")
YAML = "exclusive: [[red, green]]\nimplies: {blue: [green]}\n"


@pytest.fixture
def rules_file(tmp_path):
    (tmp_path / "rules.yaml").write_text(YAML)
    return tmp_path / "rules.yaml"


@pytest.fixture
def ruled(tiny_config, rules_file):
    recipe = replace(tiny_config.train, epochs=1)
    data = replace(tiny_config.data, rules=str(rules_file))
    return replace(tiny_config, data=data, train=recipe)


def decided(prediction):
    return {label: label in prediction.labels for label in LABELS}


def test_a_run_keeps_its_rules_in_the_model_and_in_all_that_decides(
    ruled, rules_file, tmp_path, capsys, read_json, no_report
):
    run = train(ruled, tmp_path / "run").path
    said = "".join(capsys.readouterr())
    assert "label rules: 1 exclusive group, 1 implication" in said
    assert "warning: train.csv: 'red', 'green' exclude each other, but are present together" in said
    rules_file.unlink()  # the model needs no file
    stored = read_json(run / "model" / "model.json")["rules"]
    expected = {"exclusive": [["red", "green"]], "one_of": [], "implies": {"blue": ["green"]}}
    assert stored == expected
    ModelFolder.at(run).write_info(replace(read_info(run), thresholds=(0.0, 0.0, 0.0)))
    pictures = sorted((tmp_path / "colours" / "images").glob("val*.png"))
    pictures.sort(key=lambda path: int(path.stem[3:]))
    predictions = Predictor(run)(pictures)
    for one in predictions:
        shown = decided(one)
        assert shown["red"] != shown["green"] and shown["blue"] <= shown["green"]
        assert len(one.probabilities) == 3
    measured = measure(run, quiet=True)
    flags = measured.rules.decide(measured.probabilities > 0, measured.probabilities)
    assert flags.tolist() == [list(decided(one).values()) for one in predictions]
    plain = replace(read_info(run), rules=None)
    ModelFolder.at(run).write_info(plain)
    without = measure(run, quiet=True)
    assert without.verification.mAP == measured.verification.mAP
    assert without.verification.at_threshold.CP != measured.verification.at_threshold.CP
    line = "label rules (1 exclusive group, 1 implication): decisions, and so their rates, keep"
    assert any(one.startswith(line) for one in how_measured(measured))
    assert not any("label rules" in one for one in how_measured(without))


def test_an_exported_file_says_the_rules(tmp_path):
    save_tiny_model(tmp_path / "model", LABELS, (0.5,) * 3)
    rules = LabelRules.from_dict({"exclusive": [["red", "blue"]]}, LABELS)
    info = replace(read_info(tmp_path / "model"), rules=rules)
    assert understand(describe(info), tmp_path / "it.onnx").rules == rules


def test_explanations_are_of_the_decided_labels(tmp_path):
    torch.manual_seed(0)
    save_tiny_model(tmp_path / "model", LABELS, (0.0,) * 3)
    rules = LabelRules.from_dict({"exclusive": [list(LABELS)]}, LABELS)
    ModelFolder(tmp_path / "model").write_info(replace(read_info(tmp_path / "model"), rules=rules))
    predictor = Predictor(tmp_path / "model")
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8))
    [prediction], [explanation] = predictor([picture]), predictor.explain([picture])
    assert [one.label for one in explanation.labels] == list(prediction.labels)
    assert len(prediction.labels) == 1 and explanation.left_out == 0


def test_check_counts_the_pictures_that_break_a_rule(ruled, tmp_path, capsys):
    rows = ["image,red,green,blue", "images/train0.png,1,1,0", "images/train1.png,1,0,1"]
    rows += ["images/train2.png,1,1,1", "images/train3.png,1,0,-1", "images/train4.png,-1,1,1"]
    (tmp_path / "colours" / "train.csv").write_text("\n".join(rows) + "\n")
    report = lcnet.check(ruled.data)
    of_train = [
        one
        for one in report.findings
        if one.kind == "broken-rule" and one.where.startswith("train.csv")
    ]
    first, second = (one.detail for one in of_train)
    assert "'red', 'green' exclude each other, but are present together in 2 of 5" in first
    assert "train.csv:2" in first and "train.csv:4" in first
    assert "'blue' implies 'green', which is absent beside it in 1 of 5" in second
    assert all(one.unsafe and not one.refused for one in of_train)
    assert "broken-rule: " in capsys.readouterr().out


def test_a_rule_of_exactly_one_is_broken_by_none(ruled, rules_file, tmp_path):
    rules_file.write_text("one_of: [[red, green]]")
    rows = ["image,red,green,blue", "images/train0.png,0,0,1", "images/train1.png,0,-1,1"]
    (tmp_path / "colours" / "train.csv").write_text("\n".join(rows) + "\n")
    details = [one.detail for one in lcnet.check(ruled.data, quiet=True).findings]
    assert any(
        "exactly one of 'red', 'green' holds, but all are absent in 1 of 2" in one
        for one in details
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("exclusive: [[red, gren]]", "rules.yaml: exclusive: no label is called 'gren'"),
        ("exclusive: [[red, yes]]", "expected names, got True"),
        ("- red", "rules: expected an object, got list"),
        ("exclusive: [", "not a YAML file"),
        ("a: &a [*a]", "aliases"),
        ("x: " + "y" * 2_000_000, "expected at most 2,000,000 bytes"),
        ("implies: {red: blue, blue: red}", "imply each other"),
    ],
)
def test_a_wrong_file_is_one_line_before_anything_is_written(
    ruled, rules_file, tmp_path, text, says
):
    rules_file.write_text(text)
    for act in (lambda: train(ruled, tmp_path / "run"), lambda: lcnet.check(ruled.data)):
        with pytest.raises(ConfigError, match=says) as error:
            act()
        assert "\n" not in str(error.value)
    assert not (tmp_path / "run" / "model").exists()
    rules_file.unlink()
    with pytest.raises(ConfigError, match="no such file"):
        train(ruled, tmp_path / "other")


def test_numbers_are_names(rules_file):
    rules_file.write_text("exclusive: [[0, 1]]\nimplies: {2: 1}")
    rules = read_rules(rules_file, ("0", "1", "2"))
    assert (rules.exclusive, rules.implies) == ((("0", "1"),), (("2", ("1",)),))


def test_a_description_with_wrong_rules_is_refused(tmp_path):
    save_tiny_model(tmp_path / "model", LABELS, (0.5,) * 3)
    file = tmp_path / "model" / "model.json"
    fields = json.loads(file.read_text())
    assert fields.pop("rules") is None
    file.write_text(json.dumps(fields))  # as older versions wrote it
    assert read_info(tmp_path / "model").rules is None
    file.write_text(json.dumps(fields | {"rules": {"exclusive": [["red", "pink"]]}}))
    with pytest.raises(CheckpointError, match="no label is called 'pink'"):
        read_info(tmp_path / "model")


def test_calibrate_gives_a_trained_model_rules_and_takes_them_away(
    tiny_config, rules_file, tmp_path, read_json, no_report, capsys
):
    short = replace(tiny_config, train=replace(tiny_config.train, epochs=1))
    run = train(short, tmp_path / "run").path
    rules = read_rules(rules_file, LABELS)
    other = replace(tiny_config.data, rules=str(rules_file))
    with pytest.raises(ConfigError, match=r"calibrate MODEL --rules .*rules.yaml"):
        lcnet.evaluate(run, data=other)
    lcnet.calibrate(run, rules=rules_file)
    assert "decisions keep the model's label rules: 1 exclusive" in capsys.readouterr().out
    assert read_info(run).rules == rules
    assert measure(run, quiet=True, data=other).rules is not None
    rules_file.write_text("")
    lcnet.calibrate(run, rules=rules_file, quiet=True)
    assert read_info(run).rules is None


def test_a_run_that_starts_from_a_model_keeps_its_rules(ruled, tmp_path, no_report, capsys):
    first = train(ruled, tmp_path / "first").path
    plain = replace(ruled, data=replace(ruled.data, rules=""))
    second = train(plain, tmp_path / "second", init=first).path
    assert read_info(second).rules == read_info(first).rules
