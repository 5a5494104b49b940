"""What a training can do besides: freeze, extend, measure its start, log, and be changed."""

import csv
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tests.alike import history
from tests.conftest import with_train

from lcnet.config import Config, Train
from lcnet.errors import CheckpointError, ConfigError
from lcnet.model_folder import load_model
from lcnet.run_folder import RunFolder
from lcnet.runs.train import resume, train
from lcnet.training import loop
from lcnet.training.loop import Loop
from lcnet.training.optimizers import OPTIMIZERS, SCHEDULES

pytestmark = pytest.mark.usefixtures("no_report")


def weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "checkpoints" / "last.ckpt")["weights"]


# Frozen parts


LAYER = "backbone.features.layer1"


@pytest.mark.parametrize(("freeze_epochs", "moves"), [(0, [False, False]), (1, [False, True])])
def test_frozen_parts_stay_for_the_epochs_that_are_asked_for(
    tiny_config, tmp_path, monkeypatch, freeze_epochs, moves
):
    seen, original = [], Loop.train_epoch

    def noted(self):
        seen.append({name: t.clone() for name, t in self.state.objective.model.named_parameters()})
        original(self)

    monkeypatch.setattr(Loop, "train_epoch", noted)
    config = with_train(tiny_config, freeze=LAYER, freeze_epochs=freeze_epochs)
    end = weights(train(config, tmp_path / "run").path)
    seen.append({name: end[name] for name in seen[0]})
    for before, after, moved in zip(seen, seen[1:], moves, strict=False):
        for name in before:
            if name.startswith(f"{LAYER}."):
                assert before[name].equal(after[name]) is not moved, name
        assert not before["backbone.features.layer2.0.conv1.weight"].equal(
            after["backbone.features.layer2.0.conv1.weight"]
        )


@pytest.mark.parametrize("start", ["seed", "model"])
@pytest.mark.parametrize(
    "factor",
    [0.1, pytest.param(1.0, marks=pytest.mark.slow)],  # the usual rate is another's special case
)
def test_a_whole_backbone_stays_as_it_is_with_its_norms_until_it_learns(
    tiny_config, tmp_path, monkeypatch, start, factor
):
    init = train(with_train(tiny_config, epochs=1), tmp_path / "first").path
    seen, original = [], Loop.train_epoch

    def noted(self):
        seen.append(
            {name: value.clone() for name, value in self.state.objective.model.state_dict().items()}
        )
        original(self)

    monkeypatch.setattr(Loop, "train_epoch", noted)
    config = with_train(
        tiny_config, freeze="backbone", freeze_epochs=1, backbone_lr_factor=factor, ema_decay=0.0
    )
    run = train(config, tmp_path / "run", init=init if start == "model" else None).path
    first, second, end = *seen, weights(run)
    of_backbone = [name for name in first if name.startswith("backbone.")]
    assert any("running_mean" in name for name in of_backbone)
    assert all(first[name].equal(second[name]) for name in of_backbone)
    changed = {name for name in of_backbone if not second[name].equal(end[name])}
    assert {"backbone.features.conv1.0.weight", "backbone.features.bn1.running_mean"} <= changed
    assert not first["mapping.bias"].equal(second["mapping.bias"])


def test_a_part_in_freeze_does_not_learn_later_if_the_backbone_never_does(tiny_config, tmp_path):
    config = with_train(
        tiny_config, freeze=LAYER, freeze_epochs=1, backbone_lr_factor=0.0, ema_decay=0.0
    )
    run = train(config, tmp_path / "run").path
    kept, end = load_model(run).state_dict(), weights(run)
    of_backbone = [name for name in end if name.startswith("backbone.")]
    assert all(kept[name].equal(end[name]) for name in of_backbone)


def test_only_the_last_stage_learns_with_the_head_and_only_its_norms_move(tiny_config, tmp_path):
    start = load_model(train(with_train(tiny_config, epochs=1), tmp_path / "first").path)
    config = with_train(tiny_config, backbone_stages=1, ema_decay=0.0)
    run = train(config, tmp_path / "run", init=tmp_path / "first").path
    before, end = start.state_dict(), weights(run)
    stays = {name for name in before if before[name].equal(end[name])}
    earlier = {n for n in before if n.startswith("backbone.") and ".layer4." not in n}
    assert earlier <= stays
    assert any("running_mean" in name for name in earlier)
    assert "backbone.features.layer4.0.bn1.running_mean" in before.keys() - stays
    assert {"backbone.features.layer4.0.conv1.weight", "mapping.bias"} <= before.keys() - stays


def test_norms_stay_in_a_backbone_that_learns(tiny_config, tmp_path):
    start = load_model(train(with_train(tiny_config, epochs=1), tmp_path / "first").path)
    config = with_train(tiny_config, keep_norms=True, ema_decay=0.0)
    end = weights(train(config, tmp_path / "run", init=tmp_path / "first").path)
    for name, before in start.state_dict().items():
        if name.startswith("backbone."):
            stays = "running_" in name or name.endswith("num_batches_tracked")
            assert before.equal(end[name]) is stays, name


def test_learning_stages_of_a_frozen_backbone_are_refused():
    with pytest.raises(ConfigError, match=r"train\.backbone_stages: expected 0 with .* got 1"):
        Train(backbone_stages=1, backbone_lr_factor=0.0)


def test_a_frozen_part_that_does_not_exist_is_named_with_those_that_do(tiny_config, tmp_path):
    config = with_train(tiny_config, freeze="backbone.features.layr1")
    with pytest.raises(
        ConfigError, match=r"got 'backbone\.features\.layr1'\. Choose from:"
    ) as error:
        train(config, tmp_path / "run")
    assert LAYER in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_epochs_of_freezing_need_parts():
    with pytest.raises(ConfigError, match=r"train\.freeze_epochs: expected 0 unless"):
        Train(freeze_epochs=2)


# Longer and shorter


def edit_epochs(run: Path, before: int, after: int) -> None:
    """What someone does with an editor."""
    file = run / "config.yaml"
    file.write_text(file.read_text().replace(f"epochs: {before}", f"epochs: {after}", 1))


@pytest.mark.parametrize(
    ("schedule", "edits"),
    [
        ("one_cycle", True),
        # An edited number and a given one are the same from here on; schedules differ in one line.
        pytest.param("one_cycle", False, marks=pytest.mark.slow),
        pytest.param("cosine", False, marks=pytest.mark.slow),
        pytest.param("constant", False, marks=pytest.mark.slow),
        pytest.param("cosine", True, marks=pytest.mark.slow),
        pytest.param("constant", True, marks=pytest.mark.slow),
    ],
)
def test_a_finished_run_can_be_extended(tiny_config, tmp_path, capsys, schedule, edits):
    config = with_train(tiny_config, epochs=4, schedule=schedule, flip=False)
    run = train(with_train(config, epochs=2), tmp_path / "run").path
    if edits:
        edit_epochs(run, 2, 4)
        resume(run)
    else:
        resume(run, epochs=4)
    assert [row["epoch"] for row in history(run)] == ["1", "2", "3", "4"]
    assert Config.load(run / "config.yaml").train.epochs == 4
    printed = capsys.readouterr().out
    assert "4 epochs, 2 before: the learning rate goes on as in a run of 4 epochs: it is" in printed
    whole = train(config, tmp_path / "whole").path
    assert [row["lr"] for row in history(run)][2:] == [row["lr"] for row in history(whole)][2:]
    assert float(history(run)[2]["lr"]) > 0
    assert RunFolder(run).is_finished


@pytest.mark.parametrize("edits", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_run_that_ended_early_can_be_extended_all_the_same(
    tiny_config, tmp_path, monkeypatch, edits
):
    real, scores = loop.verify, iter((80.0, 70.0, 60.0, 50.0))
    monkeypatch.setattr(loop, "verify", lambda *given: replace_map(real(*given), next(scores)))
    run = train(with_train(tiny_config, epochs=5, early_stop=1), tmp_path / "run").path
    assert len(history(run)) == 2
    if edits:
        edit_epochs(run, 5, 6)
        resume(run)
    else:
        resume(run, epochs=6)
    assert [row["val_mAP"] for row in history(run)] == ["80.000", "70.000", "60.000"]


def test_a_run_cannot_be_made_shorter_than_it_is(trained, tiny_config):
    with pytest.raises(ConfigError, match="expected more than 2, which this run has trained"):
        resume(trained, epochs=1)
    assert Config.load(trained / "config.yaml") == tiny_config
    edit_epochs(trained, 2, 1)
    with pytest.raises(
        ConfigError, match=r"expected at least 2, .* got 1 in .*config\.yaml"
    ) as error:
        resume(trained)
    assert "\n" not in str(error.value)
    assert len(history(trained)) == 2


# The start


def test_the_model_that_a_run_starts_from_is_measured_and_kept_if_none_is_better(
    tiny_config, tmp_path, monkeypatch, capsys
):
    first = train(tiny_config, tmp_path / "first").path
    scores = iter((90.0, 80.0, 85.0))
    real = loop.verify
    monkeypatch.setattr(loop, "verify", lambda *given: replace_map(real(*given), next(scores)))
    run = train(tiny_config, tmp_path / "on", init=first).path
    rows = history(run)
    assert [(row["epoch"], row["val_mAP"], row["train_loss"] == "") for row in rows] == [
        ("0", "90.000", True),
        ("1", "80.000", False),
        ("2", "85.000", False),
    ]
    printed = capsys.readouterr().out
    assert "epoch 0/2  val mAP  90.0  before training  best" in printed
    assert "best validation mAP 90.0, epoch 0" in printed
    kept, start = load_model(run).state_dict(), load_model(first).state_dict()
    assert all(tensor.equal(kept[name]) for name, tensor in start.items())


def replace_map(verified, value: float):
    return SimpleNamespace(mAP=value)


# Loggers, optimizers and schedules


def test_csv_and_tensorboard_log_at_once(tiny_config, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "LOG_STEPS", 1)
    run = train(with_train(tiny_config, loggers="csv, tensorboard"), tmp_path / "run").path
    assert list((run / "logs").glob("events.out.tfevents.*"))
    with (run / "logs" / "version_0" / "metrics.csv").open(newline="") as file:
        logged = list(csv.DictReader(file))
    assert sum(bool(row["train/loss"]) for row in logged) == 6
    assert [row["val/mAP"] for row in logged if row["val/mAP"]] == [
        str(float(row["val_mAP"])) for row in history(run)
    ]


def test_no_logger_leaves_no_logs(tiny_config, tmp_path):
    run = train(with_train(tiny_config, loggers="", epochs=1), tmp_path / "run").path
    assert not (run / "logs").exists()


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_logger_without_its_package_is_one_line(tiny_config, tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=rf"pip install 'lcnet\[{name}\]'"):
        train(with_train(tiny_config, loggers=name), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match=r"train\.loggers: expected of tensorboard, csv"):
        Train(loggers="tensorbord")


class Service(SimpleNamespace):
    """Stands for the package wandb: notes what is logged, and fails where it is to."""

    def __init__(self, *, fails_to_open: bool = False, fails_at: int = 0) -> None:
        super().__init__(settings={}, logged=[], ended=0)
        self.fails_to_open, self.fails_at = fails_to_open, fails_at

    def init(self, config, **folder):
        if self.fails_to_open:
            raise OSError("no api key")
        self.settings = config
        return SimpleNamespace(log=self.log, finish=self.finish, url="https://service.test/7")

    def log(self, values, step):
        if step == self.fails_at:
            raise OSError("connection lost")
        self.logged.append(values)

    def finish(self):
        self.ended += 1


def test_a_service_gets_settings_and_values_and_may_fail_within_a_run(
    tiny_config, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(loop, "LOG_STEPS", 1)
    service = Service(fails_at=2)
    monkeypatch.setitem(sys.modules, "wandb", service)
    run = train(with_train(tiny_config, loggers="wandb"), tmp_path / "run").path
    assert service.settings["train.lr"] == tiny_config.train.lr
    assert sum("train/loss" in values for values in service.logged) == 5  # of 6 steps
    assert sum("val/mAP" in values for values in service.logged) == 2
    assert service.ended == 1
    assert "warning: wandb did not record step 2 (connection lost)" in capsys.readouterr().out
    assert RunFolder(run).is_finished
    assert RunFolder(run).tracker_pages() == {"wandb": "https://service.test/7"}


def test_a_service_that_cannot_be_used_is_one_line_before_training(
    tiny_config, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "wandb", Service(fails_to_open=True))
    with pytest.raises(ConfigError, match=r"wandb cannot be used \(no api key\)") as error:
        train(with_train(tiny_config, loggers="wandb"), tmp_path / "run")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_each_setting_names_an_optimizer_and_a_schedule():
    hints = Train.__annotations__
    assert set(OPTIMIZERS) == set(hints["optimizer"].__args__)
    assert set(SCHEDULES) == set(hints["schedule"].__args__)


@pytest.mark.parametrize(
    ("changes", "rates"),
    [
        ({"optimizer": "adam", "schedule": "constant"}, [1e-3, 1e-3]),
        ({"optimizer": "sgd", "schedule": "cosine"}, [5e-4, 0.0]),
    ],
)
def test_other_optimizers_and_schedules_train(tiny_config, tmp_path, changes, rates):
    config = with_train(tiny_config, lr=1e-3, **changes)
    run = train(config, tmp_path / "run").path
    assert [float(row["lr"]) for row in history(run)] == pytest.approx(rates, abs=1e-9)


# Checkpoints of the loop before


def test_a_checkpoint_of_the_loop_before_is_refused_with_what_to_do(trained):
    torch.save({"loops": {}, "state_dict": {}}, trained / "checkpoints" / "last.ckpt")
    record = trained / "run.json"
    record.write_text(record.read_text().replace('"finished": "', '"finished": null, "was": "'))
    with pytest.raises(CheckpointError, match=r"written by an older lcnet.* --init") as error:
        resume(trained)
    assert "\n" not in str(error.value)


def test_a_setting_that_was_changed_in_the_run_s_config_is_named(trained):
    config = Config.load(trained / "config.yaml")
    with_train(config, epochs=3, optimizer="sgd").save(trained / "config.yaml")
    with pytest.raises(ConfigError, match=r"train\.optimizer: expected adamw, .* got sgd") as error:
        resume(trained)
    assert "\n" not in str(error.value)
    with_train(config, epochs=3).save(trained / "config.yaml")
    resume(trained)
    assert len(history(trained)) == 3


@pytest.mark.parametrize("part", ["average", "optimizer"])
def test_a_checkpoint_that_does_not_fit_its_run_is_one_line(tiny_config, tmp_path, part):
    run = train(with_train(tiny_config, epochs=1), tmp_path / "run").path
    file = run / "checkpoints" / "last.ckpt"
    state = torch.load(file)
    state[part].popitem()
    torch.save(state, file)
    with pytest.raises(CheckpointError, match=r"last\.ckpt: does not fit its run") as error:
        resume(run, epochs=2)
    assert "\n" not in str(error.value)
