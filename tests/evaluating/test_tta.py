"""`calibrate --tta` and `evaluate --tta`: what is deployed is what was calibrated."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.tiny import TINY, save_tiny_model

from lcnet.cli import main
from lcnet.config import Config, Data
from lcnet.errors import CheckpointError, ConfigError
from lcnet.evaluating.calibrate import calibrate, reset_calibration, set_thresholds
from lcnet.evaluating.ensemble import ensemble
from lcnet.evaluating.evaluate import evaluate
from lcnet.evaluating.measuring import measure
from lcnet.exporting.export import export
from lcnet.model_folder import FORMAT, FORMAT_OF_MANY, load_model, model_fingerprint, read_info
from lcnet.predicting.predictor import Predictor
from lcnet.reporting.cost import measure_cost
from lcnet.run_folder import RunFolder
from lcnet.runs.start import _read_start

LABELS = ("red", "green", "blue")


def untrained(folder, colour_table, settings=TINY):
    """A run folder on the colours with an untrained model."""
    torch.manual_seed(0)
    save_tiny_model(folder / "model", LABELS, (0.5,) * 3, settings)
    data = Data("table", str(colour_table), "train.csv", "val.csv", "val.csv", workers=0)
    Config(settings, data).save(RunFolder(folder).config_file)
    return folder


@pytest.fixture
def run(tmp_path, colour_table):
    """A run folder with an untrained model that sees two views of 32 px."""
    return untrained(tmp_path / "run", colour_table)


@pytest.fixture
def pictures(colour_table):
    return sorted((colour_table / "images").glob("val*.png"))


def values(rows):
    return np.array([list(row.probabilities.values()) for row in rows])


def test_what_was_calibrated_is_what_is_used(run, pictures):
    before, plain = model_fingerprint(run), values(Predictor(run)(pictures))
    assert json.loads((run / "model/model.json").read_text())["format"] == FORMAT
    calibrate(run, tta="mirror,zoom", method="none", quiet=True)
    info = read_info(run)
    assert info.test_time == ("mirror", "zoom") and model_fingerprint(run) != before
    assert info.calibration.source.endswith(", with mirror, zoom")
    assert json.loads((run / "model/model.json").read_text())["format"] == FORMAT_OF_MANY
    used = values(Predictor(run)(pictures))
    assert np.abs(used - plain).max() > 1e-5
    measured = measure(run, split="val.csv", quiet=True)
    names = [sample.path.name for sample in measured.samples.samples]
    order = [names.index(picture.name) for picture in pictures]
    assert measured.probabilities[order] == pytest.approx(used, abs=1e-5)
    assert measure_cost(load_model(run), 32).views == 6


@pytest.mark.parametrize(
    "ways",
    [
        "mirror",
        pytest.param("mirror,zoom", marks=pytest.mark.slow),  # more of the same, for half a minute
    ],
)
def test_an_exported_file_says_what_the_model_says(tmp_path, colour_table, pictures, ways):
    # A head of few operations, since each one takes its time in every way.
    run = untrained(tmp_path / "run", colour_table, replace(TINY, head="csra", crop_level=0))
    calibrate(run, tta=ways, method="none", quiet=True)
    exported = Predictor(export(run, format="onnx", limit=4))
    used = values(Predictor(run)(pictures))
    assert values(exported(pictures)) == pytest.approx(used, abs=1e-4)


def test_it_stays_until_it_is_removed(run):
    calibrate(run, tta="shift", quiet=True)
    calibrate(run, goal="f1", quiet=True)
    set_thresholds(run, {"red": 0.3}, quiet=True)
    assert read_info(run).test_time == ("shift",)
    calibrate(run, tta="none", quiet=True)
    assert read_info(run).test_time == () and "with" not in read_info(run).calibration.source
    calibrate(run, tta="mirror", quiet=True)
    reset_calibration(run)
    assert read_info(run).test_time == ()


@pytest.mark.slow  # other formats of what the ONNX file above has
@pytest.mark.parametrize("form", ["torch", "openvino"])
def test_exported_files_see_pictures_in_the_same_ways(run, form):
    if form == "openvino":
        pytest.importorskip("openvino")
    calibrate(run, tta="mirror,zoom,shift", quiet=True)
    export(run, format=form, limit=4)  # which raises if the logits differ by 1e-3


def test_a_file_exported_before_is_said_to_see_pictures_otherwise(trained, exported, capsys):
    file = exported
    calibrate(trained, tta="mirror", quiet=True)
    shown = capsys.readouterr().out
    assert f"warning: {file}: made with other test-time augmentation. Export it again" in shown
    old = Predictor(file)
    assert old.info.thresholds == (0.5,) * 3 and not old.info.test_time
    assert "made with other test-time augmentation than the model" in capsys.readouterr().err


def test_evaluate_says_what_it_gives_and_costs_and_leaves_the_model(run, capsys):
    before = model_fingerprint(run)
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", str(run), "--tta", "mirror"])
    assert ended.value.code == 0
    line = next(text for text in capsys.readouterr().out.splitlines() if "mirror: mAP" in text)
    plain = measure(run, quiet=True).verification.mAP
    seen = measure(run, ways=("mirror",), quiet=True).verification.mAP
    assert line.startswith(f"mirror: mAP {plain:.2f} -> {seen:.2f} ({seen - plain:+.2f}), ")
    assert line.endswith(" times the time of the model")
    assert model_fingerprint(run) == before
    assert json.loads((run / "metrics.json").read_text())["mAP"] == pytest.approx(plain, abs=1e-3)


def test_of_a_model_that_keeps_it_the_kept_one_is_measured(run, capsys):
    calibrate(run, tta="mirror", method="none", quiet=True)
    capsys.readouterr()
    evaluate(run, tta="zoom", quiet=False)
    shown = capsys.readouterr().out
    plain = measure(run, ways=(), quiet=True).verification.mAP
    assert "test-time augmentation: mean with mirror" in shown
    assert f"zoom: mAP {plain:.2f} -> " in shown
    kept = json.loads((run / "metrics.json").read_text())
    assert kept["mAP"] == pytest.approx(measure(run, quiet=True).verification.mAP, abs=1e-3)
    assert "test-time augmentation: mean with mirror" in kept["how"]


def test_what_cannot_work_is_refused_and_changes_nothing(run, tmp_path):
    before = model_fingerprint(run)
    for act in (calibrate, evaluate):
        with pytest.raises(ConfigError, match="--tta: expected none, or some of mirror"):
            act(run, tta="flip", quiet=True)
    with pytest.raises(ConfigError, match="--tta: expected a way to measure"):
        evaluate(run, tta="none", quiet=True)
    assert model_fingerprint(run) == before
    whole = save_tiny_model(tmp_path / "whole", LABELS, (0.5,) * 3, replace(TINY, crop_level=0))
    data = RunFolder(run).config().data
    for act in (calibrate, evaluate):
        with pytest.raises(ConfigError, match="--tta shift: expected a model that cuts pictures"):
            act(whole, data=data, tta="shift", quiet=True)
    stored = json.loads((whole / "model.json").read_text())
    for wrong in (["shift"], ["flip"], "mirror", [["mirror"]]):
        (whole / "model.json").write_text(json.dumps(stored | {"test_time": wrong}))
        with pytest.raises(CheckpointError, match="not a model description"):
            read_info(whole)


def test_training_starts_from_a_model_that_sees_pictures_as_they_are(run):
    calibrate(run, tta="mirror", quiet=True)
    model, _ = _read_start(run)
    assert model.test_time is None
    assert load_model(run).test_time is not None


def test_an_ensemble_keeps_what_all_its_models_have(run, tmp_path, capsys):
    other = save_tiny_model(tmp_path / "other", LABELS, (0.5,) * 3)
    data = RunFolder(run).config().data
    calibrate(run, tta="mirror", quiet=True)
    mixed = ensemble([run, other], out=tmp_path / "mixed")
    assert read_info(mixed).test_time == ()
    assert (
        "test-time augmentation: none, since the models have different" in capsys.readouterr().out
    )
    calibrate(other, data=data, tta="mirror", quiet=True)
    same = ensemble([run, other], out=tmp_path / "same")
    assert read_info(same).test_time == ("mirror",)
    images = torch.randn(2, 3, 32, 32)
    expected = (load_model(run)(images) + load_model(other)(images)) / 2
    assert torch.allclose(load_model(same)(images), expected, atol=1e-6)
    reset_calibration(same)
    assert not torch.allclose(load_model(same)(images), expected, atol=1e-6)
