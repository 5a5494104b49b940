import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score

from lcnet.config import Data
from lcnet.errors import CheckpointError, ConfigError, DataError
from lcnet.evaluating import measuring as module
from lcnet.evaluating.calibrate import calibrate
from lcnet.evaluating.evaluate import evaluate
from lcnet.predicting.predictor import Predictor


@pytest.fixture
def run(trained):
    return trained


@pytest.fixture
def printed(capsys):
    """What was printed since, as one line."""
    return lambda: " ".join(capsys.readouterr().out.split())


@pytest.fixture
def coco(tmp_path):
    """COCO with four pictures in val2014, the last without an annotation."""
    root = tmp_path / "coco"
    write_pictures(root / "val2014", "abcd")
    labels = {1: "red", 2: "green", 3: "blue"}
    stored = {
        "images": [{"id": n, "file_name": f"{name}.jpg"} for n, name in enumerate("abcd")],
        "categories": [{"id": key, "name": name} for key, name in labels.items()],
        "annotations": [{"image_id": n, "category_id": n + 1, "iscrowd": n % 2} for n in range(3)],
    }
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_val2014.json").write_text(json.dumps(stored))
    return Data(format="coco", root=str(root), workers=0)


@pytest.fixture
def voc(tmp_path):
    """VOC with four pictures in test; every green object is difficult, and d has no other."""
    year = tmp_path / "VOC2007"
    objects = {"a": ["red 0", "green 1"], "b": ["blue 0"], "c": ["red 0"], "d": ["green 1"]}
    write_pictures(year / "JPEGImages", objects)
    for folder in ("Annotations", "ImageSets/Main"):
        (year / folder).mkdir(parents=True)
    for name, entries in objects.items():
        xml = "".join(
            f"<object><name>{label}</name><difficult>{difficult}</difficult></object>"
            for label, difficult in map(str.split, entries)
        )
        (year / "Annotations" / f"{name}.xml").write_text(f"<annotation>{xml}</annotation>")
    (year / "ImageSets/Main/test.txt").write_text("\n".join(objects))
    return Data(format="voc", root=str(year), difficult="negative", workers=0)


def write_pictures(folder: Path, names) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in names:
        pixels = rng.integers(256, size=(16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.jpg")


def rename_labels(run: Path, *names: str) -> None:
    file = run / "model" / "model.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "labels": names}))


def test_the_numbers_are_scikit_learn_s(run, tmp_path, read_json):
    rows = (tmp_path / "colours" / "train.csv").read_text().splitlines()[1:]
    names = [row.split(",")[0] for row in rows]
    targets = np.array([[int(cell) for cell in row.split(",")[1:]] for row in rows])
    predictions = Predictor(run)([tmp_path / "colours" / name for name in names])
    scores = np.array([list(prediction.probabilities.values()) for prediction in predictions])
    verification = evaluate(run, split="train.csv", out=tmp_path / "out.json", quiet=True)
    expected = 100 * average_precision_score(targets, scores, average=None)
    assert verification.ap == pytest.approx(list(expected), abs=1e-3)
    assert read_json(tmp_path / "out.json")["mAP"] == pytest.approx(expected.mean(), abs=1e-3)
    assert read_json(run / "metrics.json")["split"] == "val.csv"


def test_a_label_without_a_positive_is_left_out_and_counted(run, tmp_path, capsys):
    file = tmp_path / "colours" / "val.csv"
    header, *rows = file.read_text().splitlines()
    file.write_text("\n".join([header, *(row.rpartition(",")[0] + ",0" for row in rows)]))
    verification = evaluate(run)
    assert verification.without_positive == ("blue",)
    assert verification.mAP == pytest.approx(np.mean(verification.ap[:2]))
    assert "1 without a positive, left out" in " ".join(capsys.readouterr().out.split())


def test_columns_in_another_order_give_the_same_numbers(run, tmp_path):
    before = evaluate(run, quiet=True)
    file = tmp_path / "colours" / "val.csv"
    cells = [line.split(",") for line in file.read_text().splitlines()]
    file.write_text("\n".join(",".join([row[0], row[3], row[1], row[2]]) for row in cells))
    assert evaluate(run, quiet=True) == before


def test_a_moved_data_set_is_found_by_root(run, tmp_path):
    (tmp_path / "colours").rename(tmp_path / "moved")
    with pytest.raises(DataError, match="--root FOLDER"):
        evaluate(run, quiet=True)
    assert evaluate(run, root=str(tmp_path / "moved"), quiet=True).images == 12


def test_mistakes_are_told_and_leave_the_metrics_alone(run, tmp_path):
    before = (run / "metrics.json").read_text()
    file = tmp_path / "colours" / "val.csv"
    file.write_text(file.read_text().replace("red,green", "pink,green"))
    with pytest.raises(DataError, match="unknown label 'pink'"):
        evaluate(run, quiet=True)
    with pytest.raises(ConfigError, match="--threshold"):
        evaluate(run, threshold=1.5, quiet=True)
    with pytest.raises(ConfigError, match="--batch_size"):
        evaluate(run, batch_size=0, quiet=True)
    with pytest.raises(ConfigError, match=r"expected one of lcnet, .*, got 'voc'"):
        evaluate(run, protocol="voc", quiet=True)
    with pytest.raises(CheckpointError, match="no model here"):
        evaluate(tmp_path, quiet=True)
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("val.csv", "''"))
    with pytest.raises(ConfigError, match="--split"):
        evaluate(run, quiet=True)
    assert (run / "metrics.json").read_text() == before


# Other data, and models without a run


def test_a_model_folder_is_measured_on_the_data_that_is_given(run, tmp_path, tiny_config):
    model, before = (run / "model").rename(tmp_path / "alone"), (run / "metrics.json").read_text()
    with pytest.raises(ConfigError, match="alone: expected a run folder, or --data flags") as error:
        evaluate(model, quiet=True)
    assert "\n" not in str(error.value)
    verification = evaluate(model, data=tiny_config.data, quiet=True)
    written = json.loads((model / "metrics.json").read_text())
    # What training measured of the same model on the same split, apart from how it says so.
    assert written == json.loads(before)
    assert verification.images == 12


def test_a_run_is_measured_on_other_data_if_they_are_given(run, coco, read_json):
    assert evaluate(run, split="val2014", data=coco, quiet=True).images == 4
    metrics = read_json(run / "metrics-coco-val2014.json")  # metrics.json stays the run's own
    assert read_json(run / "metrics.json")["split"] == "val.csv"
    assert (metrics["root"], metrics["protocol"]) == (coco.root, None)
    with pytest.raises(DataError, match="test: no such split"):
        evaluate(run, data=coco, quiet=True)


def test_the_batch_size_is_the_one_given_or_the_run_s_or_8(run, tiny_config, monkeypatch):
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("batch_size: 8", "batch_size: 6"))
    sizes = []
    usual = module.eval_loader

    def loader(images, *, batch_size, workers):
        sizes.append(batch_size)
        return usual(images, batch_size=batch_size, workers=workers)

    monkeypatch.setattr(module, "eval_loader", loader)
    same = [
        evaluate(run, quiet=True).mAP,
        evaluate(run, batch_size=5, quiet=True).mAP,
        evaluate(run / "model", data=tiny_config.data, quiet=True).mAP,
    ]
    assert sizes == [6, 5, 8]
    assert same == pytest.approx([same[0]] * 3, abs=1e-6)


def test_labels_without_names_take_the_data_set_s_in_its_order(run, tmp_path, printed):
    before = evaluate(run, quiet=True)
    assert "label names" not in printed()
    rename_labels(run, "label_1", "label_2", "label_3")
    assert evaluate(run) == before
    assert "label names: those of the data set, in its order, since the model has none" in printed()
    # Another number of labels cannot be the ones that the model learned.
    file = tmp_path / "colours" / "val.csv"
    full = file.read_text()
    file.write_text("\n".join(line.rpartition(",")[0] for line in full.splitlines()))
    with pytest.raises(DataError, match=r"val.csv: expected 3 labels, .*, got 2") as error:
        evaluate(run, quiet=True)
    assert "\n" not in str(error.value)
    # Names that are the model's own are found by name.
    rows = [line.split(",") for line in full.splitlines()]
    rows[0] = ["image", "label_1", "label_2", "label_3"]
    file.write_text("\n".join(",".join([row[0], row[3], row[1], row[2]]) for row in rows))
    again = evaluate(run)
    assert (again.labels, again.ap) == (("label_1", "label_2", "label_3"), before.ap)
    assert "label names" not in printed()


def test_labels_with_names_are_never_taken_for_others(run, coco):
    rename_labels(run, "one", "two", "three")
    with pytest.raises(DataError, match="unknown label 'red'"):
        evaluate(run, split="val2014", data=coco, quiet=True)


# Protocols


def test_coco_counts_all_pictures_or_those_with_an_annotation(run, coco, printed):
    for protocol, images in (("lcnet", 4), ("ml-gcn", 3), ("ml-decoder", 3), ("query2label", 4)):
        # The protocol decides, and reports val2014, where the data's own split would be `test`.
        for settings in (coco, replace(coco, images="annotated")):
            assert evaluate(run, data=settings, protocol=protocol, quiet=True).images == images
    evaluate(run, data=coco, protocol="ml-decoder")
    shown = printed()
    assert "val2014: 3 pictures, 3 labels" in shown
    assert "protocol ml-decoder: annotated pictures, step AP, threshold 0.8" in shown
    assert "ml-decoder trains on train2014, annotated" in shown
    assert "differs" not in shown


def test_voc_counts_difficult_objects_as_the_protocol_says(run, voc, printed):
    lcnet = evaluate(run, data=voc, protocol="lcnet")
    assert "protocol lcnet: difficult positive, step AP, threshold 0.85" in printed()
    csra = evaluate(run, data=voc, protocol="csra")
    assert "protocol csra: difficult unknown, step AP, threshold 0.5" in printed()
    assert (lcnet.without_positive, csra.without_positive) == ((), ("green",))
    # CSRA leaves out pictures of COCO, not this one of VOC, whose only object is difficult.
    assert (lcnet.images, csra.images) == (4, 4)
    for images in ("all", "annotated"):
        settings = replace(voc, images=images)
        assert evaluate(run, data=settings, protocol="csra", quiet=True) == csra


def test_the_formula_is_the_protocol_s(run, tmp_path, read_json):
    file = tmp_path / "colours" / "val.csv"
    scores = np.array(
        [list(p.probabilities.values()) for p in Predictor(run)(pictures(tmp_path, file))]
    )
    # The most probable image of each label is a negative one, so that precision rises with recall.
    targets = (np.argsort(np.argsort(-scores, axis=0), axis=0) % 3 > 0).astype(int)
    rows = [",".join(map(str, row)) for row in targets]
    header, *lines = file.read_text().splitlines()
    names = [line.split(",")[0] for line in lines]
    file.write_text("\n".join([header, *map(",".join, zip(names, rows, strict=True))]))
    step = evaluate(run, quiet=True)
    envelope = evaluate(run, protocol="query2label", quiet=True)
    assert (step.ap_formula, envelope.ap_formula) == ("step", "envelope")
    assert envelope.mAP > step.mAP + 1
    metrics = read_json(run / "metrics.json")
    assert (metrics["protocol"], metrics["ap_formula"]) == ("query2label", "envelope")
    assert metrics["mAP"] == pytest.approx(envelope.mAP, abs=1e-3)


def pictures(tmp_path: Path, table: Path) -> list[Path]:
    rows = table.read_text().splitlines()[1:]
    return [tmp_path / "colours" / row.split(",")[0] for row in rows]


def test_what_is_chosen_wins_over_the_protocol_and_is_said(run, coco, printed, read_json):
    (Path(coco.root) / "annotations/instances_val2014.json").rename(
        Path(coco.root) / "annotations/instances_mini.json"
    )
    (Path(coco.root) / "val2014").rename(Path(coco.root) / "mini")
    verification = evaluate(run, split="mini", data=coco, protocol="csra", threshold=0.3)
    assert (verification.threshold, verification.images) == (0.3, 3)
    shown = printed()
    assert "protocol csra: annotated pictures, step AP, threshold 0.3" in shown
    assert "differs from csra: split mini, not val2014; threshold 0.3, not 0.5" in shown
    metrics = read_json(run / "metrics-coco-mini.json")
    assert (metrics["split"], metrics["protocol"], metrics["threshold"]) == ("mini", "csra", 0.3)


def test_without_a_protocol_the_model_s_own_threshold_counts(run, printed):
    file = run / "model" / "model.json"
    info = json.loads(file.read_text())
    file.write_text(json.dumps({**info, "thresholds": [0.6, 0.6, 0.6]}))
    assert evaluate(run).threshold == 0.6
    assert "AP as in scikit-learn, threshold 0.6" in printed()
    file.write_text(json.dumps({**info, "thresholds": [0.2, 0.4, 0.6]}))
    assert evaluate(run).threshold == (0.2, 0.4, 0.6)
    assert "AP as in scikit-learn, each label at its own threshold" in printed()
    assert evaluate(run, protocol="lcnet").threshold == 0.85
    assert "protocol lcnet: step AP, threshold 0.85" in printed()


def test_the_protocol_s_cf1_is_marked(run, printed):
    evaluate(run, protocol="csra")
    shown = printed()
    assert "CF1* ┃" in shown
    assert "mean_label_F1 ┃" in shown
    assert "* called CF1 in csra" in shown
    evaluate(run, protocol="lcnet")
    shown = printed()
    assert "CF1 ┃" in shown
    assert "mean_label_F1* ┃" in shown
    evaluate(run)
    assert "*" not in printed()


@pytest.mark.parametrize("width", [80, 120])
def test_what_is_printed_fits_the_terminal(run, capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    evaluate(run, protocol="query2label", threshold=0.123)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    assert "mean_label_F1" in next(line for line in lines if "CF1*" in line)
    assert {"red", "green", "blue"} <= set(lines[-1].split())


def test_a_label_file_that_is_named_alone_is_measured_whole(run, tmp_path, printed):
    table = tmp_path / "colours" / "val.csv"
    whole = evaluate(run, data=table)
    said = printed()
    assert said.startswith("table val.csv: pictures in column 1 'image'; 3 label columns")
    assert (whole.images, whole.ap) == (12, evaluate(run, split="val.csv", quiet=True).ap)
    calibrate(run, data=table)
    assert "warning" not in printed()
