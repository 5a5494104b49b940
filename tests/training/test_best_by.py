"""What picks the best epoch and ends a training early."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.alike import assert_alike, history
from tests.conftest import with_train

from lcnet.errors import CheckpointError, ConfigError
from lcnet.evaluating.evaluate import evaluate
from lcnet.run_folder import RunFolder
from lcnet.runs.train import resume, train
from lcnet.training import loop
from lcnet.training.loop import Loop

pytestmark = pytest.mark.usefixtures("no_report")

MAP = (50.0, 60.0, 55.0, 40.0)
CF1 = (30.0, 20.0, 35.0, 10.0)


@pytest.fixture
def scripted(monkeypatch):
    """Validations come to these numbers, epoch by epoch."""
    scores = iter(zip(MAP, CF1, strict=True))

    def verified(*given):
        mean_ap, cf1 = next(scores)
        return SimpleNamespace(mAP=mean_ap, at_threshold=SimpleNamespace(CF1=cf1, OF1=-cf1))

    monkeypatch.setattr(loop, "verify", verified)


def test_the_chosen_metric_picks_the_model_and_is_printed_and_recorded(
    tiny_config, tmp_path, scripted, monkeypatch, capsys
):
    kept = []
    save = loop.ModelFolder.save
    monkeypatch.setattr(
        loop.ModelFolder, "save", lambda self, *given: (kept.append(1), save(self, *given))
    )
    run = train(with_train(tiny_config, epochs=4, best_by="CF1"), tmp_path / "run").path
    rows = history(run)
    assert list(rows[0])[:6] == [
        "epoch",
        "train_loss",
        "val_mAP",
        "best_mAP",
        "val_CF1",
        "best_CF1",
    ]
    assert [row["val_CF1"] for row in rows] == ["30.000", "20.000", "35.000", "10.000"]
    assert [row["best_CF1"] for row in rows] == ["30.000", "30.000", "35.000", "35.000"]
    assert [row["best_mAP"] for row in rows] == ["50.000", "50.000", "55.000", "55.000"]
    assert len(kept) == 2
    printed = capsys.readouterr().out
    assert "val mAP  55.0  val CF1  35.0" in printed
    assert "best validation CF1 35.0, mAP 55.0, epoch 3" in printed


def test_without_a_choice_everything_is_as_before(tiny_config, tmp_path, scripted, capsys):
    run = train(with_train(tiny_config, epochs=4), tmp_path / "run").path
    assert list(history(run)[0]) == list(loop.row_of.__globals__["FIELDS"])
    assert [row["best_mAP"] for row in history(run)] == ["50.000", "60.000", "60.000", "60.000"]
    assert "best validation mAP 60.0, epoch 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("best_by", "epochs"),
    [
        pytest.param("mAP", 3, marks=pytest.mark.slow),  # the default, of which others tell too
        ("CF1", 2),
        pytest.param("OF1", 3, marks=pytest.mark.slow),
    ],
)
def test_the_chosen_metric_ends_the_training(tiny_config, tmp_path, scripted, best_by, epochs):
    config = with_train(tiny_config, epochs=4, best_by=best_by, early_stop=1)
    assert len(history(train(config, tmp_path / "run").path)) == epochs


def test_the_loss_is_that_of_the_kept_model_and_less_is_better(tiny_config, tmp_path):
    settings = {"gamma_neg": 0.0, "loss_clip": 0.0}
    config = with_train(tiny_config, epochs=4, best_by="loss", mixup=0.4, **settings)
    run = train(config, tmp_path / "run").path
    rows = history(run)
    losses = [float(row["val_loss"]) for row in rows]
    assert [float(row["best_loss"]) for row in rows] == list(np.minimum.accumulate(losses))
    measured = evaluate(run, split="val.csv", quiet=True)
    assert measured.mAP == pytest.approx(float(rows[-1]["best_mAP"]), abs=1e-3)


def test_the_validation_loss_is_that_of_the_known_labels(tiny_config, tmp_path, monkeypatch):
    seen = []
    original = Loop.scores

    def noted(self, verification, probabilities, targets):
        probabilities[1, 0], targets[1, 0] = 1.0, 1
        unknown = targets.copy()
        unknown[0] = -1
        loss = self.state.averaged.validation_loss(probabilities, unknown)
        known = torch.from_numpy(probabilities[1:]), torch.from_numpy(unknown[1:]).float()
        seen.append((loss, F.binary_cross_entropy(*known).item()))
        return original(self, verification, probabilities, targets)

    monkeypatch.setattr(Loop, "scores", noted)
    settings = {"gamma_neg": 0.0, "loss_clip": 0.0, "loss_factor": 3.0, "label_smoothing": 0.2}
    train(with_train(tiny_config, epochs=1, **settings), tmp_path / "run")
    loss, expected = seen[0]
    assert loss == pytest.approx(3 * expected, rel=1e-5)


def test_a_resumed_run_keeps_its_metric(tiny_config, tmp_path, monkeypatch):
    config = with_train(tiny_config, epochs=3, best_by="CF1")
    whole = train(config, tmp_path / "whole").path

    def stop(self, original=Loop.train_epoch):
        if self.state.epochs == 2:
            raise KeyboardInterrupt
        original(self)

    monkeypatch.setattr(Loop, "train_epoch", stop)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "cut")
    monkeypatch.undo()
    file = tmp_path / "cut" / "config.yaml"
    text = file.read_text()
    file.write_text(text.replace("best_by: CF1", "best_by: OF1"))
    with pytest.raises(ConfigError, match=r"train\.best_by: expected CF1, as when the run was"):
        resume(tmp_path / "cut")
    file.write_text(text)
    monkeypatch.setattr(
        "lcnet.reporting.gather_report.report_on", lambda *given: given[-1].write_text("report")
    )
    assert_alike(whole, resume(tmp_path / "cut").path)


def test_a_run_of_before_the_choice_goes_on(trained):
    file = trained / "config.yaml"
    lines = [line for line in file.read_text().splitlines() if "best_by" not in line]
    file.write_text("\n".join(lines))
    content = torch.load(trained / "checkpoints" / "last.ckpt")
    del content["recipe"]["best_by"], content["recipe"]["mixup"]
    torch.save(content, trained / "checkpoints" / "last.ckpt")
    resume(trained, epochs=3)
    assert len(history(trained)) == 3
    assert RunFolder(trained).is_finished


def test_a_history_without_the_chosen_metric_is_one_line(trained):
    file = trained / "config.yaml"
    file.write_text(file.read_text().replace("best_by: mAP", "best_by: CF1"))
    (trained / "metrics.json").unlink()
    with pytest.raises(CheckpointError, match="expected a column best_CF1, got none"):
        resume(trained)
