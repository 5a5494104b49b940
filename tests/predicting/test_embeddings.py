"""Embeddings: what they are, in which files, and with which flags they do not go together."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tests.tiny import TINY, save_tiny_model

import lcnet
from lcnet.errors import ConfigError, DataError
from lcnet.model_folder import ModelFolder, model_fingerprint
from lcnet.predicting.predictor import Predictor

PLAIN = replace(TINY, head="gap", graph="none", pooling="none")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model with a linear head of random weights, five pictures, and one that is none."""
    folder = tmp_path_factory.mktemp("embeddings")
    torch.manual_seed(0)
    save_tiny_model(folder / "model", ("red", "green"), (0.4, 0.4), PLAIN)
    rng = np.random.default_rng(0)
    (folder / "pictures").mkdir()
    for number in range(5):
        pixels = rng.integers(0, 256, (40, 30, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "pictures" / f"{number}.png")
    (folder / "pictures" / "broken.png").write_bytes(b"none")
    return folder


def paths(place):
    return sorted((place / "pictures").glob("[0-9].png"))


def test_a_linear_head_reads_the_embedding(place):
    predictor = Predictor(place / "model", batch_size=2)
    embeddings = predictor.embed(paths(place))
    assert embeddings.shape == (5, predictor.embedding_length) and embeddings.dtype == np.float32
    weights = load_file(ModelFolder(place / "model").weights_file)
    name = next(name for name in weights if name.endswith("head.weight") or name == "weight")
    weight, bias = weights[name].numpy(), weights[name.replace("weight", "bias")].numpy()
    expected = 1 / (1 + np.exp(-(embeddings @ weight.T + bias)))
    found = [list(one.probabilities.values()) for one in predictor(paths(place))]
    assert np.abs(np.array(found) - expected).max() < 1e-5
    assert np.ptp(embeddings, axis=0).max() > 1e-3


def test_predictions_are_the_same_with_embeddings(place):
    predictor = Predictor(place / "model", batch_size=2)
    given = [place / "pictures" / "broken.png", *paths(place)]
    made = list(predictor.stream_embedded(given))
    for (prediction, embedding), alone in zip(made, predictor(given), strict=True):
        assert (prediction.image, prediction.error) == (alone.image, alone.error)
        assert (embedding is None) == bool(alone.error)
        if not alone.error:
            assert prediction.probabilities == pytest.approx(alone.probabilities, abs=1e-6)
    with pytest.raises(DataError, match=r"picture .*broken.png: .*not a readable picture"):
        predictor.embed(given)
    assert predictor.embed([]).shape == (0, predictor.embedding_length)


@pytest.mark.parametrize("kind", ["npz", "parquet"])
def test_the_file_has_a_row_for_each_readable_picture(place, tmp_path, kind, monkeypatch, capsys):
    monkeypatch.setattr("lcnet.predicting.embedding_files.VALUES_AT_ONCE", 600)
    file, rows = tmp_path / f"new.{kind}", tmp_path / "rows.jsonl"
    done = lcnet.predict(
        place / "model", str(place / "pictures"), rows, embeddings=file, batch_size=2, workers=0
    )
    assert (done.pictures, done.failed) == (6, 1)
    assert f"embeddings of 5 pictures -> {file}" in capsys.readouterr().err
    if kind == "npz":
        with np.load(file, allow_pickle=False) as stored:
            names, embeddings = stored["images"].tolist(), stored["embeddings"]
            model = str(stored["model"])
    else:
        table = pytest.importorskip("pyarrow.parquet").read_table(file)
        names = table["image"].to_pylist()
        embeddings = np.array(table["embedding"].to_pylist())
        model = table.schema.metadata[b"lcnet.model"].decode()
    predictor = Predictor(place / "model")
    assert names == [str(path) for path in paths(place)]
    assert np.abs(embeddings - predictor.embed(paths(place))).max() < 1e-5
    assert model == model_fingerprint(place / "model")
    written = [json.loads(line)["image"] for line in rows.read_text().splitlines()]
    assert [name for name in written if "broken" not in name] == names
    assert sorted(path.name for path in tmp_path.iterdir()) == [file.name, "rows.jsonl"]


def test_without_a_readable_picture_the_file_is_empty(place, tmp_path):
    broken = str(place / "pictures" / "broken.png")
    for kind in ("npz", "parquet"):
        lcnet.predict(place / "model", broken, embeddings=tmp_path / f"it.{kind}", workers=0)
    with np.load(tmp_path / "it.npz", allow_pickle=False) as stored:
        length = Predictor(place / "model").embedding_length
        assert stored["embeddings"].shape == (0, length) and stored["images"].shape == (0,)
    pytest.importorskip("pyarrow.parquet")


@pytest.mark.parametrize(
    ("file", "options", "says"),
    [
        ("it.npy", {}, "expected a file name that ends in .npz or .parquet"),
        (".", {}, "expected a file name"),
        ("it.npz", {"format": "jsonl", "out": "folder"}, "does not work with --format"),
        ("it.npz", {"explain": Path("heat")}, "does not work with --explain"),
        ("it.npz", {"compile": True}, "does not work with --compile"),
        ("it.npz", {"out": "it.npz"}, "expected another file than --out"),
    ],
)
def test_what_does_not_go_together_is_refused(place, tmp_path, monkeypatch, file, options, says):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=says):
        lcnet.predict(place / "model", str(place / "pictures"), embeddings=file, **options)
    assert not list(tmp_path.iterdir())
