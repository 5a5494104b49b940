"""Training in several processes, over gloo on the CPU: two of them against one."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import pytest
import torch
from tests.alike import assert_alike
from tests.conftest import colours_config, draw_colours
from torch import nn

from lcnet.config import Config, Train
from lcnet.data.loading import SeededSampler, StreamSampler, train_loader
from lcnet.errors import ConfigError
from lcnet.run_folder import RunFolder
from lcnet.runs.memory import USUAL_BATCH, Memory, fitting_batch
from lcnet.runs.run import _check_processes
from lcnet.runs.train import train
from lcnet.training.checkpoints import read_progress
from lcnet.training.engine import check_machine, with_shared_norms
from lcnet.training.losses import asymmetric_loss, known_entries

EPOCHS = 7
"""With three steps each."""


@pytest.mark.parametrize("shares", [None, np.linspace(1, 3, 25)])
def test_processes_share_the_draws_of_one(shares):
    whole = SeededSampler(25, 3, shares)
    parts = [SeededSampler(25, 3, shares, rank=rank, processes=3) for rank in range(3)]
    for epoch in (0, 1):
        for sampler in (whole, *parts):
            sampler.start(epoch)
        found = [list(part) for part in parts]
        assert [len(draws) for draws in found] == [8, 8, 8] == [len(part) for part in parts]
        assert [draw for step in zip(*found, strict=True) for draw in step] == list(whole)[:24]


@pytest.mark.parametrize("processes", [1, 3])
def test_a_resumed_epoch_leaves_out_a_process_s_own_draws(processes):
    kinds = [
        partial(SeededSampler, 25, 3),
        partial(StreamSampler, np.array([10, 8, 7]), 3, window=4),
    ]
    for kind in kinds:
        for rank in range(processes):
            sampler, resumed = (kind(rank=rank, processes=processes) for _ in range(2))
            for epoch, done in ((1, 5), (2, 0)):
                sampler.start(epoch)
                resumed.start(epoch, done)
                assert list(resumed) == list(sampler)[done:] == list(resumed.own())[done:]
                assert len(list(sampler)) == len(sampler) == len(resumed)


def test_too_few_pictures_for_all_devices_are_refused():
    pictures = torch.utils.data.TensorDataset(torch.zeros(9))
    with pytest.raises(ConfigError, match=r"at most 4 .* on 2 devices, got 5") as error:
        train_loader(pictures, batch_size=5, workers=0, seed=0, processes=2)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("unknown_weight", [0.0, 0.3])
def test_the_mean_of_the_processes_losses_is_that_of_all_images(unknown_weight):
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 5, generator=random)
    targets = torch.randint(-1, 2, (6, 5), generator=random)
    targets[:3] = targets[:3].clamp(min=0)  # so that the halves do not know equally many
    halves = list(zip(logits.split(3), targets.split(3), strict=True))
    entries = sum(known_entries(own, unknown_weight) for _, own in halves) / 2
    losses = [
        asymmetric_loss(*half, unknown_weight=unknown_weight, entries=entries) for half in halves
    ]
    whole = asymmetric_loss(logits, targets, unknown_weight=unknown_weight)
    torch.testing.assert_close(sum(losses) / 2, whole)


def test_an_automatic_batch_is_shared_by_the_devices():
    memory = Memory(weights=0, picture=1, chunk=0, free=10**9)
    recipe = fitting_batch(Train(batch_size="auto", devices=4, nodes=2), memory)
    assert recipe.batch * recipe.processes * recipe.accumulate == USUAL_BATCH


def test_shared_norms_keep_weights_and_activations():
    from timm.layers import BatchNormAct2d, SyncBatchNormAct

    model = nn.Sequential(BatchNormAct2d(3), nn.BatchNorm2d(3)).eval()
    images = torch.randn(2, 3, 4, 4)
    before, weights = model(images), model.state_dict()
    shared = with_shared_norms(model, Train(devices=2, sync_batchnorm=True))
    assert isinstance(shared[0], SyncBatchNormAct)
    assert isinstance(shared[1], nn.SyncBatchNorm)
    assert shared.state_dict().keys() == weights.keys()
    torch.testing.assert_close(shared(images), before)
    assert (before[:, 0] >= 0).any()
    alone = nn.Sequential(nn.BatchNorm2d(3))
    assert with_shared_norms(alone, Train(sync_batchnorm=True)) is alone


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is an accelerator here")
@pytest.mark.parametrize("settings", [{"precision": "fp16"}, {"sync_batchnorm": True}])
def test_what_needs_an_accelerator_says_so(settings):
    with pytest.raises(ConfigError, match=r"needs .*accelerator"):
        check_machine(Train(devices=2, **settings))


@pytest.mark.parametrize(
    ("environment", "settings", "message"),
    [
        (
            {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "4", "RANK": "0", "LOCAL_RANK": "0"},
            {},
            "expected 4 processes in all, as torchrun has started, got 1 x 1",
        ),
        (
            {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "4", "RANK": "0", "LOCAL_RANK": "0"},
            {"devices": 2},
            "expected 4 processes in all, as torchrun has started, got 2 x 1",
        ),
        ({}, {"nodes": 2}, "expected torchrun or srun"),
    ],
)
def test_a_start_that_does_not_fit_is_named(
    tiny_config, tmp_path, monkeypatch, environment, settings, message
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    config = replace(tiny_config, train=replace(tiny_config.train, **settings))
    with pytest.raises(ConfigError, match=message) as error:
        train(config, tmp_path / "run")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


# Two processes


@contextmanager
def lcnet(
    *arguments: str, module: str = "lcnet", **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own, which is ended with those that it starts."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
            process.wait()


def rows(run: Path) -> list[dict[str, str]]:
    file = run / "history.csv"
    if not file.is_file():
        return []
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


def shared_recipe(config: Config) -> Config:
    """A recipe whose result does not hang on how the pictures are shared: without batch norm, whose
    statistics are a process's own, and without dropout, which is another in each."""
    return replace(
        config,
        model=replace(config.model, backbone="test_convnext", view_size=64, dropout=0.0),
        train=replace(config.train, epochs=EPOCHS, batch_size=8, randaugment=9, cutout=0.5),
    )


@pytest.fixture
def known_in_part(tmp_path):
    """Leaves every fifth cell of the training table empty."""

    def leave_out() -> None:
        table = tmp_path / "colours" / "train.csv"
        header, *lines = (line.split(",") for line in table.read_text().splitlines())
        for place, row in enumerate(lines):
            row[1 + place % 3] = "" if place % 2 else row[1 + place % 3]
        table.write_text("\n".join(",".join(row) for row in (header, *lines)))

    return leave_out


def test_two_processes_learn_what_one_learns_even_if_one_of_them_dies(
    tiny_config, tmp_path, known_in_part, read_json
):
    known_in_part()
    config = shared_recipe(tiny_config)
    one = train(config, tmp_path / "one").path
    both = replace(config, train=replace(config.train, devices=2, batch_size=4, timeout_s=60.0))
    both.save(tmp_path / "both.yaml")
    two = tmp_path / "two"

    with lcnet("train", "--config", str(tmp_path / "both.yaml"), "--out", str(two)) as process:
        while len(rows(two)) < 2:
            time.sleep(0.01)
            assert process.poll() is None, process.communicate()
        killed = time.monotonic()
        workers(process)[1].send_signal(signal.SIGKILL)
        printed, said = process.communicate(timeout=60)
        assert time.monotonic() - killed < 60
    assert process.returncode == 1
    assert len(said.strip().splitlines()) == 1, said
    assert f"Continue from its last checkpoint with: lcnet train --resume {two}" in said
    assert 2 <= len(rows(two)) < EPOCHS
    assert printed.count("epoch 1/7") == 1  # by the first process alone

    resumed = shared(config, tmp_path, resume=two)
    assert resumed.codes == [0, 0], resumed.said
    for first, second in zip(rows(one), rows(two), strict=True):
        assert float(first["train_loss"]) == pytest.approx(float(second["train_loss"]), abs=2e-6)
        assert first["val_mAP"] == second["val_mAP"]
    measured = [read_json(run / "metrics.json") | {"model": ""} for run in (one, two)]
    assert measured[0] == measured[1]
    ends = [torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (one, two)]
    assert ends[0]["steps"] == ends[1]["steps"] == 3 * EPOCHS
    for part in ("weights", "average"):
        for name, weight in ends[0][part].items():
            # A softmax does not feel its keys' bias: its gradient is rounding, which Adam enlarges.
            if not name.endswith(".key.bias"):
                torch.testing.assert_close(
                    weight, ends[1][part][name], atol=1e-5, rtol=0, msg=f"{part} {name}"
                )


def train_in_two(config: Config, folder: Path, *, epochs: int) -> tuple[str, ...]:
    """The command of a training in two processes, of so many epochs of three steps."""
    recipe = replace(config.train, epochs=epochs, devices=2, batch_size=4)
    replace(config, train=recipe).save(folder / "both.yaml")
    return ("train", "--config", str(folder / "both.yaml"), "--out", str(folder / "two"))


def workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes of a training that this one has started, by rank."""
    started = psutil.Process(process.pid).children()
    return sorted(
        (one for one in started if "spawn_main" in " ".join(one.cmdline())),
        key=psutil.Process.create_time,
    )


def is_running(pid: int) -> bool:
    """Whether a process has not ended; one that nobody has asked for its exit code has."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# What is decided together, and who writes


class Trained(NamedTuple):
    """What a training in two processes has left."""

    run: Path
    codes: list[int]
    said: str
    printed: str
    """Without its spaces and line ends."""
    changes: list[list[str]]
    """Of the files in the run folder, by process."""


def shared(config: Config, folder: Path, *events: dict[str, object], resume: Path | None = None):
    """A training in two processes, at whose steps something happens."""
    run, notes = resume or folder / "two", folder / "notes"
    notes.mkdir(exist_ok=True, parents=True)
    config.save(folder / "config.yaml")
    start = ["--config", str(folder / "config.yaml"), "--out", str(run)]
    with lcnet(
        "train",
        *(["--resume", str(run)] if resume else start),
        module="tests.shared_training",
        HAPPENS=json.dumps(events),
        NOTES=str(notes),
        WATCHED=str(run),
    ) as process:
        printed, said = process.communicate(timeout=300)
    left = [json.loads((notes / f"{rank}.json").read_text()) for rank in (0, 1)]
    assert left[0]["code"] == process.returncode, said
    codes, changes = ([one[name] for one in left] for name in ("code", "changes"))
    return Trained(run, codes, said.strip(), "".join(printed.split()), changes)


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Config:
    """Two epochs of six batches in each of two processes, two of which make a step."""
    config = colours_config(draw_colours(tmp_path_factory.mktemp("data") / "colours"))
    recipe = replace(config.train, devices=2, batch_size=2, accumulate=2, randaugment=9)
    return replace(config, train=recipe)


@pytest.fixture(scope="module")
def whole(pair, tmp_path_factory) -> Trained:
    """The training that nothing happened to."""
    return shared(pair, tmp_path_factory.mktemp("whole"))


def test_the_first_process_alone_writes(whole):
    assert whole.codes == [0, 0]
    assert whole.said == ""
    written = {path.name for path in whole.run.iterdir()}
    assert written >= {".lock", "config.yaml", "run.json", "fingerprints.json.gz", "history.csv"}
    assert written >= {"model", "checkpoints", "metrics.json", "report.html", "logs"}
    assert len(whole.changes[0]) > len(written)  # the watch sees what it is to see
    assert whole.changes[1] == []


@pytest.mark.parametrize(
    "ranks",
    [
        pytest.param((0,), marks=pytest.mark.slow),
        (1,),
        pytest.param((0, 1), marks=pytest.mark.slow),
    ],
)
def test_sigterm_to_any_process_saves_and_stops_all_and_the_run_ends_alike(
    pair, whole, tmp_path, ranks
):
    events = [{"what": "SIGTERM", "rank": rank, "epoch": 1, "batch": 2} for rank in ranks]
    cut = shared(pair, tmp_path, *events)
    assert cut.codes == [143, 143]
    assert len(cut.said.splitlines()) == 1, cut.said
    assert "stopped by SIGTERM in epoch 2, batch 4, which is saved" in cut.said
    assert f"Continue with: lcnet train --resume {cut.run}" in cut.said
    assert cut.changes[1] == []
    again = shared(pair, tmp_path, resume=cut.run)
    assert again.codes == [0, 0], again.said
    assert "continuingfromepoch2,batch4" in again.printed
    assert again.changes[1] == []
    assert_alike(whole.run, cut.run)


@pytest.mark.slow  # the mix that goes on is tested in one process, and two that go on above
def test_processes_mix_their_own_batches_and_go_on_alike(pair, tmp_path):
    mixes = {"mixup": 0.4, "cutmix": 1.0, "splicemix": 0.5, "best_by": "loss"}
    config = replace(pair, train=replace(pair.train, **mixes))
    whole = shared(config, tmp_path / "whole")
    assert whole.codes == [0, 0], whole.said
    stop = {"what": "SIGTERM", "rank": 1, "epoch": 1, "batch": 2, "unless": "resumed"}
    cut = shared(config, tmp_path / "cut", stop)
    assert cut.codes == [143, 143], cut.said
    resumed = shared(config, tmp_path / "cut", stop, resume=cut.run)
    assert resumed.codes == [0, 0], resumed.said
    assert_alike(whole.run, resumed.run)


@pytest.mark.slow  # what is decided together is tested above, and such a step in one process
def test_a_step_that_is_not_finite_in_one_process_is_skipped_in_all(pair, tmp_path):
    root = draw_colours(tmp_path / "colours")
    for name in ("train3.png", "val2.png"):
        (root / "images" / name).write_bytes(b"\x89PNG broken")
    data = replace(pair.data, root=str(root), broken="skip")
    done = shared(
        replace(pair, data=data), tmp_path, {"what": "nan", "rank": 1, "epoch": 0, "batch": 3}
    )
    assert done.codes == [0, 0], done.said
    assert [row["skipped"] for row in rows(done.run)] == ["1", "0"]
    assert [row["broken"] for row in rows(done.run)] == ["2", "2"]  # whoever came upon them
    assert all(float(row["train_loss"]) > 0 for row in rows(done.run))
    sampler = SeededSampler(24, pair.train.seed, rank=1, processes=2)
    of_other = [str(root / f"images/train{draw.index}.png") for draw in list(sampler)[6:8]]
    assert f"isnotfinite({','.join(of_other)})" in done.printed
    state = torch.load(done.run / "checkpoints" / "last.ckpt")
    for part in ("weights", "average"):
        assert all(t.isfinite().all() for t in state[part].values() if t.is_floating_point())


def test_a_broken_off_epoch_goes_on_with_as_many_processes_only(pair, whole, tmp_path):
    progress = read_progress(RunFolder(whole.run), print)
    assert progress.processes == 2
    amid = replace(progress, state=deepcopy(progress.state))
    amid.state["epoch"]["batches"], amid.state["epochs"] = 6, 1
    with pytest.raises(ConfigError, match=r"expected 2 processes in all, as .* epoch 2, .* got 1"):
        _check_processes(amid, replace(pair.train, devices=1))
    _check_processes(amid, pair.train)
    _check_processes(progress, replace(pair.train, devices=1))  # its epochs are whole


@pytest.mark.slow
@pytest.mark.parametrize("who", ["first", "other"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_that_dies_or_hangs_ends_the_others(tiny_config, tmp_path, who, how):
    run = tmp_path / "two"
    with lcnet(*train_in_two(tiny_config, tmp_path, epochs=2000)) as process:
        while not (run / "checkpoints" / "last.ckpt").is_file():
            time.sleep(0.01)
            assert process.poll() is None, process.communicate()
        hit, left = workers(process) if who == "first" else reversed(workers(process))
        sent = time.monotonic()
        hit.send_signal(how)
        while is_running(left.pid):
            assert time.monotonic() - sent < 60
            time.sleep(0.1)
        took = time.monotonic() - sent
        with suppress(psutil.NoSuchProcess):
            hit.kill()
        _, said = process.communicate(timeout=30)
    print(f"{who}, {how.name}: {took:.1f} s")
    assert f"Continue from its last checkpoint with: lcnet train --resume {run}" in said
    assert len(said.strip().splitlines()) == 1, said
    torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.mark.slow  # a process that dies is tested above, and so is going on
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_that_dies_or_hangs_is_replaced_and_the_run_ends_alike(
    pair, whole, tmp_path, how
):
    recipe = replace(pair.train, restarts=1, save_minutes=1e-9)
    event = {"what": how.name, "rank": 1, "epoch": 1, "batch": 3, "unless": "resumed"}
    done = shared(replace(pair, train=recipe), tmp_path, event)
    assert done.codes == [0, 0], done.said
    assert "process2of2wasendedbySIGKILL.Restart1of1." in done.printed
    assert_alike(whole.run, done.run)


@pytest.mark.slow  # three processes that import torch, for one line
def test_an_error_is_no_reason_to_start_again(pair, tmp_path):
    root = draw_colours(tmp_path / "colours")
    (root / "images" / "train3.png").write_bytes(b"\x89PNG broken")
    config = replace(
        pair, data=replace(pair.data, root=str(root)), train=replace(pair.train, restarts=3)
    )
    config.save(tmp_path / "config.yaml")
    run = tmp_path / "run"
    with lcnet(
        *("train", "--config", str(tmp_path / "config.yaml"), "--out", str(run)),
        module="tests.shared_training",
        HAPPENS="[]",
        NOTES=str(tmp_path),
        WATCHED=str(run),
    ) as process:
        printed, said = process.communicate(timeout=300)
    assert (process.returncode, len(said.strip().splitlines())) == (1, 1), said
    assert "train3.png" in said
    assert "Restart" not in printed
    assert not run.exists()


@pytest.mark.slow  # six processes that import torch, for a strategy that needs many devices
def test_shared_weights_learn_what_whole_ones_learn(tiny_config, tmp_path):
    config = shared_recipe(tiny_config)
    runs = []
    for strategy in ("ddp", "fsdp"):
        recipe = replace(config.train, epochs=2, devices=2, batch_size=4, strategy=strategy)
        replace(config, train=recipe).save(tmp_path / f"{strategy}.yaml")
        runs.append(tmp_path / strategy)
        command = ("train", "--config", f"{runs[-1]}.yaml", "--out", str(runs[-1]))
        with lcnet(*command) as process:
            _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
    ends = [torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in runs]
    for part in ("weights", "average"):
        assert ends[0][part].keys() == ends[1][part].keys()
        for name, weight in ends[0][part].items():
            if not name.endswith(".key.bias"):  # its gradient is rounding, which Adam enlarges
                torch.testing.assert_close(
                    weight, ends[1][part][name], atol=1e-5, rtol=0, msg=f"{part} {name}"
                )
    assert rows(runs[0])[1]["val_mAP"] == rows(runs[1])[1]["val_mAP"]


@pytest.mark.slow
def test_torchrun_starts_the_processes_too(tiny_config, tmp_path):
    config = shared_recipe(tiny_config)
    one = train(config, tmp_path / "one").path
    launcher = ["torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "lcnet"]
    done = subprocess.run(
        [sys.executable, "-m", *launcher, *train_in_two(config, tmp_path, epochs=EPOCHS)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    for first, second in zip(rows(one), rows(tmp_path / "two"), strict=True):
        assert float(first["train_loss"]) == pytest.approx(float(second["train_loss"]), abs=2e-6)
        assert first["val_mAP"] == second["val_mAP"]


@pytest.mark.slow
def test_a_broken_picture_in_one_process_is_told_once(tiny_config, tmp_path):
    (tmp_path / "colours" / "images" / "train3.png").write_bytes(b"\x89PNG broken")
    with lcnet(*train_in_two(tiny_config, tmp_path, epochs=2)) as process:
        _, said = process.communicate(timeout=300)
    assert process.returncode == 1
    assert len(said.strip().splitlines()) == 1, said
    assert "train3.png" in said
    assert not (tmp_path / "two").exists()
