"""Known labels: given to Predictor, from a table, over HTTP and to an exported file."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from starlette.testclient import TestClient
from tests.conftest import one_table

from lcnet.errors import ConfigError, DataError
from lcnet.exporting.export import export
from lcnet.exporting.onnx_model import OnnxModel
from lcnet.model.evidence import Evidence
from lcnet.model_folder import ModelFolder, load_model, read_info
from lcnet.predicting.known_table import KnownTable
from lcnet.predicting.predict import predict
from lcnet.predicting.predictor import Predictor
from lcnet.serving.app import build_app
from lcnet.serving.service import Service
from lcnet.serving.uploads import Limits

MOVES = [[0.0, 0.8, -0.6], [0.5, 0.0, 0.9], [-0.7, 0.4, 0.0]]
"""What the label in a column says of the one in the row, if it is known to be present."""


def with_evidence(run: Path) -> Path:
    """A run whose labels tell of each other."""
    model, evidence = load_model(run), Evidence(3, 3)
    evidence.sources = torch.arange(3).expand(3, 3).clone()
    evidence.weights = torch.tensor(MOVES)
    model.evidence = evidence
    ModelFolder.at(run).save(model, read_info(run))
    return run


@pytest.fixture
def run(trained):
    return with_evidence(trained)


@pytest.fixture
def pictures(run, tmp_path):
    return sorted((tmp_path / "colours" / "images").glob("val*.png"))


def expected(alone: dict[str, float], known: dict[str, bool]) -> dict[str, float]:
    """The probabilities by the formula, from those without anything known."""
    names = list(alone)
    p = np.array(list(alone.values()))
    moved = np.log(p / (1 - p))
    for label, state in known.items():
        j = names.index(label)
        moved += np.array(MOVES)[:, j] * ((1 - p[j]) if state else -p[j])
    found = 1 / (1 + np.exp(-moved))
    return {name: float(known.get(name, found[k])) for k, name in enumerate(names)}


def test_known_labels_are_given_back_and_move_the_others(run, pictures):
    predictor, known = Predictor(run), {"red": True, "blue": False}
    plain, given = predictor(pictures), predictor(pictures, known=known)
    for before, after in zip(plain, given, strict=True):
        wanted = expected(before.probabilities, known)
        assert after.probabilities == pytest.approx(wanted, abs=1e-5)
        assert "red" in after.labels
        assert "blue" not in after.labels
        assert after.to_dict()["known"] == known
        assert "known" not in before.to_dict()


def test_it_says_which_known_label_told_what_of_which(run, pictures):
    predictor = Predictor(run)
    [before], [after] = predictor(pictures[:1]), predictor(pictures[:1], known={"red": True})
    surprise = 1 - before.probabilities["red"]
    changes = {"green": 0.5 * surprise, "blue": -0.7 * surprise}
    loud = {name: change for name, change in changes.items() if abs(change) >= 0.1}
    assert after.told == {name: {"red": pytest.approx(change)} for name, change in loud.items()}
    assert loud
    assert before.told == {}
    assert "told" not in before.to_dict()
    assert after.to_dict()["told"].keys() == loud.keys()


def test_each_picture_may_have_its_own(run, pictures):
    predictor = Predictor(run, batch_size=2)
    known = [{}, {"green": True}, {"red": False}]
    plain, given = predictor(pictures[:3]), predictor(pictures[:3], known=known)
    assert given[0] == plain[0]
    for number in (1, 2):
        wanted = expected(plain[number].probabilities, known[number])
        assert given[number].probabilities == pytest.approx(wanted, abs=1e-5)


def test_a_model_without_evidence_gives_known_labels_back_and_leaves_the_rest(trained, tmp_path):
    pictures = sorted((tmp_path / "colours" / "images").glob("val*.png"))
    predictor = Predictor(trained)
    for before, after in zip(
        predictor(pictures), predictor(pictures, known={"green": True}), strict=True
    ):
        assert after.probabilities == before.probabilities | {"green": 1.0}


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"pink": True}, "no label is called 'pink'"),
        ({"red": "yes"}, "expected True or False for red, got 'yes'"),
        ([{"red": True}], "got fewer at picture"),
        ([{}] * 13, "expected one for each picture, got more"),
    ],
)
def test_what_cannot_be_known_is_refused(run, pictures, known, message):
    with pytest.raises(ConfigError, match=message):
        Predictor(run)(pictures, known=known)


def test_embeddings_go_with_known_labels(run, pictures):
    predictor = Predictor(run)
    known = {"red": True}
    [given] = predictor(pictures[:1], known=known)
    assert predictor.embed(pictures[:1]).shape[0] == 1
    assert given.probabilities["red"] == 1


def test_known_labels_that_may_be_wrong_move_the_others_less(run, pictures):
    known = {"red": True, "blue": False}
    plain = Predictor(run)(pictures, known=known)
    given = Predictor(run, known_errors=0.2)(pictures, known=known)
    alone = Predictor(run, known_errors=0.2)(pictures)
    for sure, unsure, before in zip(plain, given, alone, strict=True):
        assert sure.probabilities["green"] != unsure.probabilities["green"]
        red, blue = (before.probabilities[name] for name in ("red", "blue"))
        right = 0.8 * red / (0.8 * red + 0.2 * (1 - red))
        still = 0.2 * blue / (0.2 * blue + 0.8 * (1 - blue))
        moves = 0.5 * (right * (1 - red) - (1 - right) * red)
        moves += 0.9 * (still * (1 - blue) - (1 - still) * blue)
        green = before.probabilities["green"]
        wanted = 1 / (1 + np.exp(-np.log(green / (1 - green)) - moves))
        assert unsure.probabilities["green"] == pytest.approx(wanted, abs=1e-5)
        assert unsure.probabilities["red"] == 1  # known labels come back as they were given


@pytest.mark.parametrize("share", [-0.1, 0.5, float("nan")])
def test_a_share_of_errors_that_cannot_be_is_refused(run, share):
    with pytest.raises(ConfigError, match=r"--known_errors: expected a share of 0 to 0\.49"):
        Predictor(run, known_errors=share)


def test_errors_are_refused_where_they_would_change_nothing(trained, tmp_path):
    with pytest.raises(ConfigError, match=r"Fit that first: lcnet calibrate .* --evidence"):
        Predictor(trained, known_errors=0.1)
    with pytest.raises(ConfigError, match=r"--known_errors: needs --known TABLE"):
        predict(trained, [str(tmp_path)], known_errors=0.1)
    with pytest.raises(ConfigError, match="Make them one with lcnet ensemble"):
        Predictor([trained, trained], known_errors=0.1)
    with_evidence(trained)
    file = export(trained, out=tmp_path / "model.onnx", limit=4)
    with pytest.raises(ConfigError, match="an exported file, which takes each known label as rig"):
        Predictor(file, known_errors=0.1)


def known_table(tmp_path: Path, rows: list[str]) -> Path:
    table = tmp_path / "colours" / "known.csv"
    table.write_text("\n".join(["image,red,green,blue", *rows]) + "\n")
    return table


def test_a_table_with_blanks_says_what_is_known(run, pictures, tmp_path, capsys):
    table = known_table(tmp_path, ["images/val0.png,1,,0", "images/val3.png,,1,"])
    plain = {Path(one.image).name: one for one in Predictor(run)(pictures)}
    predict(run, list(map(str, pictures)), tmp_path / "out.jsonl", known=table, workers=0)
    rows = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    states = {"val0.png": {"red": True, "blue": False}, "val3.png": {"green": True}}
    for row in rows:
        name = Path(row["image"]).name
        known = states.get(name, {})
        assert row.get("known", {}) == known
        wanted = expected(plain[name].probabilities, known)
        assert row["probabilities"] == pytest.approx(wanted, abs=1e-5)
    assert "known labels of 2 of 12 pictures" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        (["images/train0.png,1,,0"], ConfigError, "expected something known of these 12 pictures"),
        (
            ["images/val0.png,1,,0", "images/val0.png,0,,0"],
            DataError,
            "val0.png",
        ),
    ],
)
def test_a_table_that_says_nothing_or_two_things_is_refused(
    run, pictures, tmp_path, rows, error, message
):
    table = known_table(tmp_path, rows)
    with pytest.raises(error, match=message):
        predict(run, list(map(str, pictures)), tmp_path / "out.jsonl", known=table, workers=0)
    assert not (tmp_path / "out.jsonl").exists()


def test_a_table_with_a_label_that_the_model_lacks_is_refused(run, pictures, tmp_path):
    table = tmp_path / "colours" / "known.csv"
    table.write_text("image,red,pink\nimages/val0.png,1,\nimages/val1.png,,0\n")
    with pytest.raises(ConfigError, match="no label is called 'pink'"):
        predict(run, list(map(str, pictures)), tmp_path / "out.jsonl", known=table, workers=0)


def test_a_folder_of_rows_goes_on_only_with_the_same_table(run, pictures, tmp_path):
    table, paths = known_table(tmp_path, ["images/val0.png,1,,0"]), list(map(str, pictures))
    predict(run, paths, tmp_path / "rows", format="jsonl", known=table, workers=0)
    predict(run, paths, tmp_path / "rows", format="jsonl", known=table, workers=0)
    with pytest.raises(ConfigError, match="holds a job with known"):
        predict(
            run, paths, tmp_path / "rows",
            format="jsonl", known=table, known_errors=0.02, workers=0,
        )  # fmt: skip
    known_table(tmp_path, ["images/val0.png,1,,1"])
    with pytest.raises(ConfigError, match="holds a job with known"):
        predict(run, paths, tmp_path / "rows", format="jsonl", known=table, workers=0)


def test_the_api_takes_known_labels(run, pictures):
    service = Service(Predictor(run), Limits(megabytes=0.1, pixels=10_000, waiting=4))
    client = TestClient(build_app(service))
    [plain] = service.predictor(pictures[:1])
    files = {"picture": ("it.png", pictures[0].read_bytes())}
    answer = client.post("/predict?present=red&absent=green", files=files).json()
    known = {"red": True, "green": False}
    assert answer["known"] == known
    wanted = expected(plain.probabilities, known)
    assert answer["probabilities"] == pytest.approx(wanted, abs=1e-5)
    for query, message in (("present=pink", "pink"), ("present=red&absent=red", "red")):
        refused = client.post(f"/predict?{query}", files=files)
        assert refused.status_code == 400
        assert message in refused.json()["error"]
    service.batcher.close()


@pytest.mark.parametrize(
    "form",
    ["onnx", *(pytest.param(form, marks=pytest.mark.slow) for form in ("torch", "openvino"))],
)
def test_an_exported_file_takes_known_labels(run, exported, pictures, tmp_path, form):
    pytest.importorskip({"onnx": "onnxruntime", "torch": "torch", "openvino": "openvino"}[form])
    suffix = {"onnx": "onnx", "torch": "pt2", "openvino": "xml"}[form]
    file = export(run, format=form, out=tmp_path / f"it.{suffix}", limit=4)
    if form != "onnx":  # the check against the model is in export itself
        return
    known = [{}, {"red": True}, {"blue": False, "green": True}]
    ours, theirs = (Predictor(one)(pictures[:3], known=known) for one in (run, file))
    for one, other in zip(ours, theirs, strict=True):
        assert other.probabilities == pytest.approx(one.probabilities, abs=1e-5)
    # `exported` is of the same model without evidence; onnxruntime fuses the two otherwise.
    images = torch.randn(3, 3, 32, 32)
    plain, again = OnnxModel(exported), OnnxModel(file)
    assert again.takes_known
    assert not plain.takes_known
    assert again(images, torch.zeros(3, 3)).equal(again(images))
    torch.testing.assert_close(again(images), plain(images), atol=1e-6, rtol=1e-6)


def test_a_table_whose_empty_cells_training_reads_otherwise_says_so(tmp_path, capsys):
    table = one_table(tmp_path / "colours") / "labels.csv"
    header, *rows = table.read_text().splitlines()
    rows = [row for row in rows if not row.endswith(";")]
    table.write_text("\n".join([header, *rows]) + "\n")
    KnownTable(table, ("red", "green", "blue"))
    assert "as none of the labels" not in capsys.readouterr().out
    blank = rows[0].split(";")[0]
    table.write_text("\n".join([header, f"{blank};", *rows[1:]]) + "\n")
    KnownTable(table, ("red", "green", "blue"))
    assert "lcnet train and check read it as none of the labels" in capsys.readouterr().out
