"""How long training waits for its pictures, and what a user hears of it."""

from dataclasses import replace

import pytest

from lcnet.run_folder import RunFolder
from lcnet.training import callbacks
from lcnet.training.callbacks import DataWait
from lcnet.training.train import train


class Learner:
    """Takes what is logged."""

    def __init__(self):
        self.logged = {}

    def log(self, name, value):
        self.logged[name] = value


@pytest.fixture
def epoch(monkeypatch):
    """Runs an epoch of four steps that take 3 s each, after waiting so long for each batch."""
    now = [100.0]
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: now[0])

    def run(waiting: DataWait, wait: float, steps: int = 4) -> Learner:
        learner = Learner()
        waiting.on_train_epoch_start(None, learner)
        for step in range(steps):
            now[0] += wait
            waiting.on_train_batch_start(None, learner, None, step)
            now[0] += 3
            waiting.on_train_batch_end(None, learner, None, None, step)
        now[0] += 50  # validation is neither
        waiting.on_train_epoch_end(None, learner)
        return learner

    return run


def test_the_share_is_the_time_before_each_batch(epoch):
    waiting = DataWait(print)
    for wait, share in ((1.0, 0.25), (0.0, 0.0), (9.0, 0.75)):
        assert epoch(waiting, wait).logged == {"train/data_wait": pytest.approx(share)}
        assert waiting.share == pytest.approx(share)


def test_a_user_is_told_once_and_what_to_do(epoch):
    said = []
    waiting = DataWait(said.append, "Try this.")
    epoch(waiting, 0.7)
    assert said == []
    epoch(waiting, 1.0)
    epoch(waiting, 2.0)
    assert said == ["25% of the training time is spent waiting for pictures. Try this."]


def test_a_moment_s_waiting_and_a_run_that_nothing_helps_are_not_told(epoch):
    said = []
    epoch(DataWait(said.append, "Try this."), 0.9, steps=1)
    epoch(DataWait(said.append), 9.0)
    assert said == []


def test_a_run_writes_it_down_and_reads_older_runs_too(tiny_config, tmp_path):
    kept = replace(tiny_config.data, cache_images=str(tmp_path / "kept"))
    config = replace(tiny_config, data=kept, train=replace(tiny_config.train, epochs=1))
    run = train(config, tmp_path / "run").path
    assert len(list((tmp_path / "kept").glob("*.images"))) == 2  # training and validation
    assert 0 < RunFolder(run).history()[0]["data_wait"] < 1
    (run / "history.csv").write_text(
        "epoch,train_loss,val_mAP,best_mAP,seconds,data_wait\n0,1,2,2,1.5,\n"
    )
    row = RunFolder(run).history()[0]
    assert (row["seconds"], row["data_wait"] != row["data_wait"]) == (1.5, True)
