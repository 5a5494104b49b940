"""`calibrate --views needed` and `evaluate --views all`: what is kept is what was measured."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.tiny import TINY, save_tiny_model

from lcnet.cli import main
from lcnet.config import Config, Data
from lcnet.errors import CheckpointError, ConfigError
from lcnet.evaluating.calibrate import calibrate, reset_calibration
from lcnet.evaluating.ensemble import ensemble
from lcnet.evaluating.evaluate import evaluate
from lcnet.evaluating.fitting_views import Rung, choose
from lcnet.evaluating.measuring import measure
from lcnet.evaluating.needed_tiles import above, crossfitted, fit_need, thresholds, with_threshold
from lcnet.exporting.export import export
from lcnet.model_folder import FORMAT_OF_MANY, ModelFolder, load_model, read_info
from lcnet.predicting.predictor import Predictor
from lcnet.run_folder import RunFolder

LABELS = ("red", "green", "blue")


@pytest.fixture
def run(tmp_path, colour_table):
    """A run folder with an untrained model that cuts pictures into four tiles."""
    torch.manual_seed(0)
    settings = replace(TINY, crop_level=2, head="csra")
    folder = tmp_path / "run"
    save_tiny_model(folder / "model", LABELS, (0.5,) * 3, settings)
    data = Data("table", str(colour_table), "train.csv", "val.csv", "val.csv", workers=0)
    Config(settings, data).save(RunFolder(folder).config_file)
    return folder


@pytest.fixture
def pictures(colour_table):
    return sorted((colour_table / "images").glob("val*.png"))


def values(rows):
    return np.array([list(row.probabilities.values()) for row in rows])


def test_what_is_kept_is_what_is_measured_and_used(run, pictures, capsys):
    calibrate(run, views="needed", most_views=2.5, method="none")
    printed = capsys.readouterr().out
    assert "at most 2.5 views" in printed and "5.00" in printed
    info = read_info(run)
    assert 1 < info.views.mean <= 2.5 and info.views.all == 5
    assert info.calibration.source.endswith(", with needed views")
    assert json.loads((run / "model/model.json").read_text())["format"] == FORMAT_OF_MANY
    predictor = Predictor(run)
    used = values(predictor(pictures))
    assert "of 5 views a picture" in predictor.views_taken
    measured = measure(run, split="val.csv", quiet=True)
    names = [sample.path.name for sample in measured.samples.samples]
    order = [names.index(picture.name) for picture in pictures]
    assert measured.probabilities[order] == pytest.approx(used, abs=1e-5)


def test_all_views_come_back(run, capsys):
    before = measure(run, split="val.csv", quiet=True).logits
    weights = (run / "model/model.safetensors").read_bytes()
    for back in (lambda: calibrate(run, views="all", quiet=True), lambda: reset_calibration(run)):
        calibrate(run, views="needed", most_views=2.0, quiet=True)
        assert load_model(run).needed is not None
        assert measure(run, split="val.csv", all_views=True, quiet=True).logits == pytest.approx(
            before, abs=1e-6
        )
        back()
        assert read_info(run).views is None and load_model(run).needed is None
        assert (run / "model/model.safetensors").read_bytes() == weights


def test_what_it_costs_and_saves_is_told(run, capsys):
    calibrate(run, views="needed", most_views=2.0, quiet=True)
    evaluate(run, split="val.csv", views="all")
    printed = " ".join(capsys.readouterr().out.split())
    assert "needed views: mAP" in printed and "times as fast" in printed
    with pytest.raises(SystemExit, match="0"):
        main(["predict", str(run), str(run.parent / "colours/images")])
    assert "looked where it mattered" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("most", "form"),
    [
        (1.0, "onnx"),
        (2.5, "onnx"),
        pytest.param(5.0, "onnx", marks=pytest.mark.slow),
        pytest.param(2.5, "openvino", marks=pytest.mark.slow),
    ],
)
def test_the_exported_file_says_what_the_model_says(run, pictures, most, form):
    calibrate(run, views="needed", most_views=most, method="none", quiet=True)
    exported = Predictor(export(run, format=form, limit=6))
    assert exported.info.views == read_info(run).views
    for batch in (pictures, pictures[:1]):
        assert values(exported(batch)) == pytest.approx(values(Predictor(run)(batch)), abs=1e-4)


def test_a_model_that_is_changed_looks_at_all_views(run, tmp_path):
    calibrate(run, views="needed", most_views=2.0, quiet=True)
    joined = ensemble([run, _copy(run, tmp_path / "other")], out=tmp_path / "both")
    assert all(member.needed is None for member in load_model(joined).singles())
    with pytest.raises(ConfigError, match="expected one model"):
        calibrate(joined, views="needed", quiet=True)


def _copy(run, to):
    import shutil

    return shutil.copytree(run, to)


def test_a_folder_that_lacks_a_part_is_refused(run):
    calibrate(run, views="needed", most_views=2.0, quiet=True)
    info = read_info(run)
    ModelFolder.at(run).write_info(replace(info, views=None))
    with pytest.raises(CheckpointError, match="views: expected weights"):
        load_model(run)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"most_views": 2.0}, "--most_views: needs --views needed"),
        ({"views": "needed", "most_views": 6.0}, "--most_views: expected 1 to 5"),
        ({"views": "needed", "tta": "mirror"}, "--tta: does not go with --views needed"),
    ],
)
def test_wrong_flags_are_refused(run, given, message):
    with pytest.raises(ConfigError, match=message):
        calibrate(run, quiet=True, **given)


def test_test_time_augmentation_and_needed_views_do_not_go_together(run):
    calibrate(run, views="needed", most_views=2.0, quiet=True)
    with pytest.raises(ConfigError, match="--tta mirror: expected a model that looks at all views"):
        evaluate(run, split="val.csv", tta="mirror", quiet=True)


def test_evaluating_all_views_needs_a_model_that_does_not_take_them(run):
    with pytest.raises(ConfigError, match="--views all: expected a model that looks at needed"):
        evaluate(run, split="val.csv", views="all", quiet=True)


def test_a_model_without_tiles_is_refused(tmp_path):
    save_tiny_model(tmp_path / "model", LABELS, (0.5,) * 3, replace(TINY, crop_level=0))
    with pytest.raises(ConfigError, match="expected a model that cuts pictures into tiles"):
        calibrate(tmp_path, views="needed", quiet=True)


def test_where_it_saves_too_little_the_model_looks_at_all_views(run, monkeypatch, capsys):
    calibrate(run, views="needed", most_views=2.0, quiet=True)
    monkeypatch.setattr("lcnet.evaluating.fitting_views.WORTH", 0.0)
    calibrate(run, views="needed", within=1.0)
    assert "saves too little, so the model looks at all views" in capsys.readouterr().out
    assert read_info(run).views is None and load_model(run).needed is None


# The parts


def test_the_need_follows_what_a_look_changes():
    generator = torch.Generator().manual_seed(1)
    statistics = torch.randn(300, 4, 12, generator=generator)
    change = (statistics[..., 3] + 0.3 * torch.randn(300, 4, generator=generator)).exp()
    need = crossfitted(statistics, change)
    assert np.corrcoef(need.flatten(), change.log().flatten())[0, 1] > 0.8
    fitted = fit_need(statistics, change)
    assert torch.equal(fitted.need(statistics), fit_need(statistics, change).need(statistics))
    moved = with_threshold(fitted, 0.4).need(statistics)
    assert torch.allclose(moved, above(fitted.need(statistics), 0.4), atol=1e-4)


def test_thresholds_give_so_many_tiles_a_picture():
    need = np.random.default_rng(0).normal(size=(100, 4))
    found = thresholds(need, np.array([0.0, 1.0, 4.0]))
    assert [(need > each).sum() for each in found] == [0, 100, 400]


def rungs(*lost):
    return [Rung(0.0, 1.0 + number, each, 0.0) for number, each in enumerate(lost)]


def test_the_fewest_views_are_taken_that_keep_to_the_loss():
    assert choose(rungs(3.0, 0.08, 0.05, 0.0), within=0.1, most=None).views == 2
    # Those above it have to keep to it too: else it was luck.
    assert choose(rungs(0.05, 0.3, 0.05, 0.0), within=0.1, most=None).views == 3
    assert choose(rungs(3.0, 0.3, 0.2, 0.0), within=0.1, most=None).views == 4
    assert choose(rungs(3.0, 0.3, 0.2, 0.0), within=0.1, most=2.5).views == 2
    # What is to be expected counts where the pictures at hand were lucky.
    lucky = [replace(rung, expected=0.2) for rung in rungs(-0.3, -0.3)]
    assert choose([*lucky, *rungs(-0.1)], within=0.1, most=None).measured == -0.1
