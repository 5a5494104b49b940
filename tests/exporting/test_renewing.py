"""Exported files say what the model beside them says, or that they do not."""

import numpy as np
import pytest
import torch
from tests.conftest import with_train

from lcnet.evaluating.calibrate import calibrate, reset_calibration, set_thresholds
from lcnet.exporting.export import export
from lcnet.exporting.formats import FORMATS
from lcnet.model_folder import read_info
from lcnet.predicting.predictor import Predictor
from lcnet.runs.train import train


@pytest.fixture
def run(trained, no_report):
    return trained


def test_calibrating_renews_onnx_files(run, exported, tmp_path, capsys):
    pictures = sorted((tmp_path / "colours/images").glob("val*.png"))
    weights = [Predictor(exported).model.session.get_inputs()[0].shape]
    for change in (
        lambda: calibrate(run, quiet=True),
        lambda: set_thresholds(run, {"red": 0.01}, quiet=True),
        lambda: reset_calibration(run),
    ):
        capsys.readouterr()
        change()
        shown = capsys.readouterr().out
        assert f"{exported}: has the new thresholds and calibration too" in shown
        onnx = Predictor(exported)
        assert "warning" not in capsys.readouterr().err
        assert onnx.info == read_info(run)
        for one, other in zip(Predictor(run)(pictures), onnx(pictures), strict=True):
            assert one.labels == other.labels
            values, others = (list(each.probabilities.values()) for each in (one, other))
            np.testing.assert_allclose(values, others, atol=1e-5)
    assert [Predictor(exported).model.session.get_inputs()[0].shape] == weights


@pytest.mark.slow  # the same as for ONNX, by the same function
@pytest.mark.parametrize("form", ["torch", "openvino"])
def test_calibrating_renews_other_files(run, capsys, form):
    if form == "openvino":
        pytest.importorskip("openvino")
    file = export(run, format=form, limit=4)
    files = [file, *([file.with_suffix(".bin")] if form == "openvino" else [])]
    score, _ = FORMATS[form].load(*files)
    size = read_info(run).preprocessing.size
    images = np.random.default_rng(0).normal(size=(2, 3, size, size)).astype(np.float32)
    before = score(torch.from_numpy(images))
    calibrate(run, quiet=True)
    assert f"{file}: has the new thresholds" in capsys.readouterr().out
    score, info = FORMATS[form].load(*files)
    assert info == read_info(run)
    torch.testing.assert_close(score(torch.from_numpy(images)), before)


def test_a_file_of_other_weights_is_left_alone_and_said(exported, tiny_config, tmp_path, capsys):
    kept = exported.read_bytes()
    other = train(with_train(tiny_config, epochs=1, seed=5), tmp_path / "other").path
    moved = other / "model.onnx"
    moved.write_bytes(kept)
    calibrate(other, quiet=True)
    assert "model.onnx: not made of the weights beside it. Export it again with" in (
        capsys.readouterr().out
    )
    assert moved.read_bytes() == kept
    Predictor(moved)
    assert "made of other weights than those beside it" in capsys.readouterr().err


def test_a_file_with_older_thresholds_is_said_when_it_is_used(run, exported, capsys):
    old = exported.read_bytes()
    calibrate(run, quiet=True)
    exported.write_bytes(old)
    capsys.readouterr()
    Predictor(exported)
    assert "has other thresholds and calibration than the model beside it" in (
        capsys.readouterr().err
    )


def test_other_files_are_not_touched(run, capsys):
    for name in ("other.onnx", "other.xml", "other.pt2"):
        (run / name).write_bytes(b"<x/>")
    set_thresholds(run, {"red": 0.4}, quiet=True)
    assert "cannot be changed" in capsys.readouterr().out
    assert (run / "other.onnx").read_bytes() == b"<x/>"
    assert read_info(run).thresholds[0] == 0.4
