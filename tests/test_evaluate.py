import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from lcnet.errors import CheckpointError, ConfigError, DataError
from lcnet.evaluate import evaluate
from lcnet.predict import Predictor
from lcnet.train import train


@pytest.fixture
def run(tiny_config, tmp_path):
    return train(tiny_config, tmp_path / "run")


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
    with pytest.raises(DataError, match="no folder"):
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
    with pytest.raises(CheckpointError, match="no config"):
        evaluate(tmp_path, quiet=True)
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("val.csv", "''"))
    with pytest.raises(ConfigError, match="--split"):
        evaluate(run, quiet=True)
    assert (run / "metrics.json").read_text() == before
