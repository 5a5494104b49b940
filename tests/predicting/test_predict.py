import json
import sys

import pytest
import torch
from PIL import Image

from lcnet.data.decoding import read_image
from lcnet.data.sources import find_images
from lcnet.data.transforms import Normalize, eval_transform
from lcnet.errors import ConfigError, DataError
from lcnet.predicting.outcome import Outcome
from lcnet.predicting.predict import predict
from lcnet.predicting.prediction import Prediction
from lcnet.predicting.predictor import Predictor


@pytest.fixture
def run(trained):
    return trained


def test_predictions_are_the_model_s_probabilities_in_the_order_given(run, tmp_path):
    predictor = Predictor(run, batch_size=5)
    paths = sorted((tmp_path / "colours" / "images").glob("val*.png"))[::-1]
    transform = eval_transform(predictor.info.preprocessing)
    pictures = torch.stack([transform(read_image(path)) for path in paths])
    expected = predictor.model(Normalize(predictor.info.preprocessing)(pictures))
    predictions = predictor(paths)
    assert [prediction.image for prediction in predictions] == [str(path) for path in paths]
    for prediction, row in zip(predictions, expected.sigmoid(), strict=True):
        assert list(prediction.probabilities) == ["red", "green", "blue"]
        assert list(prediction.probabilities.values()) == pytest.approx(row.tolist(), abs=1e-5)
        ranked = sorted(prediction.labels, key=prediction.probabilities.get, reverse=True)
        assert list(prediction.labels) == ranked
        above = {name for name, value in prediction.probabilities.items() if value > 0.5}
        assert set(prediction.labels) == above


def test_pil_images_of_any_mode_are_predicted(run):
    images = [Image.new(mode, (40, 9)) for mode in ("RGB", "L", "RGBA", "P")]
    predictions = Predictor(run)(images)
    assert [prediction.image for prediction in predictions] == ["0", "1", "2", "3"]
    assert all(prediction.probabilities for prediction in predictions)


def test_broken_pictures_give_a_line_and_the_rest_go_on(run, tmp_path, capsys):
    images = tmp_path / "colours" / "images"
    (images / "val0.png").write_bytes(b"")
    (images / "val5.png").write_bytes((images / "val6.png").read_bytes()[:60])
    out = tmp_path / "new" / "predictions.jsonl"
    assert predict(run, [str(images / "val*.png")], out, batch_size=4, workers=0).failed == 2
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    broken = {line["image"].rpartition("/")[2] for line in lines if "error" in line}
    assert (len(lines), broken) == (12, {"val0.png", "val5.png"})
    assert predict(run, [str(images / "val1.png")], sys.stdout, batch_size=1, workers=0).failed == 0
    assert json.loads(capsys.readouterr().out)["labels"] is not None


def test_the_end_says_what_was_labelled_and_what_was_unreadable(run, tmp_path, capsys):
    images, out = tmp_path / "colours" / "images", tmp_path / "p.jsonl"
    (images / "val0.png").write_bytes(b"")
    listed = tmp_path / "notes.txt"
    listed.write_text("".join(f"{images}/val{number}.png\n" for number in (0, 1, 2)))
    predict(run, [str(listed)], out, workers=0)
    said = capsys.readouterr().err.splitlines()
    assert f"{listed}: read as a list of 3 pictures" in said
    assert f"3 pictures -> {out}: 2 labelled, 1 unreadable (see its row)" in said
    assert said[-1].startswith("labels: ")
    predict(run, [f"{images}/val1.png"], out, workers=0)
    said = capsys.readouterr().err.splitlines()
    assert f"1 picture -> {out}" in said
    assert not any("list of" in line or "unreadable" in line for line in said)
    folder = tmp_path / "parts"
    predict(run, [f"{images}/val?.png"], folder, format="csv", workers=0)
    said = capsys.readouterr().err.splitlines()
    assert f"10 pictures -> {folder}: 9 labelled, 1 unreadable (see its row)" in said
    predict(run, [f"{images}/val?.png"], folder, format="csv", workers=0)
    assert capsys.readouterr().err.splitlines()[-1].startswith("10 pictures -> ")  # no new rows


def test_the_commonest_labels_are_counted():
    outcome = Outcome()
    rows = [Prediction("x.jpg", labels=("person", "bench")[: 1 + place % 2]) for place in range(5)]
    rows += [Prediction("x.jpg", error="broken"), Prediction("y.jpg"), Prediction("z.jpg")]
    assert list(outcome.counted(rows)) == rows
    assert outcome.in_words() == "labels: person 5, bench 2; none on 2 pictures"
    assert (outcome.failed, outcome.without) == (1, 2)
    list(outcome.counted([Prediction("m.jpg", labels=tuple("abcdefgh"))]))
    assert outcome.in_words() == (
        "labels: person 5, bench 2, a 1, b 1, c 1, d 1, 4 more; none on 2 pictures"
    )
    nothing = Outcome()
    assert nothing.in_words() == ""
    list(nothing.counted([Prediction("y.jpg")]))
    assert nothing.in_words() == "labels: none on 1 picture"


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("p.csv", "For CSV: --format csv --out FOLDER"),
        ("p.Parquet", "For Parquet: --format parquet --out FOLDER"),
        ("p.json", "--label_studio"),
        ("p.jsonl.gz", "JSON lines are written."),
        ("cat.jpg", "JSON lines are written."),
    ],
)
def test_a_name_that_promises_another_kind_of_file_is_refused(run, tmp_path, name, advice):
    picture = str(tmp_path / "colours" / "images" / "val1.png")
    with pytest.raises(ConfigError, match=r"expected a name that ends in \.jsonl") as refused:
        predict(run, [picture], tmp_path / name, workers=0)
    assert advice in str(refused.value)
    assert not (tmp_path / name).exists()


def test_upright_is_how_a_picture_is_seen(tmp_path):
    picture = Image.new("RGB", (40, 20), "red")
    exif = picture.getexif()
    exif[0x0112] = 6  # turned by a quarter
    picture.save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg").size == (20, 40)


def test_files_folders_and_globs_are_found_once_and_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b/2.PNG", "b/deep/1.jpg", "b/notes.txt", "a.jpeg", "c[1].png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = find_images(["b", "*.jpeg", "b/2.PNG", "c[1].png", str(tmp_path / "**/*.jpg")])
    names = [str(path) for path in found]
    assert names == ["b/2.PNG", "b/deep/1.jpg", "a.jpeg", "c[1].png", f"{tmp_path}/b/deep/1.jpg"]
    for nothing in ("none.jpg", "*.webp", "b/none"):
        with pytest.raises(DataError, match="no picture"):
            find_images([nothing])


def test_what_runs_is_chosen_by_machine_and_said(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("lcnet.predicting.job.COMPILE_FROM", 3)
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda model, **_: (compiled.append(1), model)[1])
    images = str(tmp_path / "colours" / "images")
    out = tmp_path / "it.jsonl"
    predict(run, [images + "/val1.png"], out, batch_size=4, workers=0, precision="bf16")
    assert "1 picture on cpu: bfloat16" in capsys.readouterr().err
    assert not compiled
    predict(run, [images + "/val?.png"], out, batch_size=4, workers=0, precision="fp32")
    assert "10 pictures on cpu: float32" in capsys.readouterr().err
    assert compiled


def test_bfloat16_moves_probabilities_by_less_than_a_hundredth(run, tmp_path):
    paths = sorted((tmp_path / "colours" / "images").glob("val*.png"))
    exact, short = Predictor(run)(paths), Predictor(run, precision="bf16")(paths)
    for one, other in zip(exact, short, strict=True):
        values = list(one.probabilities.values())
        assert list(other.probabilities.values()) == pytest.approx(values, abs=0.01)
