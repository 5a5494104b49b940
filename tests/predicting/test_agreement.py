"""What evaluate, Predictor, predict, serve and an exported file say of a picture is the same."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import colours_config, draw_colours, with_train
from tests.served import served

import lcnet
from lcnet.compute import MOST_ROUNDING
from lcnet.exporting.export import export
from lcnet.predicting.predict import predict
from lcnet.predicting.predictor import Predictor
from lcnet.runs.train import train
from lcnet.serving.service import Service
from lcnet.serving.uploads import Limits


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A model that is calibrated as it is trained, and its ONNX file."""
    folder = tmp_path_factory.mktemp("agreement")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("lcnet.reporting.gather_report.report_on", lambda *_: None)
        config = colours_config(draw_colours(folder / "colours"))
        made = train(with_train(config, epochs=4, calibrate=True), folder / "run").path
    export(made, limit=4)
    return made


@pytest.fixture(scope="module")
def measured(run):
    """Probabilities (N L) and labels that evaluation found, by picture."""
    lcnet.evaluate(run, split="val.csv", predictions=run / "val.npz", quiet=True)
    kept = lcnet.read_predictions(run / "val.npz")
    above = kept.probabilities > np.float32(lcnet.ModelFolder(run / "model").info().thresholds)
    labels = [{kept.labels[place] for place in np.flatnonzero(row)} for row in above]
    names = [Path(name).name for name in kept.pictures]
    return dict(zip(names, zip(kept.probabilities, labels, strict=True), strict=True))


def of_predictor(run, pictures, folder):
    return Predictor(run)(pictures)


def of_default_precision(run, pictures, folder):
    return Predictor(run, precision="auto")(pictures)


def of_onnx(run, pictures, folder):
    return Predictor(run / "model.onnx")(pictures)


def of_service(run, pictures, folder):
    service = Service(
        Predictor(run, precision="auto"), Limits(megabytes=20.0, pixels=10**6, waiting=8)
    )
    return served(service, pictures)


WAYS = {
    "Predictor": of_predictor,
    "auto": of_default_precision,
    "onnx": of_onnx,
    "serve": of_service,
}


def apart(run: Path, way: str) -> float:
    """How far probabilities may be from the measured: as bfloat16 rounds, where it is taken."""
    if way in ("Predictor", "onnx") or Predictor(run, precision="auto").precision == "fp32":
        return 1e-4
    rounding = lcnet.ModelFolder(run / "model").info().rounding
    assert rounding is not None and rounding.largest <= MOST_ROUNDING
    return 2 * rounding.largest


def pictures_of(run: Path) -> list[Path]:
    return sorted((run.parent / "colours/images").glob("val*.png"))


@pytest.mark.parametrize("way", WAYS)
def test_every_way_says_what_was_measured(way, run, measured, tmp_path):
    pictures = pictures_of(run)
    for picture, found in zip(pictures, WAYS[way](run, pictures, tmp_path), strict=True):
        probabilities, labels = measured[picture.name]
        assert set(found.labels) == labels
        values = np.array(list(found.probabilities.values()))
        np.testing.assert_allclose(values, probabilities, atol=apart(run, way))


def test_the_command_writes_what_was_measured(run, measured, tmp_path):
    predict(run, [str(run.parent / "colours/images")], tmp_path / "rows.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    rows = [row for row in rows if Path(row["image"]).name in measured]
    assert len(rows) == len(measured) == 12
    for row in rows:
        probabilities, labels = measured[Path(row["image"]).name]
        assert set(row["labels"]) == labels
        values = list(row["probabilities"].values())
        np.testing.assert_allclose(values, probabilities, atol=apart(run, "auto"))
