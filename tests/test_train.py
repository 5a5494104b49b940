import csv
from dataclasses import replace

import lightning
import pytest
import torch
from PIL import Image

from lcnet.callbacks import average_weights
from lcnet.checkpoint import load_model
from lcnet.config import Config
from lcnet.errors import CheckpointError, ConfigError, DataError
from lcnet.evaluate import evaluate
from lcnet.predict import Predictor
from lcnet.train import resume, train


def with_train(config: Config, **changes: object) -> Config:
    return replace(config, train=replace(config.train, **changes))


def history(run):
    with (run / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def finished(tiny_config, tmp_path):
    return train(tiny_config, tmp_path / "run")


def test_a_run_folder_holds_what_the_documents_say(finished, tiny_config, read_json):
    assert Config.load(finished / "config.yaml") == tiny_config
    rows = history(finished)
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert float(rows[-1]["best_mAP"]) == max(float(row["val_mAP"]) for row in rows)
    assert read_json(finished / "model" / "model.json")["labels"] == ["red", "green", "blue"]
    assert (finished / "checkpoints" / "last.ckpt").is_file()
    assert list((finished / "logs").glob("events.out.tfevents.*"))
    assert not list(finished.rglob("*.part"))


def test_the_kept_model_is_the_one_that_was_validated(finished):
    best = max(float(row["val_mAP"]) for row in history(finished))
    assert evaluate(finished, split="val.csv", quiet=True).mAP == pytest.approx(best, abs=1e-3)


def test_a_resumed_run_ends_with_the_same_weights(tiny_config, tmp_path, monkeypatch):
    config = with_train(tiny_config, epochs=3, accumulate=2, randaugment=9, cutout=0.5)
    whole = train(config, tmp_path / "whole")

    class Stop(Exception):
        pass

    def stop(self, trainer, *_):
        if trainer.current_epoch == 2:
            raise Stop

    monkeypatch.setattr("lcnet.callbacks.History.on_train_epoch_start", stop)
    with pytest.raises(Stop):
        train(config, tmp_path / "cut")
    monkeypatch.undo()
    resumed = resume(tmp_path / "cut")

    ends = [torch.load(run / "checkpoints" / "last.ckpt") for run in (whole, resumed)]
    for part in ("state_dict", "current_model_state"):
        assert ends[0][part].keys() == ends[1][part].keys()
        for name, tensor in ends[0][part].items():
            assert tensor.equal(ends[1][part][name]), (part, name)
    assert str(ends[0]["optimizer_states"]) == str(ends[1]["optimizer_states"])
    assert [r | {"seconds": ""} for r in history(whole)] == [
        r | {"seconds": ""} for r in history(resumed)
    ]


def test_the_same_seed_gives_the_same_model_with_any_number_of_workers(tiny_config, tmp_path):
    ends = []
    for workers in (0, 2):
        config = replace(tiny_config, data=replace(tiny_config.data, workers=workers))
        run = train(with_train(config, epochs=1), tmp_path / str(workers))
        ends.append(load_model(run).state_dict())
    assert all(tensor.equal(ends[1][name]) for name, tensor in ends[0].items())


def test_eight_pictures_are_learnt_by_heart(tiny_config, tmp_path):
    root = tmp_path / "colours"
    lines = (root / "train.csv").read_text().splitlines()
    (root / "eight.csv").write_text("\n".join(lines[:9]) + "\n")
    config = replace(
        tiny_config, data=replace(tiny_config.data, train="eight.csv", val="eight.csv")
    )
    config = with_train(
        config,
        epochs=50,
        batch_size=4,
        lr=4e-3,
        gamma_neg=0.0,
        loss_clip=0.0,
        flip=False,
        randaugment=0,
        cutout=0.0,
    )
    run = train(config, tmp_path / "run")
    assert evaluate(run, split="eight.csv", quiet=True).mAP > 99
    for line, prediction in zip(
        lines[1:9], Predictor(run)([root / line.split(",")[0] for line in lines[1:9]]), strict=True
    ):
        shown = dict(zip(("red", "green", "blue"), line.split(",")[1:], strict=True))
        assert set(prediction.labels) == {name for name, value in shown.items() if value == "1"}


def test_a_frozen_backbone_keeps_its_weights_and_statistics(tiny_config, tmp_path, monkeypatch):
    starts = []
    original = lightning.Trainer.fit

    def fit(self, learner, *args, **kwargs):
        features = learner.model.backbone.features
        starts.append({name: tensor.clone() for name, tensor in features.state_dict().items()})
        return original(self, learner, *args, **kwargs)

    monkeypatch.setattr(lightning.Trainer, "fit", fit)
    run = train(with_train(tiny_config, backbone_lr_factor=0.0), tmp_path / "run")
    kept = load_model(run).backbone.features.state_dict()
    assert all(tensor.equal(kept[name]) for name, tensor in starts[0].items())


@pytest.mark.parametrize("settings", [{"precision": "bf16"}, {"ema_decay": 0.0}, {"early_stop": 1}])
def test_other_recipes_run(tiny_config, tmp_path, settings):
    run = train(with_train(tiny_config, **settings), tmp_path / "run")
    assert load_model(run)(torch.randn(1, 3, 32, 32)).isfinite().all()


def test_averaged_weights_follow_the_current_ones_quickly_at_first():
    average = average_weights(0.999)._kwargs["multi_avg_fn"]
    for steps, moved in ((1, 1 - 2 / 11), (10**6, 1e-3)):
        kept = [torch.zeros(1)]
        average(kept, [torch.ones(1)], torch.tensor(steps))
        assert kept[0].item() == pytest.approx(moved, rel=1e-3)


def test_nothing_is_written_when_the_data_or_the_folder_is_wrong(tiny_config, tmp_path):
    broken = replace(tiny_config, data=replace(tiny_config.data, val="none.csv"))
    with pytest.raises(DataError, match=r"none\.csv"):
        train(broken, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="already there"):
        train(tiny_config, tmp_path / "kept")
    with pytest.raises(ConfigError, match=r"no config\.yaml"):
        train(tiny_config, tmp_path / "kept", overwrite=True)
    unknown = replace(tiny_config, model=replace(tiny_config.model, backbone="resnet5O"))
    with pytest.raises(ConfigError, match="resnet5O"):
        train(unknown, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert (tmp_path / "kept" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_picture_stops_training_with_its_name(tiny_config, tmp_path, workers):
    (tmp_path / "colours" / "images" / "train3.png").write_bytes(b"\x89PNG broken")
    config = replace(tiny_config, data=replace(tiny_config.data, workers=workers))
    with pytest.raises(DataError, match=r"train3\.png.*train\.csv:5") as error:
        train(config, tmp_path / "run")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_validation_split_without_a_positive_is_refused_at_once(tiny_config, tmp_path):
    file = tmp_path / "colours" / "val.csv"
    file.write_text(file.read_text().replace(",1", ",0"))
    with pytest.raises(DataError, match="no label is present"):
        train(tiny_config, tmp_path / "run")


@pytest.mark.parametrize("epochs", [1, 5])
def test_a_schedule_of_any_few_steps_runs(tiny_config, tmp_path, epochs):
    config = with_train(tiny_config, epochs=epochs, batch_size=24)  # one step an epoch
    assert len(history(train(config, tmp_path / "run"))) == epochs


def test_early_stopping_ends_a_run_that_no_longer_improves(tiny_config, tmp_path, capsys):
    config = with_train(tiny_config, epochs=9, early_stop=1, lr=1e-12, ema_decay=0.0)
    run = train(with_train(config, backbone_lr_factor=0.0), tmp_path / "run")
    assert len(history(run)) == 2
    before = (run / "metrics.json").read_text()
    capsys.readouterr()
    resume(run)
    assert "already finished" in capsys.readouterr().out
    assert (run / "metrics.json").read_text() == before


def test_a_damaged_checkpoint_is_named(finished):
    checkpoint = finished / "checkpoints" / "last.ckpt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:500])
    with pytest.raises(CheckpointError, match=r"last\.ckpt: not a checkpoint"):
        resume(finished)


def test_a_label_with_unknown_targets_is_trained_on_what_is_known(tiny_config, tmp_path):
    file = tmp_path / "colours" / "train.csv"
    header, *rows = file.read_text().splitlines()
    rows = [",".join([*row.split(",")[:3], ""]) if i % 2 else row for i, row in enumerate(rows)]
    file.write_text("\n".join([header, *rows]))
    run = train(tiny_config, tmp_path / "run")
    assert load_model(run)(torch.randn(1, 3, 32, 32)).isfinite().all()


def test_label_vectors_from_a_file_reach_the_graph(tiny_config, tmp_path):
    (tmp_path / "vectors.txt").write_text("red 1 0 0.5\ngreen 0 1 0.5\nblue 0.3 0.3 -1\n")
    config = replace(
        tiny_config,
        model=replace(tiny_config.model, label_vectors=str(tmp_path / "vectors.txt")),
    )
    run = train(with_train(config, epochs=1), tmp_path / "run")
    (tmp_path / "vectors.txt").unlink()
    assert load_model(run).graph.vectors.tolist()[2] == pytest.approx([0.3, 0.3, -1])


def test_pictures_of_every_mode_can_be_trained_on(tiny_config, tmp_path):
    images = tmp_path / "colours" / "images"
    for index, mode in enumerate(["L", "RGBA", "P", "CMYK", "I", "1"]):
        suffix = "tif" if mode in ("CMYK", "I") else "png"
        picture = Image.new("RGB", (30 + index, 20), "red").convert(mode)
        (images / f"train{index}.png").unlink()
        picture.save(images / f"other{index}.{suffix}")
        file = tmp_path / "colours" / "train.csv"
        file.write_text(file.read_text().replace(f"train{index}.png", f"other{index}.{suffix}"))
    train(with_train(tiny_config, epochs=1), tmp_path / "run")
