"""Rows with the most probable labels, or with some labels alone, in every format."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image
from pyarrow import parquet
from tests.tiny import save_tiny_model

import lcnet
from lcnet.errors import ConfigError, DataError
from lcnet.predicting.prediction import Prediction
from lcnet.predicting.predictor import Predictor
from lcnet.predicting.selection import selection

LABELS = ("red", "green, dark", "blue", "grey")
WHOLE = Prediction("a.png", ("blue", "red"), dict(zip(LABELS, (0.75, 0.25, 0.9, 0.5), strict=True)))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model of four labels with random weights, three pictures, and one that is none."""
    folder = tmp_path_factory.mktemp("selection")
    torch.manual_seed(0)
    save_tiny_model(folder / "model", LABELS, (0.01, 0.01, 0.99, 0.01))
    rng = np.random.default_rng(0)
    (folder / "pictures").mkdir()
    for number in range(3):
        pixels = rng.integers(0, 256, (40, 30, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "pictures" / f"{number}.png")
    (folder / "pictures" / "broken.png").write_bytes(b"none")
    return folder


@pytest.mark.parametrize(
    ("options", "probabilities", "labels"),
    [
        ({"top": 1}, {"blue": 0.9}, ("blue",)),
        ({"top": 3}, {"blue": 0.9, "red": 0.75, "grey": 0.5}, ("blue", "red")),
        ({"only": "grey,red"}, {"grey": 0.5, "red": 0.75}, ("red",)),
        ({"only": "green, dark"}, {"green, dark": 0.25}, ()),
        ({"only": ["grey", "green, dark"], "top": 1}, {"grey": 0.5}, ()),
        ({}, WHOLE.probabilities, WHOLE.labels),
        ({"top": 9}, None, ("blue", "red")),
    ],
)
def test_a_row_has_the_chosen_labels_in_order(options, probabilities, labels):
    shown = selection(LABELS, **options)(WHOLE)
    assert shown.labels == labels
    if probabilities is not None:
        assert list(shown.probabilities.items()) == list(probabilities.items())
    unread = Prediction("b.png", error="no")
    assert selection(LABELS, **options)(unread) == unread


def test_labels_are_read_from_a_file(tmp_path):
    (tmp_path / "names.txt").write_text("green, dark\n\nblue\n", encoding="utf-8-sig")
    assert selection(LABELS, only=str(tmp_path / "names.txt")).labels == ("green, dark", "blue")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"only": "red,gray"}, "no label is called 'gray', the nearest of the 4 is 'grey'"),
        ({"only": ["red", "red"]}, "got 'red' twice"),
        ({"only": " , "}, "expected label names, got none"),
        ({"only": [7]}, "no label is called 7"),
        ({"top": -1}, "--top: expected 0 or more, got -1"),
    ],
)
def test_what_cannot_be_shown_is_one_line(options, says):
    with pytest.raises(ConfigError, match=says):
        selection(LABELS, **options)


def rows(place, out, form, **options):
    lcnet.predict(place / "model", str(place / "pictures"), out, format=form, workers=0, **options)
    return next(out.glob("part-*"))


def test_every_format_has_the_same_rows_with_top(place, tmp_path):
    predictor = Predictor(place / "model", batch_size=32)
    pictures = sorted(str(path) for path in (place / "pictures").iterdir())
    expected = predictor(pictures, top=2)
    assert [len(one.probabilities or ()) for one in expected] == [2, 2, 2, 0]
    lines = rows(place, tmp_path / "j", "jsonl", top=2).read_text().splitlines()
    assert [json.loads(line) for line in lines] == [one.to_dict() for one in expected]
    with rows(place, tmp_path / "c", "csv", top=2).open(newline="") as file:
        table = list(csv.reader(file))
    head = ["image", "error", "labels", "label_1", "probability_1", "label_2", "probability_2"]
    assert table[0] == head
    for row, one in zip(table[1:], expected, strict=True):
        flat = [str(part) for pair in one.rounded().items() for part in pair]
        assert row[3:] == (flat or [""] * 4)
        assert row[:3] == [one.image, one.error, "|".join(one.labels)]
    found = parquet.read_table(rows(place, tmp_path / "p", "parquet", top=2)).to_pylist()
    for row, one in zip(found, expected, strict=True):
        pairs = [(pair["label"], pair["probability"]) for pair in row["probabilities"] or ()]
        assert dict(pairs) == pytest.approx(one.probabilities or {})
        assert [name for name, _ in pairs] == list(one.probabilities or {})


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_a_folder_keeps_to_its_labels(place, tmp_path, form):
    file = rows(place, tmp_path / "out", form, only="blue,red")
    if form == "csv":
        assert file.read_text().splitlines()[0] == "image,error,labels,blue,red"
    if form == "parquet":
        assert [one.name for one in parquet.read_schema(file).field("probabilities").type] == [
            "blue",
            "red",
        ]
    if form == "jsonl":
        assert list(json.loads(file.read_text().splitlines()[0])["probabilities"]) == [
            "blue",
            "red",
        ]
    assert rows(place, tmp_path / "out", form, only="blue,red") == file  # goes on
    for other in ({"only": "red,blue"}, {}, {"only": "blue,red", "top": 1}):
        with pytest.raises(ConfigError, match="holds a job with"):
            rows(place, tmp_path / "out", form, **other)


def test_a_folder_of_an_older_version_goes_on_without_top_alone(place, tmp_path):
    rows(place, tmp_path / "out", "jsonl")
    manifest = tmp_path / "out" / "manifest.json"
    stored = json.loads(manifest.read_text())
    del stored["top"]
    manifest.write_text(json.dumps(stored))
    assert rows(place, tmp_path / "out", "jsonl")
    with pytest.raises(ConfigError, match="holds a job with top 0, got 2"):
        rows(place, tmp_path / "out", "jsonl", top=2)
    manifest.write_text("[]")
    with pytest.raises(DataError, match="damaged"):
        rows(place, tmp_path / "out", "jsonl")


def test_a_row_of_many_labels_is_short_with_top(tmp_path):
    values = np.random.default_rng(0).random(8_000).tolist()
    names = [f"label number {number}" for number in range(8_000)]
    whole = Prediction("a.png", tuple(names), dict(zip(names, values, strict=True)))
    assert len(json.dumps(whole.to_dict())) > 100_000
    assert len(json.dumps(selection(names, top=10)(whole).to_dict())) < 1_000


def test_explanations_and_embeddings_go_with_it(place, tmp_path):
    file = tmp_path / "it.npz"
    done = lcnet.predict(
        place / "model", str(place / "pictures"), embeddings=file, workers=0, top=1
    )
    assert [len(one.probabilities or ()) for one in done.predictions] == [1, 1, 1, 0]
    picture = str(place / "pictures" / "0.png")
    done = lcnet.predict(place / "model", picture, explain=tmp_path, workers=0, only="blue")
    assert list(done.predictions[0].probabilities) == ["blue"]
    explained = json.loads(next(tmp_path.glob("0-*/explanation.json")).read_text())
    assert {row["label"] for row in explained["labels"]} == {"red", "green, dark", "grey"}
