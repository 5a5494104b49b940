"""What bfloat16 changes is measured, and decides what `auto` takes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lcnet.compute import Rounding, chosen_precision
from lcnet.evaluating.calibrate import calibrate, set_thresholds
from lcnet.evaluating.rounding import compared
from lcnet.model_folder import ModelFolder, ModelInfo, read_info
from lcnet.predicting.predict import predict
from lcnet.predicting.predictor import Predictor

SMALL = Rounding(device="cpu", split="val", pictures=500, largest=0.004, relabelled=0)


@pytest.fixture
def has_bf16(monkeypatch):
    """A processor with instructions for bfloat16; torch emulates them where there are none."""
    for place in ("lcnet.compute", "lcnet.evaluating.rounding"):
        monkeypatch.setattr(f"{place}.best_precision", lambda device: "bf16")


@pytest.fixture
def run(trained):
    return trained


def test_the_measured_difference_is_that_of_the_predictions(run, tmp_path, has_bf16):
    calibrate(run, quiet=True)
    found = read_info(run).rounding
    pictures = sorted((tmp_path / "colours/images").glob("val*.png"))
    exact, rounded = (Predictor(run, precision=each)(pictures) for each in ("fp32", "bf16"))
    changes = [
        abs(value - other.probabilities[label])
        for one, other in zip(exact, rounded, strict=True)
        for label, value in one.probabilities.items()
    ]
    assert found.largest == pytest.approx(max(changes), abs=1e-5)
    assert found.largest > 0
    relabelled = sum(
        set(one.labels) != set(other.labels) for one, other in zip(exact, rounded, strict=True)
    )
    assert (found.relabelled, found.pictures, found.device) == (relabelled, 12, "cpu")


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        (SMALL, "bf16"),
        (None, "fp32"),
        (replace(SMALL, largest=0.011), "fp32"),
        (replace(SMALL, relabelled=1), "fp32"),
        (replace(SMALL, pictures=99), "fp32"),
        (replace(SMALL, device="cuda"), "fp32"),
    ],
)
def test_auto_is_bfloat16_only_where_it_is_known_to_change_little(rounding, expected, has_bf16):
    assert chosen_precision("auto", torch.device("cpu"), rounding) == expected
    assert chosen_precision("bf16", torch.device("cpu"), rounding) == "bf16"


def test_auto_is_float32_without_the_instructions(monkeypatch):
    monkeypatch.setattr("lcnet.compute.best_precision", lambda device: "fp32")
    assert chosen_precision("auto", torch.device("cpu"), SMALL) == "fp32"


def test_prediction_says_what_it_computes_in(run, tmp_path, has_bf16, capsys, monkeypatch):
    pictures = [str(path) for path in (tmp_path / "colours/images").glob("val*.png")]
    predict(run, pictures)
    assert "12 pictures on cpu: float32" in capsys.readouterr().err
    predict(run, pictures, precision="bf16")
    assert "what bfloat16 changes is not measured here" in capsys.readouterr().err
    with monkeypatch.context() as without:
        without.setattr("lcnet.compute.best_precision", lambda device: "fp32")
        predict(run, pictures, precision="bf16")
    assert "bfloat16: emulated here, slower than" in capsys.readouterr().err
    folder = ModelFolder.at(run)
    folder.write_info(replace(folder.info(), rounding=SMALL))
    predict(run, pictures)
    assert (
        "bfloat16: probabilities differ from those in float32 by at most 0.004, and 0 of "
        "500 pictures would get other labels (measured on val, cpu)" in capsys.readouterr().err
    )


def test_other_thresholds_make_the_measurement_void(run, has_bf16):
    calibrate(run, quiet=True)
    assert read_info(run).rounding is not None
    set_thresholds(run, {"red": 0.7}, quiet=True)
    assert read_info(run).rounding is None


def test_pictures_with_other_labels_are_counted_at_the_thresholds(run):
    info = replace(read_info(run), thresholds=(0.5, 0.9, 0.5))
    exact = np.array([[0.1, 2.0, 0.0], [-0.1, 3.0, 1.0]], np.float32)
    rounded = exact + np.array([[-0.2, 0.1, -1.0], [0.05, -0.1, 0.0]], np.float32)
    found = compared(exact, rounded, info, "cpu", "val")
    assert (found.relabelled, found.pictures) == (1, 2)
    assert found.largest == pytest.approx(0.5 - 1 / (1 + np.e), abs=1e-6)


def test_the_folder_keeps_it(run):
    info = replace(read_info(run), rounding=SMALL, by_hand=("green",))
    assert ModelInfo.from_dict(info.to_dict()) == info
    stored = info.to_dict()
    stored["arithmetic"]["bf16"]["largest"] = "much"
    with pytest.raises(ValueError, match="largest"):
        ModelInfo.from_dict(stored)
    del stored["arithmetic"], stored["thresholds_by_hand"]  # as older models
    assert ModelInfo.from_dict(stored) == replace(info, rounding=None, by_hand=())
