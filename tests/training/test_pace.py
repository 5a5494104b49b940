"""How long training waits for its pictures, what a user hears of it, and the progress line."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from lcnet.run_folder import RunFolder
from lcnet.runs.train import train
from lcnet.training import pace
from lcnet.training.pace import IN_FILE_S, Pace
from lcnet.training.state import Epoch


@pytest.fixture
def epoch(monkeypatch):
    """Runs an epoch of steps that take 3 s each, after waiting so long for each batch of 6."""
    now = [100.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: now[0])

    def run(watched: Pace, wait: float, steps: int = 4) -> Epoch:
        state = SimpleNamespace(epoch=Epoch(), epochs=1)

        def batches():
            for _ in range(steps):
                now[0] += wait
                yield None

        for _ in watched.timed(batches(), state):
            now[0] += 3
            state.epoch.batches += 1
            state.epoch.images += 6
            state.epoch.loss += 3.0
        with watched.validating(state):
            now[0] += 50
        watched.advise(state.epoch)
        return state.epoch

    return run


def started(hint: str = "") -> Pace:
    return Pace(epochs=3, batches=4, hint=hint)


def test_the_share_of_waiting_is_the_time_before_each_batch(epoch):
    for wait, share in ((1.0, 0.25), (0.0, 0.0), (9.0, 0.75)):
        done = epoch(started(), wait)
        assert done.waiting == pytest.approx(share)
        assert (done.trained_s, done.validated_s) == (pytest.approx(4 * (3 + wait)), 50)


def test_advice_against_waiting_is_printed_once(epoch, capsys):
    waiting = started("Try this.")
    epoch(waiting, 0.7)
    assert capsys.readouterr().out == ""
    epoch(waiting, 1.0)
    epoch(waiting, 2.0)
    printed = capsys.readouterr().out
    assert printed.count("25% of the training time is spent waiting for pictures. Try this.") == 1


def test_a_moment_s_waiting_and_a_run_that_nothing_helps_are_not_mentioned(epoch, capsys):
    epoch(started("Try this."), 0.9, steps=1)
    epoch(started(), 9.0)
    assert "Try" not in capsys.readouterr().out


def test_a_log_file_gets_a_line_with_all_that_one_waits_for(epoch, capsys):
    epoch(started(), IN_FILE_S / 4)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        # The fourth step would end at 72 s; so far 18 s a step, and 2 x 4 - 4 steps are left.
        "epoch 2/3  step 4/4  loss 0.5  0 images/s  waiting 83%  72 s left"
    ]


def test_the_time_left_is_said_in_words():
    assert [pace._time(seconds) for seconds in (0, 100, 719, 11_100)] == [
        "0 s",
        "2 min",
        "12 min",
        "3 h 05 min",
    ]


def test_a_run_writes_its_pace_down_and_older_runs_are_read(tiny_config, tmp_path):
    kept = replace(tiny_config.data, cache_images=str(tmp_path / "kept"))
    config = replace(tiny_config, data=kept, train=replace(tiny_config.train, epochs=1))
    run = train(config, tmp_path / "run").path
    assert len(list((tmp_path / "kept").glob("*.images"))) == 2  # training and validation
    row = RunFolder(run).history()[0]
    assert (row["epoch"], 0 < row["data_wait"] < 1, row["images_per_s"] > 0) == (1, True, True)
    (run / "history.csv").write_text(
        "epoch,train_loss,val_mAP,best_mAP,seconds,data_wait\n0,1,2,2,1.5,\n"
    )
    row = RunFolder(run).history()[0]
    assert (row["epoch"], row["seconds"]) == (1, 1.5)
    assert row["data_wait"] != row["data_wait"]
