"""`lcnet calibrate` from a trained run to what evaluation and prediction make of it."""

import json
import re

import numpy as np
import pytest
import torch

from lcnet.data.decoding import read_image
from lcnet.data.transforms import Normalize, eval_transform
from lcnet.errors import ConfigError, DataError
from lcnet.evaluating.calibrate import calibrate, reset_calibration
from lcnet.evaluating.evaluate import evaluate
from lcnet.model_folder import load_model, read_info
from lcnet.predicting.predictor import Predictor
from lcnet.reporting.report import report
from lcnet.runs.train import resume, train


@pytest.fixture
def run(trained):
    return trained


def test_evaluation_and_prediction_use_what_was_fitted(run, tmp_path, read_json, capsys):
    before, weights = evaluate(run, quiet=True), (run / "model/model.safetensors").read_bytes()
    fitted = calibrate(run, split="train.csv")
    shown = " ".join(capsys.readouterr().out.split())
    assert "best F1 on train.csv (24 pictures), probabilities corrected label by label" in shown
    assert "warning: train.csv is the training split (data.train)" in shown
    assert (run / "model/model.safetensors").read_bytes() == weights
    info = read_info(run)
    assert info.thresholds == fitted.thresholds.values
    assert info.calibration.slope == fitted.calibration.slope

    after = evaluate(run)
    shown = " ".join(capsys.readouterr().out.split())
    assert "calibrated: best F1 on train.csv (24 pictures)" in shown
    assert after.threshold == info.thresholds
    assert after.ap == before.ap
    assert after.calibration != before.calibration
    assert read_json(run / "metrics.json")["calibration"] == info.calibration.source

    # Logits of the model itself, and the formula written out.
    paths = sorted((tmp_path / "colours/images").glob("val*.png"))
    pictures = torch.stack([eval_transform(info.preprocessing)(read_image(p)) for p in paths])
    pictures = Normalize(info.preprocessing)(pictures)
    logits = load_model(run)(pictures).numpy()
    expected = 1 / (
        1 + np.exp(-(np.array(info.calibration.slope) * logits + info.calibration.bias))
    )
    for prediction, row in zip(Predictor(run)(paths), expected, strict=True):
        assert list(prediction.probabilities.values()) == pytest.approx(row.tolist(), abs=1e-5)
        above = {
            label
            for label, value, threshold in zip(info.labels, row, info.thresholds, strict=True)
            if value > threshold
        }
        assert set(prediction.labels) == above


def test_a_protocol_takes_plain_probabilities_and_says_so(run, capsys):
    before = evaluate(run, protocol="lcnet", quiet=True)
    calibrate(run, quiet=True)
    assert evaluate(run, protocol="lcnet") == before
    assert "not applied, since published work has none" in " ".join(capsys.readouterr().out.split())


def test_the_report_says_what_to_expect(run, read_json):
    calibrate(run, goal="recall", at_least=0.8, method="temperature", quiet=True)
    report = read_json(run / "calibration.json")
    assert report["source"] == "recall of at least 80 on val.csv (12 pictures), one temperature"
    assert {"at 0.5", "fitted", "cross-fitted"} <= set(report)
    assert report["fitted"]["CR"] >= 80
    assert set(report["fitted"]) >= {"CF1", "OF1", "ECE", "Brier"}


def test_a_second_time_replaces_the_first_and_reset_undoes_it(run):
    original = (run / "model/model.json").read_text()
    first = calibrate(run, quiet=True)
    second = calibrate(run, method="none", goal="recall", at_least=1.0, quiet=True)
    assert read_info(run).thresholds == second.thresholds.values != first.thresholds.values
    assert read_info(run).calibration.slope == (1.0, 1.0, 1.0)
    calibrate(run, quiet=True)
    assert read_info(run).thresholds == first.thresholds.values
    reset_calibration(run)
    assert (run / "model/model.json").read_text() == original
    assert not (run / "calibration.json").exists()


def test_a_goal_out_of_reach_and_labels_without_a_positive_are_said(run, tmp_path, capsys):
    file = tmp_path / "colours/val.csv"
    header, *rows = file.read_text().splitlines()
    # Red says nothing of these pictures, and blue is nowhere present.
    rows = [f"{row.split(',')[0]},{number % 2},1,0" for number, row in enumerate(rows)]
    file.write_text("\n".join([header, *rows]))
    before = (run / "model/model.json").read_bytes()
    fitted = calibrate(run, goal="precision", at_least=0.99)
    shown = " ".join(capsys.readouterr().out.split())
    assert not fitted.reached
    said = r"precision of at least 99: not reached, and nothing is changed: CP .* ([\d.]+), and at "
    found = re.search(said + r"0.5 it is ([\d.]+)\.", shown)
    assert found and float(found[1]) < float(found[2])
    assert (run / "model/model.json").read_bytes() == before
    fitted = calibrate(run)
    shown = " ".join(capsys.readouterr().out.split())
    assert (
        "no picture shows them, so they get the threshold that is best for all labels: blue"
        in shown
    )
    assert fitted.thresholds.values[2] == fitted.thresholds.common


def test_thresholds_of_few_pictures_are_marked_by_everyone_that_shows_them(
    run, tmp_path, capsys, read_json
):
    file = tmp_path / "colours/val.csv"
    header, *rows = file.read_text().splitlines()
    rows = [
        f"{row.split(',')[0]},{number % 2},{int(number < 2)},1" for number, row in enumerate(rows)
    ]
    rows[0] = rows[0][:-1] + "0"
    file.write_text("\n".join([header, *rows]))
    fitted = calibrate(run)
    shown = " ".join(capsys.readouterr().out.split())
    red, green, blue = fitted.thresholds.values
    assert f"red {red:.2f} (6), green {green:.2f}* (2), blue {blue:.2f} (11)" in shown
    assert "* 1 of 3 thresholds rest on fewer than 5 such pictures" in shown
    assert read_json(run / "calibration.json")["positives"] == {"red": 6, "green": 2, "blue": 11}
    evaluate(run)
    line = "1 threshold rests on fewer than 5 pictures that show the label: green (2)"
    assert line in capsys.readouterr().out
    evaluate(run, threshold=0.5)  # not the fitted ones
    assert "rests on" not in capsys.readouterr().out
    page = report(run).read_text(encoding="utf-8")
    assert f"{green:.2f}*</td>" in page
    assert "The threshold rests on fewer than 5 pictures" in page
    assert f"{red:.2f}*</td>" not in page


def test_the_split_that_is_tested_is_taken_with_a_warning_only(run, capsys):
    calibrate(run)  # data.val and data.test are the same here
    assert "warning: val.csv is the test split (data.test)" in capsys.readouterr().out


def test_a_model_folder_needs_data_and_keeps_its_report(run, tiny_config, tmp_path):
    model = (run / "model").rename(tmp_path / "alone")
    with pytest.raises(ConfigError, match="--data flags"):
        calibrate(model, quiet=True)
    fitted = calibrate(model, data=tiny_config.data, quiet=True)
    assert read_info(model).thresholds == fitted.thresholds.values
    assert (model / "calibration.json").is_file()


def test_mistakes_leave_the_model_alone(run, tmp_path):
    original = (run / "model/model.json").read_text()
    with pytest.raises(ConfigError, match="--shrinkage: expected 0 or more, got -1"):
        calibrate(run, shrinkage=-1, quiet=True)
    with pytest.raises(ConfigError, match="--batch_size: expected at least 1, got -1"):
        calibrate(run, batch_size=-1, quiet=True)
    file = tmp_path / "colours/val.csv"
    header, *rows = file.read_text().splitlines()
    file.write_text("\n".join([header, *(row.split(",")[0] + ",0,0,0" for row in rows)]))
    with pytest.raises(DataError, match="at least one positive"):
        calibrate(run, quiet=True)
    assert (run / "model/model.json").read_text() == original
    assert not (run / "calibration.json").exists()


def test_an_older_model_folder_is_read(run):
    file = run / "model/model.json"
    fields = json.loads(file.read_text())
    del fields["calibration"]
    file.write_text(json.dumps(fields))
    assert read_info(run).calibration is None
    calibrate(run, quiet=True)
    assert read_info(run).calibration is not None


def test_training_on_starts_uncalibrated(run, tiny_config, tmp_path):
    calibrate(run, quiet=True)
    again = train(tiny_config, tmp_path / "again", init=run).path
    assert read_info(again).calibration is None
    assert set(read_info(again).thresholds) == {0.5}
    resume(run)  # finished: nothing is trained, and what was fitted stays
    assert read_info(run).calibration is not None
