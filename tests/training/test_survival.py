"""A run survives: what ends it leaves what it can be continued from, exactly."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from filelock import FileLock
from tests.alike import assert_alike, history_without_clock
from tests.conftest import colours_config, draw_colours, with_train
from torch.utils.data import get_worker_info

from lcnet.cli import main
from lcnet.config import Config, Data, Train
from lcnet.data.dataset import ImageLabels
from lcnet.data.pack import pack
from lcnet.data.transforms import Normalize
from lcnet.errors import CheckpointError, ConfigError, DataError, Stopped, TrainingError
from lcnet.model_folder import load_model, read_info
from lcnet.run_folder import RunFolder
from lcnet.runs.train import resume, train
from lcnet.training import loop
from lcnet.training.checkpoints import read_progress
from lcnet.training.objective import Objective

OFTEN = 1e-9
"""Minutes between checkpoints: after each step."""

pytestmark = pytest.mark.usefixtures("no_report")


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Config:
    """Two epochs of six batches, two of which make a step."""
    tiny = colours_config(draw_colours(tmp_path_factory.mktemp("data") / "colours"))
    return with_train(tiny, batch_size=4, accumulate=2, randaugment=9)


@pytest.fixture(scope="module")
def whole(config: Config, tmp_path_factory) -> Path:
    """The run that nothing happened to."""
    return train(config, tmp_path_factory.mktemp("whole")).path


@pytest.fixture
def own(config: Config, tmp_path: Path) -> Config:
    """The same with pictures that a test may change."""
    root = draw_colours(tmp_path / "colours")
    return replace(config, data=replace(config.data, root=str(root)))


def score(monkeypatch, *values: float) -> None:
    """Let the validations give these mAPs, one after the other."""
    scores = iter(values)
    monkeypatch.setattr("lcnet.training.loop.verify", lambda *_: SimpleNamespace(mAP=next(scores)))


def at(monkeypatch, step: str, epoch: int, batch: int, action) -> None:
    """Do something at a batch of training or validation, before it is used; once only."""
    original, done, now = Objective.forward, [], {"validation": -1}

    def seeded(seed, of_epoch, of_batch, rank, original=loop.seed_step):
        now.update(epoch=of_epoch, training=of_batch, validation=-1)
        original(seed, of_epoch, of_batch, rank)

    def changed(self, *given):
        now["validation"] += not self.training
        kind = "training" if self.training else "validation"
        if kind == step and (now["epoch"], now[kind]) == (epoch, batch) and not done:
            done.append(True)
            action()
        return original(self, *given)

    monkeypatch.setattr(loop, "seed_step", seeded)
    monkeypatch.setattr(Objective, "forward", changed)


def send(number: signal.Signals):
    return lambda: os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    ("step", "epoch", "batch", "where"),
    [
        pytest.param("training", 0, 0, "epoch 1, batch 2", marks=pytest.mark.slow),
        ("training", 1, 2, "epoch 2, batch 4"),
        ("validation", 1, 1, "epoch 2, batch 6"),
    ],
)
def test_sigterm_saves_and_stops_and_the_run_ends_alike(
    config, whole, tmp_path, monkeypatch, capsys, step, epoch, batch, where
):
    cut = tmp_path / "cut"
    at(monkeypatch, step, epoch, batch, send(signal.SIGTERM))
    with pytest.raises(Stopped, match=f"SIGTERM in {where}.*--resume {cut}") as stopped:
        train(config, cut)
    assert stopped.value.code == 143
    resume(cut)
    assert "warning" not in capsys.readouterr().out
    assert_alike(whole, cut)


@pytest.mark.slow  # tests/runs/test_train.py mixes in a resumed run too
def test_the_mix_of_a_batch_goes_on_alike(config, tmp_path, monkeypatch):
    mixes = {"mixup": 0.4, "cutmix": 1.0, "splicemix": 0.5, "rotation": 30.0, "best_by": "loss"}
    config = with_train(config, **mixes)
    whole = train(config, tmp_path / "whole").path
    at(monkeypatch, "training", 1, 2, send(signal.SIGTERM))
    with pytest.raises(Stopped, match="epoch 2, batch 4"):
        train(config, tmp_path / "cut")
    resume(tmp_path / "cut")
    assert_alike(whole, tmp_path / "cut")


def test_the_order_goes_on_alike_with_loader_processes(config, whole, tmp_path, monkeypatch):
    config = replace(config, data=replace(config.data, workers=2))
    at(monkeypatch, "training", 1, 2, send(signal.SIGTERM))
    with pytest.raises(Stopped):
        train(config, tmp_path / "cut")
    resume(tmp_path / "cut")
    assert_alike(whole, tmp_path / "cut")


def test_a_stream_of_shards_goes_on_alike(config, tmp_path, monkeypatch):
    pack(config.data, tmp_path / "shards", shard_megabytes=0.02, quiet=True)
    data = Data(format="shards", root=str(tmp_path / "shards"), shuffle_window=5, workers=0)
    config = replace(config, data=data)
    train(config, tmp_path / "whole")
    at(monkeypatch, "training", 1, 2, send(signal.SIGTERM))
    with pytest.raises(Stopped, match="epoch 2, batch 4"):
        train(config, tmp_path / "cut")
    resume(tmp_path / "cut")
    assert_alike(tmp_path / "whole", tmp_path / "cut")


class Crash(Exception):
    pass


def crash():
    raise Crash


def test_a_validation_that_broke_off_is_done_anew(config, whole, tmp_path, monkeypatch):
    often = with_train(config, save_minutes=OFTEN)
    at(monkeypatch, "validation", 0, 1, crash)
    with pytest.raises(Crash):
        train(often, tmp_path / "cut")
    assert read_progress(RunFolder(tmp_path / "cut"), print).batches == 6
    resume(tmp_path / "cut")
    assert_alike(whole, tmp_path / "cut")


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_a_terminal_that_closes_is_a_signal_too_but_not_under_nohup(
    config, whole, tmp_path, monkeypatch
):
    at(monkeypatch, "training", 1, 2, send(signal.SIGHUP))
    usual = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        with pytest.raises(Stopped, match="SIGHUP in epoch 2, batch 4, which is saved"):
            train(config, tmp_path / "run")
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        at(monkeypatch, "training", 1, 4, send(signal.SIGHUP))
        resume(tmp_path / "run")
    finally:
        signal.signal(signal.SIGHUP, usual)
    assert_alike(whole, tmp_path / "run")


def test_ctrl_c_has_its_own_exit_code_and_says_how_to_go_on(config, tmp_path, monkeypatch, capsys):
    config.save(tmp_path / "config.yaml")
    at(monkeypatch, "training", 0, 1, send(signal.SIGINT))
    usual = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--config", str(tmp_path / "config.yaml"), "--out", str(tmp_path / "run")])
    assert stopped.value.code == 130
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("lcnet: stopped by SIGINT in epoch 1, batch 2")
    assert signal.getsignal(signal.SIGINT) is usual


def test_a_run_stopped_before_its_first_checkpoint_starts_from_the_beginning(
    config, whole, tmp_path, monkeypatch, capsys
):
    cut = tmp_path / "cut"
    with monkeypatch.context() as patch:
        patch.setattr("lcnet.runs.fit._loaders", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Stopped):
            train(config, cut)
    assert not (cut / "checkpoints").exists()
    resume(cut)
    assert "the beginning" in capsys.readouterr().out
    assert_alike(whole, cut)


def test_a_run_killed_in_its_report_is_finished(whole, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    (run / "metrics.json").unlink()
    (run / "report.html").unlink()
    resume(run)
    assert_alike(whole, run)
    assert (run / "report.html").is_file()


@pytest.mark.slow  # trains four times; make stress kills twenty
def test_sigkill_at_random_moments_changes_nothing():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.kill_training", "--kills", "3", "--scenes", "48"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 kills in" in done.stdout


# The checkpoint


def test_a_damaged_checkpoint_is_told_and_the_one_before_continues(
    config, whole, tmp_path, monkeypatch, capsys
):
    cut = tmp_path / "cut"
    at(monkeypatch, "training", 1, 4, crash)
    with pytest.raises(Crash):
        train(with_train(config, save_minutes=OFTEN), cut)
    last = cut / "checkpoints" / "last.ckpt"
    with zipfile.ZipFile(last) as parts:  # between the parts are bytes that mean nothing
        part = max(parts.infolist(), key=lambda one: one.file_size)
    content = bytearray(last.read_bytes())
    content[part.header_offset + part.file_size // 2] ^= 1  # one bit
    last.write_bytes(content)
    resume(cut)
    assert "last.ckpt: not a checkpoint" in (said := capsys.readouterr().out)
    assert "Continuing from the one before, epoch 2, batch 2" in " ".join(said.split())
    assert_alike(whole, cut)


def test_a_checkpoint_with_a_nan_in_its_description_is_refused_in_one_line(whole, tmp_path):
    file = tmp_path / "checkpoints" / "last.ckpt"
    file.parent.mkdir()
    state = torch.load(whole / "checkpoints" / "last.ckpt", weights_only=True)
    state["info"]["model"]["released"]["graph_tokens"] = float("nan")
    torch.save(state, file)
    with pytest.raises(CheckpointError, match=r"last\.ckpt: not a checkpoint \(ValueError\)"):
        read_progress(RunFolder(tmp_path), print)


@pytest.mark.parametrize("damage", ["model.json", "model.safetensors"])
def test_where_the_best_model_is_lost_the_best_of_the_epochs_to_come_is_kept(
    config, tmp_path, monkeypatch, capsys, damage
):
    cut = tmp_path / "cut"
    score(monkeypatch, 80.0, 70.0)
    at(monkeypatch, "training", 1, 4, crash)
    with pytest.raises(Crash):
        train(with_train(config, save_minutes=OFTEN), cut)
    file = cut / "model" / damage
    file.write_bytes(file_was := file.read_bytes()[:50])
    resume(cut)
    said = " ".join(capsys.readouterr().out.split())
    assert f"{damage}: " in said
    assert "It is kept as model.damaged. The best of the epochs to come takes its place" in said
    assert (cut / "model.damaged" / damage).read_bytes() == file_was
    assert "best validation mAP 70.0, epoch 2" in said
    assert load_model(cut)


def test_a_lost_best_model_is_no_measure_for_stopping_early(config, tmp_path, monkeypatch):
    cut = tmp_path / "cut"
    score(monkeypatch, 80.0, 70.0, 75.0, 60.0)
    at(monkeypatch, "training", 1, 4, crash)
    with pytest.raises(Crash):
        train(with_train(config, save_minutes=OFTEN, epochs=4, early_stop=1), cut)
    shutil.rmtree(cut / "model")
    resume(cut)
    assert [row["best_mAP"] for row in RunFolder(cut).history()] == [80, 70, 75, 75]


def test_a_history_that_was_deleted_is_written_again(config, tmp_path, monkeypatch, capsys):
    cut = tmp_path / "cut"
    score(monkeypatch, 80.0, 70.0)
    at(monkeypatch, "training", 1, 4, crash)
    with pytest.raises(Crash):
        train(with_train(config, save_minutes=OFTEN), cut)
    (cut / "history.csv").unlink()
    resume(cut)
    assert [row["epoch"] for row in RunFolder(cut).history()] == [1, 2]
    assert "best validation mAP 80.0" in capsys.readouterr().out


def test_a_full_disk_leaves_the_checkpoint_before_it_whole(config, whole, tmp_path, monkeypatch):
    cut, save, saved = tmp_path / "cut", torch.save, []

    def full(state, stream):
        saved.append(True)
        if len(saved) < 3:
            return save(state, stream)
        stream.write(b"half of it")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(
        TrainingError, match=f"No space left.*checkpoint before it is undamaged.*{cut}"
    ) as error:
        train(with_train(config, save_minutes=OFTEN), cut)
    monkeypatch.undo()
    assert "\n" not in str(error.value)
    assert sorted(file.name for file in (cut / "checkpoints").iterdir()) == [
        "last.ckpt",
        "previous.ckpt",
    ]
    resume(cut)
    assert_alike(whole, cut)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk always full")
def test_a_disk_that_is_really_full_is_one_line(whole, tmp_path, monkeypatch):
    from lcnet.training.checkpoints import write_checkpoint

    original, info = Path.open, read_info(whole)

    def to_full(self, mode="r", *args, **options):
        where = Path("/dev/full") if "w" in mode else self
        return original(where, mode, *args, **options)

    monkeypatch.setattr(Path, "open", to_full)
    with pytest.raises(TrainingError, match="No space left on device"):
        write_checkpoint(
            RunFolder(tmp_path / "run"), {"weights": torch.zeros(10**6)}, info, Train()
        )
    assert not list((tmp_path / "run" / "checkpoints").iterdir())


# Steps that are not finite


def poison(monkeypatch, *bad: tuple[int, int]) -> None:
    """Make the pixels of these batches nan, thus the loss and what batch norm learns of them."""
    original, place = Normalize.forward, []

    def seeded(seed, epoch, batch, rank, original=loop.seed_step):
        place[:] = [(epoch, batch)]
        original(seed, epoch, batch, rank)

    def changed(self, images):
        spoiled = self.training and place and place[0] in bad
        return original(self, images) * (float("nan") if spoiled else 1)

    monkeypatch.setattr(loop, "seed_step", seeded)
    monkeypatch.setattr(Normalize, "forward", changed)


@pytest.mark.parametrize("bad", [(0, 1), (0, 2)])  # the second and the first batch of a step
def test_a_step_that_is_not_finite_is_skipped_and_counted(
    config, tmp_path, monkeypatch, capsys, bad
):
    poison(monkeypatch, bad)
    run = train(config, tmp_path / "run").path
    assert [row["skipped"] for row in history_without_clock(run)] == ["1", "0"]
    assert all(float(row["train_loss"]) > 0 for row in history_without_clock(run))
    state = torch.load(run / "checkpoints" / "last.ckpt")
    for part in ("weights", "average"):
        assert all(t.isfinite().all() for t in state[part].values() if t.is_floating_point())
    said = " ".join(capsys.readouterr().out.split())
    assert f"epoch 1, batch {bad[1] // 2 * 2 + 2}, learning rate" in said
    assert "step skipped" in said


def test_a_skipped_step_changes_no_weight_and_no_average(config, tmp_path, monkeypatch):
    poison(monkeypatch, (1, 0), (1, 2), (1, 4))
    run = train(with_train(config, nan_limit=4), tmp_path / "run").path
    after = [torch.load(run / "checkpoints" / f"{name}.ckpt") for name in ("previous", "last")]
    assert [state["epochs"] for state in after] == [1, 2]
    for part in ("weights", "average"):
        assert all(t.equal(after[1][part][name]) for name, t in after[0][part].items()), part


def test_many_steps_in_a_row_that_are_not_finite_stop_the_run(config, tmp_path, monkeypatch):
    poison(monkeypatch, *((1, batch) for batch in range(6)))
    with pytest.raises(TrainingError) as error:
        train(with_train(config, nan_limit=2), tmp_path / "run")
    said = str(error.value)
    assert said.startswith("epoch 2, batch 4, learning rate ")
    assert "2 steps in a row" in said and ".png" in said and "--init" in said
    assert "\n" not in said
    assert read_progress(RunFolder(tmp_path / "run"), print).epoch == 1


# Pictures and processes


def test_a_broken_picture_can_be_left_out_and_is_counted(own, tmp_path, capsys):
    images = tmp_path / "colours" / "images"
    for name in ("train3.png", "val2.png"):
        (images / name).write_bytes(b"\x89PNG broken")
    losses = []
    for workers in (0, 2):
        data = replace(own.data, broken="skip", workers=workers)
        run = train(replace(own, data=data), tmp_path / str(workers)).path
        assert [row["broken"] for row in history_without_clock(run)] == ["2", "2"]
        losses.append([row["train_loss"] for row in history_without_clock(run)])
    assert losses[0] == losses[1]  # what takes its place is always the same
    assert "2 pictures could not be read" in " ".join(capsys.readouterr().out.split())


def test_a_picture_that_breaks_amid_a_run_leaves_it_to_be_continued(
    config, whole, tmp_path, monkeypatch
):
    cut, file = tmp_path / "cut", Path(config.data.root) / "images" / "train3.png"
    content = file.read_bytes()
    at(monkeypatch, "validation", 0, 0, lambda: file.write_bytes(b"\x89PNG broken"))
    with pytest.raises(DataError, match=rf"train3\.png.*--resume {cut}"):
        train(config, cut)
    file.write_bytes(content)
    resume(cut)
    assert_alike(whole, cut)


def test_a_loader_process_that_dies_is_one_line(config, tmp_path, monkeypatch):
    original = ImageLabels.__getitem__

    def deadly(self, draw):
        if get_worker_info() is not None:
            os._exit(1)
        return original(self, draw)

    monkeypatch.setattr(ImageLabels, "__getitem__", deadly)
    config = replace(config, data=replace(config.data, workers=1))
    with pytest.raises(TrainingError, match="a process that loads pictures died") as error:
        train(config, tmp_path / "run")
    assert "\n" not in str(error.value)


# The folder


def test_two_runs_never_write_one_folder(config, tmp_path, monkeypatch):
    monkeypatch.setattr("lcnet.run_folder.WAIT_S", 0.05)
    (tmp_path / "run").mkdir()
    with FileLock(tmp_path / "run" / ".lock"):
        with pytest.raises(ConfigError, match="another run writes to this folder"):
            train(config, tmp_path / "run")
        config.save(tmp_path / "run" / "config.yaml")
        with pytest.raises(ConfigError, match="another run writes to this folder"):
            resume(tmp_path / "run")
    resume(tmp_path / "run")  # the lock is still there as a file, and holds nobody up


def test_other_versions_and_data_are_told_when_a_run_goes_on(
    own, tmp_path, monkeypatch, capsys, read_json
):
    run, table = tmp_path / "run", tmp_path / "colours" / "train.csv"
    at(monkeypatch, "training", 1, 0, send(signal.SIGTERM))
    with pytest.raises(Stopped):
        train(own, run)
    record = read_json(run / "run.json")
    assert record["data"]["train.csv"]["pictures"] == 24
    assert {"torch", "timm", "python", "device", "platform"} <= record["surroundings"].keys()
    text = (run / "run.json").read_text()
    (run / "run.json").write_text(
        text.replace(f'"timm": "{record["surroundings"]["timm"]}"', '"timm": "0.1"')
    )
    lines = table.read_text().splitlines()
    table.write_text("\n".join(lines[:-1]))
    resume(run)
    said = " ".join(capsys.readouterr().out.split())
    assert "was 0.1" in said
    gone = "1 picture gone (images/train23.png)"
    assert f"train.csv has changed since this run saw it: {gone}" in said
    assert len(read_json(run / "run.json")["resumed"]) == 1


def test_an_unreadable_run_is_one_line(tmp_path):
    with pytest.raises(
        CheckpointError, match=r"config\.yaml: expected the folder of a run, got none"
    ):
        resume(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_checkpoint_says_what_model_it_is_of(whole):
    assert read_progress(RunFolder(whole), print).info == read_info(whole)
