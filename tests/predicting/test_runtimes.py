"""Other runtimes for a folder's network: measured, proven, chosen by the table, and said."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.tiny import save_tiny_model

from lcnet.cli import main
from lcnet.compute import Rounding
from lcnet.errors import CheckpointError, ConfigError, DataError
from lcnet.exporting import engine_files, engine_race
from lcnet.exporting.engine_files import engine_folder, kept_table
from lcnet.exporting.engine_race import measure_engines
from lcnet.exporting.engine_table import EngineTable, Row, this_machine
from lcnet.model.fast import FastClassifier
from lcnet.model_folder import load_model, read_info
from lcnet.predicting.predict import predict
from lcnet.predicting.predictor import Predictor

TORCH = Row("torch", "fp32", 1.0, 10, 0, 0, 0, 0)
ONNX = Row("onnxruntime", "fp32", 0.7, 7, 1e-6, 1e-7, 0, 32)


def table_of(*rows: Row, failed: dict[str, str] | None = None) -> EngineTable:
    return EngineTable(this_machine(), 8, (TORCH, *rows), failed or {})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with the engine files and the table of a tiny model, which lies beside it."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("runtimes")
    model = save_tiny_model(folder / "model", ("cat", "dog"), (0.5, 0.4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LCNET_CACHE", str(folder / "cache"))
        info = read_info(model)
        size = info.preprocessing.size
        pictures = list(torch.randint(256, (7, 3, size, size), dtype=torch.uint8))
        assert measure_engines(model, info, pictures, batch_size=4) is not None
    return folder


@pytest.fixture
def cached(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model of `made`, with its cache in use."""
    monkeypatch.setenv("LCNET_CACHE", str(made / "cache"))
    return made / "model"


def keep(model: Path, table: EngineTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lcnet.predicting.predictor.kept_table", lambda *_: table)
    monkeypatch.setattr("lcnet.exporting.engine_files.kept_table", lambda *_: table)


def test_measuring_compares_every_runtime_with_torch(cached):
    table = kept_table(cached, read_info(cached))
    assert table is not None
    assert [(row.runtime, row.precision) for row in table.rows if row.precision == "fp32"] == [
        ("torch", "fp32"),
        ("onnxruntime", "fp32"),
        ("openvino", "fp32"),
    ]
    assert not table.failed
    for row in table.rows[1:]:
        assert row.is_exact or row.precision == "bf16"
        assert (row.pictures, row.relabelled) == (7, 0)
    assert table.rows[0].share == 1


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_named_runtime_gives_the_same_predictions(cached, runtime, colour_table):
    paths = sorted((colour_table / "images").glob("val*.png"))[:5]
    plain, other = Predictor(cached), Predictor(cached, runtime=runtime, batch_size=2)
    assert isinstance(other.model, FastClassifier)
    assert other.model.engine is not None and other.model.engine.runtime == runtime
    assert other.how.startswith(f"{runtime} ") and "of torch's time" in other.how
    for one, two in zip(plain(paths), other(paths), strict=True):
        assert two.labels == one.labels
        assert two.probabilities == pytest.approx(one.probabilities, abs=1e-5)
    # What known labels say, embeddings and explanations are torch's work all the same.
    [known] = other(paths[:1], known={"dog": True})
    assert known.probabilities["dog"] == 1
    assert other.embed(paths[:1]) == pytest.approx(plain.embed(paths[:1]), abs=1e-5)
    [why] = other.explain(paths[:1])
    assert not why.error


def test_auto_takes_the_fastest_within_the_bounds(cached, monkeypatch):
    near = Rounding("cpu", "val", 500, 0.001, 0)
    monkeypatch.setattr("lcnet.compute._multiplies_bf16", lambda: True)
    short = Row("openvino", "bf16", 0.4, 4, 0.01, 0.004, 0, 200)
    own = Row("torch", "bf16", 0.5, 5, 0.01, 0.004, 0, 32)
    wrong = replace(ONNX, runtime="openvino", share=0.1, logit=2.0)
    lost = replace(ONNX, runtime="openvino", share=0.1, logit=float("nan"))
    for rows, precision, rounding, expected in [
        ((ONNX,), "auto", None, ("onnxruntime", "fp32")),
        ((replace(ONNX, share=0.95),), "auto", None, ("torch", "fp32")),  # not clearly faster
        ((replace(ONNX, logit=2e-4),), "auto", None, ("torch", "fp32")),
        ((ONNX, wrong), "auto", None, ("onnxruntime", "fp32")),
        ((ONNX, lost), "auto", None, ("onnxruntime", "fp32")),
        ((ONNX, short), "auto", None, ("openvino", "bf16")),
        ((ONNX, short), "fp32", None, ("onnxruntime", "fp32")),
        ((ONNX, replace(short, relabelled=1)), "auto", None, ("onnxruntime", "fp32")),
        ((ONNX, replace(short, probability=0.011)), "auto", None, ("onnxruntime", "fp32")),
        ((ONNX, replace(short, pictures=32)), "auto", None, ("onnxruntime", "fp32")),
        ((ONNX, own), "auto", near, ("torch", "bf16")),
        ((ONNX, own), "auto", None, ("onnxruntime", "fp32")),
        ((ONNX, own), "bf16", None, ("torch", "bf16")),
        ((own, replace(short, relabelled=9)), "bf16", None, ("openvino", "bf16")),
    ]:
        assert table_of(*rows).choice("auto", precision, rounding) == expected
    with pytest.raises(CheckpointError, match="was not measured in this arithmetic"):
        table_of(ONNX).choice("onnxruntime", "bf16", None)
    slow = replace(ONNX, share=3.0)
    assert table_of(slow).choice("onnxruntime", "auto", None) == ("onnxruntime", "fp32")


def test_a_named_runtime_that_is_wrong_is_refused():
    wrong = replace(ONNX, logit=2.0)
    with pytest.raises(CheckpointError, match=r"within 0.0001 of torch's, got a difference of 2"):
        table_of(wrong).choice("onnxruntime", "auto", None)
    with pytest.raises(CheckpointError, match="cannot run this model"):
        table_of(failed={"openvino": "no such operator"}).choice("openvino", "auto", None)


def test_a_table_of_another_machine_or_version_is_measured_again(tmp_path, monkeypatch):
    file = tmp_path / "measured.json"
    table_of(ONNX).write(file)
    assert EngineTable.read(file) == table_of(ONNX)
    monkeypatch.setattr("lcnet.exporting.engine_table._processor", lambda: "another")
    assert EngineTable.read(file) is None
    monkeypatch.undo()
    for text in ("", "[]", "{}", file.read_text().replace('"version": 1', '"version": 0')):
        file.write_text(text)
        assert EngineTable.read(file) is None


def test_other_weights_or_ways_of_seeing_have_other_files_and_other_thresholds_do_not(tmp_path):
    model = save_tiny_model(tmp_path / "model", ("cat", "dog"), (0.5, 0.4))
    info = read_info(model)
    first = engine_folder(model, info)
    assert engine_folder(model, replace(info, thresholds=(0.1, 0.2))) == first
    assert engine_folder(model, info.seen_by(("flip",))) != first
    assert engine_folder(save_tiny_model(model, ("cat", "dog"), (0.5, 0.4)), info) != first


def test_a_runtime_must_have_been_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("LCNET_CACHE", str(tmp_path / "cache"))
    model = save_tiny_model(tmp_path / "model", ("cat", "dog"), (0.5, 0.4))
    with pytest.raises(ConfigError, match="First run: lcnet predict "):
        Predictor(model, runtime="onnxruntime")
    auto = Predictor(model, runtime="auto")
    assert auto.measured is None and auto.how.startswith("float32")
    other = save_tiny_model(tmp_path / "other", ("cat", "dog"), (0.5, 0.5))
    with pytest.raises(ConfigError, match="expected one model's folder, got several"):
        Predictor([model, other], runtime="onnxruntime")
    picture = tmp_path / "it.jpg"
    picture.write_bytes(b"is not opened")
    with pytest.raises(ConfigError, match="measure: does not work with --compile"):
        predict(model, str(picture), runtime="measure", compile=True)
    assert not (tmp_path / "cache").exists()


def test_a_large_job_measures_by_itself_and_says_what_it_takes(
    tmp_path, colour_table, monkeypatch, capsys, made
):
    monkeypatch.setenv("LCNET_CACHE", str(tmp_path / "cache"))
    measured = []

    def measure(model, info, pictures, *, batch_size, worth):
        measured.append((len(pictures), worth(0.01), worth(100.0)))
        keep(model, table_of(ONNX, failed={"openvino": "no such operator"}), monkeypatch)
        monkeypatch.setenv("LCNET_CACHE", str(made / "cache"))
        return table_of(ONNX)

    monkeypatch.setattr("lcnet.predicting.runtime_choice.measure_engines", measure)
    pictures, out = [str(colour_table / "images/val*.png")], tmp_path / "it.jsonl"
    predict(made / "model", pictures, out, workers=0)
    assert not measured  # twelve pictures are few
    assert "12 pictures on cpu: float32" in capsys.readouterr().err
    monkeypatch.setattr("lcnet.predicting.runtime_choice.MEASURE_FROM", 12)
    predict(made / "model", pictures, out, workers=0)
    assert measured == [(12, False, True)]
    said = capsys.readouterr().err
    assert "measured once for this model and machine: torch in float32 10 ms a picture" in said
    assert "12 pictures on cpu: onnxruntime " in said
    assert "float32: 0.70 of torch's time, logits within 1e-06 of torch's" in said
    assert len(out.read_text().splitlines()) == 12
    monkeypatch.setattr("lcnet.predicting.job.COMPILE_FROM", 3)  # only torch's form is compiled
    predict(made / "model", pictures, out, workers=0)
    assert "12 pictures on cpu: onnxruntime " in capsys.readouterr().err
    assert len(measured) == 1


def test_torch_stays_where_it_is_as_fast_and_the_line_says_why(cached, monkeypatch):
    table = table_of(replace(ONNX, share=1.02), failed={"openvino": "no such operator"})
    keep(cached, table, monkeypatch)
    how = Predictor(cached, runtime="auto").how
    assert "onnxruntime in float32 takes 1.02 of torch's time; openvino cannot run it" in how
    assert how.startswith("float32")


def test_what_cannot_be_measured_is_refused(cached, tmp_path, colour_table, monkeypatch):
    pictures = str(colour_table / "images/val0.png")
    (tmp_path / "empty.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="expected a picture that can be read"):
        predict(cached, str(tmp_path / "empty.jpg"), runtime="measure")
    with pytest.raises(ConfigError, match=r"expected a run or model folder, got the file"):
        predict(tmp_path / "model.onnx", pictures, runtime="measure")
    with pytest.raises(ConfigError, match="--runtime measure: does not work with --engine ray"):
        predict(cached, pictures, runtime="measure", engine="ray")
    monkeypatch.setattr("lcnet.predicting.runtime_choice.can_run", lambda _: False)
    with pytest.raises(ConfigError, match="onnxruntime is not installed"):
        predict(cached, pictures, runtime="measure")


def test_a_runtime_that_cannot_run_the_model_is_noted(cached, monkeypatch):
    def broken(model, info, runtime, precision):
        raise RuntimeError("no such operator\nand more")

    info = read_info(cached)
    monkeypatch.setattr(engine_race, "engine", broken)
    forms, failed = engine_race._forms(cached, info, FastClassifier(load_model(cached)))
    assert {runtime for runtime, _ in forms} == {"torch"}
    assert failed == dict.fromkeys(("onnxruntime", "openvino"), "no such operator")


def test_damaged_files_are_made_again(cached, made, tmp_path, monkeypatch):
    monkeypatch.setenv("LCNET_CACHE", str(shutil.copytree(made / "cache", tmp_path / "cache")))
    info, kept = read_info(cached), engine_folder(cached, read_info(cached)) / "network.onnx"
    whole = kept.read_bytes()
    monkeypatch.setattr(engine_files, "_program", lambda *_: None)
    monkeypatch.setattr(engine_files, "write_onnx", lambda _, __, file: file.write_bytes(whole))
    kept.write_bytes(whole[:1000])
    again = engine_files.engine(cached, info, "onnxruntime", "fp32")
    assert again is not None and kept.read_bytes() == whole


def test_files_of_models_that_are_not_used_go(tmp_path, monkeypatch):
    monkeypatch.setattr(engine_files, "KEPT", -1.0)
    old, own = tmp_path / "engines" / "old", tmp_path / "engines" / "own"
    old.mkdir(parents=True)
    with engine_files._held(own):
        assert old.is_dir()
    assert own.is_dir() and not old.exists()


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(ConfigError, match="Name another one in LCNET_CACHE"),
        engine_files._held(tmp_path / "file" / "own"),
    ):
        pass


def test_openvino_files_are_predicted_with(cached, made, colour_table, tmp_path, monkeypatch):
    [folder] = (made / "cache" / "engines").iterdir()
    for name in ("network.xml", "network.bin"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    file, out = tmp_path / "network.xml", tmp_path / "it.jsonl"
    picture = str(colour_table / "images/val0.png")
    with pytest.raises(SystemExit) as ended:
        main(["predict", str(file), picture, "--out", str(out)])
    assert not ended.value.code
    [plain] = Predictor(cached)([picture])
    row = json.loads(out.read_text())
    assert row["probabilities"] == pytest.approx(plain.probabilities, abs=1e-5)
    with pytest.raises(ConfigError, match=r"expected openvino for .*network.xml"):
        Predictor(file, runtime="onnxruntime")
    (tmp_path / "network.bin").unlink()
    with pytest.raises(CheckpointError, match=r"network.bin: no such file"):
        Predictor(file)
    file.write_text("<net/>")
    (tmp_path / "network.bin").write_bytes(b"")
    with pytest.raises(CheckpointError, match="not a model that OpenVINO can run"):
        Predictor(file)
