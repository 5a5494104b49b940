"""Predicting on Ray: the same rows, whoever dies; only the slow test starts Ray."""

import importlib.util
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow
import pytest
from benchmarks.killing import draw_pictures, make_model
from pyarrow import parquet

from lcnet.data.containers import ParquetRow
from lcnet.data.sources import Picture, PictureSources
from lcnet.errors import CheckpointError, ConfigError, DataError
from lcnet.model_folder import model_fingerprint
from lcnet.predicting.predict import predict
from lcnet.predicting.prediction import Prediction
from lcnet.predicting.predictor import Predictor
from lcnet.predicting.ray_engine import (
    RayCluster,
    RayPredictor,
    _cause,
    _Job,
    _once,
    _share,
    _Worker,
)

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="needs pip install 'lcnet[ray]'"
)


@pytest.fixture
def model(tmp_path):
    make_model(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def pictures(tmp_path):
    draw_pictures(tmp_path / "pictures", 5)
    (tmp_path / "pictures" / "00003.png").write_bytes(b"no picture")
    return tmp_path / "pictures"


def job(model: Path) -> _Job:
    return _Job(model, model_fingerprint(model), Path.cwd(), 2, 0, 1, "fp32", False, 0.0)


def done_by(worker: _Worker, pictures: list[Picture]) -> list[Prediction]:
    return pickle.loads(worker({"pictures": pickle.dumps(pictures)})["predictions"])


def test_a_worker_s_rows_are_those_of_a_predictor(model, pictures):
    found = list(PictureSources([str(pictures)]).light())
    rows = done_by(_Worker(job(model)), found)
    assert rows == Predictor(model, batch_size=2)([picture.content for picture in found])
    assert [bool(row.error) for row in rows] == [False, False, False, True, False]


def test_pictures_in_a_parquet_file_are_read_where_they_are_needed(model, pictures, tmp_path):
    column = [file.read_bytes() for file in sorted(pictures.iterdir())]
    file = tmp_path / "all.parquet"
    parquet.write_table(pyarrow.table({"image": column}), file, row_group_size=2)
    light = list(PictureSources([str(file)]).light())
    whole = list(PictureSources([str(file)]))
    assert [one.name for one in light] == [one.name for one in whole]
    assert all(isinstance(one.content, ParquetRow) for one in light)
    assert [one.content.read() for one in light] == column
    expected = Predictor(model, batch_size=2)(whole)
    found = done_by(_Worker(job(model)), light)
    assert [one.probabilities for one in found] == [one.probabilities for one in expected]
    data = bytearray(file.read_bytes())
    data[4 : len(data) // 2] = bytes(len(data) // 2 - 4)
    (tmp_path / "damaged.parquet").write_bytes(data)
    damaged = PictureSources([str(tmp_path / "damaged.parquet")]).light()
    with pytest.raises(DataError, match=r"damaged\.parquet: not a readable Parquet file"):
        done_by(_Worker(job(model)), list(damaged))


def test_a_worker_with_another_model_stops_the_job(model, tmp_path):
    with pytest.raises(
        CheckpointError, match="expected the same model on every machine, got another on"
    ):
        _Worker(replace(job(model), fingerprint="other"))
    with pytest.raises(CheckpointError, match="not there on"):
        _Worker(replace(job(model), model=tmp_path / "none"))


def rows(*names: str) -> list[Prediction]:
    return [Prediction(name, error="x") for name in names]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("a", "b"), "1 pictures got no row"),
        (("a", "a", "b", "c"), "expected the row of b, got that of a"),
        (("a", "b", "c", "d"), "expected the row of no other picture, got that of d"),
        (("a", "c", "b"), "expected the row of b, got that of c"),
    ],
)
def test_rows_that_are_lost_or_doubled_are_noticed(given, message):
    with pytest.raises(DataError, match=message):
        list(_once(rows(*given), ["a", "b", "c"]))
    assert list(_once(rows("a", "b", "c"), ["a", "b", "c"])) == rows("a", "b", "c")


@pytest.mark.parametrize(
    ("resources", "loaders", "wanted", "expected"),
    [
        ({"CPU": 4.0}, -1, 0, (4, 1, 0, 0)),
        ({"CPU": 4.0}, -1, 2, (2, 2, 0, 0)),
        ({"CPU": 4.0}, 3, 1, (1, 4, 0, 3)),
        ({"CPU": 16.0, "GPU": 2.0}, -1, 0, (2, 8, 1, 7)),
        ({"CPU": 96.0, "GPU": 4.0}, -1, 0, (4, 24, 1, 8)),
        ({"CPU": 2.0, "GPU": 2.0}, -1, 0, (2, 1, 1, 0)),
        ({"CPU": 2.0}, -1, 8, (8, 1, 0, 0)),
    ],
)
def test_a_worker_for_each_accelerator_or_else_each_core(resources, loaders, wanted, expected):
    share = _share(resources, loaders, wanted)
    assert (share.count, share.cores, share.accelerators, share.loaders) == expected


def test_what_a_worker_raised_is_found_beneath_what_ray_says():
    class Task(Exception):
        cause = DataError("a.tar: damaged")

    outer = RuntimeError("a task failed")
    outer.__cause__ = Task()
    assert _cause(outer) is Task.cause
    alone = ValueError("x")
    assert _cause(alone) is alone


def test_what_does_not_go_with_ray_is_said(model, pictures, tmp_path, monkeypatch):
    given = {"batch_size": 2, "workers": 0, "engine": "ray"}
    with pytest.raises(ConfigError, match="--explain: does not work with --engine ray"):
        predict(model, [str(pictures)], tmp_path / "out", explain=tmp_path / "heat", **given)
    for name in ("ray", "ray.data"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=r"pip install 'lcnet\[ray\]'"):
        predict(model, [str(pictures)], tmp_path / "out", format="jsonl", **given)
    assert not (tmp_path / "out").exists()


@needs_ray
def test_wrong_numbers_are_said_before_ray_starts(model):
    given = {"workers": 0, "precision": "fp32", "compiled": False}
    with pytest.raises(ConfigError, match=r"--ray_workers: expected at least 1, -1 and 0"):
        RayPredictor(model, batch_size=2, cluster=RayCluster(workers=-1), **given)
    assert list(RayPredictor(model, batch_size=2, cluster=RayCluster(), **given).stream([])) == []


@needs_ray
@pytest.mark.slow
def test_killed_workers_and_commands_leave_each_picture_one_row():
    command = [sys.executable, "-m", "benchmarks.killing", "--pictures", "600", "--kills", "1"]
    done = subprocess.run(
        [*command, "--rows_per_file", "12", "--engine", "ray", "--worker_kills", "2"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent.parent,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "and 2 workers" in done.stdout
    assert "600 pictures with exactly one" in done.stdout
