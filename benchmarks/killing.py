"""Kills `lcnet predict --format` again and again and counts the rows at the end.

    python -m benchmarks.killing --pictures 2000 --kills 10
    python -m benchmarks.killing --pictures 2000 --kills 10 --engine ray --worker_kills 10

Draws small pictures, some of them broken, makes a model with random weights and starts the command
in a separate process, which gets SIGKILL at a random moment: while it loads, reads, predicts or
writes. The same command then continues until the next kill; the last one may finish. Fails unless
each picture has exactly one row. Processes are forked from one that has imported torch, so that no
time is lost on imports. All that `lcnet predict` does happens in the killed process.

With --engine ray the command and all that Ray started for it are killed together. --worker_kills
kills Ray's workers while they work; the command itself goes on.
"""

import argparse
import collections
import contextlib
import multiprocessing
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

import lcnet.predicting.job  # noqa: F401  # once, before the forks
from lcnet import config
from lcnet.cli import main as lcnet_main
from lcnet.model.backbone import describe_backbone
from lcnet.model.build import build_model
from lcnet.model_folder import ModelFolder, ModelInfo
from lcnet.predicting.row_formats import FORMATS, read_rows

LABELS = ("red", "green", "blue")
SIDE = 32
BROKEN_EACH = 97
"""One picture of this many is broken."""
FORK = multiprocessing.get_context("fork")


def draw_pictures(folder: Path, count: int) -> None:
    """Draw small pictures of noise; one in `BROKEN_EACH` is no picture."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for place in range(count):
        file = folder / f"{place:05}.png"
        if place % BROKEN_EACH == BROKEN_EACH - 1:
            file.write_bytes(b"no picture")
        else:
            Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)).save(file)


def make_model(folder: Path) -> None:
    """Save a model with random weights."""
    settings = config.Model(
        backbone="test_resnet",
        pretrained=False,
        crop_level=1,
        view_size=SIDE,
        width=24,
        mlp_width=32,
    )
    spec = describe_backbone(settings.backbone, settings.view_size)
    model = build_model(settings, len(LABELS), spec=spec)
    ModelFolder(folder).save(model, ModelInfo(LABELS, settings, spec, (0.5,) * len(LABELS)))


def run_command(command: list[str]) -> None:
    """Run lcnet in the process that is killed, and drop what it prints."""
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        sys.stdout = sys.stderr = nowhere
        lcnet_main(command)


def kill_at_random(
    command: list[str], out: Path, parts: int, rng: random.Random, victims: int
) -> tuple[bool, int]:
    """Start the command and kill it after up to `parts` more files and 0.05 seconds.

    Before that up to `victims` workers are killed. Returns whether the command was still running
    when it was killed, and how many workers were killed.
    """
    wanted = len(list(out.glob("part-*"))) + rng.randint(0, parts)
    delay = rng.uniform(0, 0.05)
    process = FORK.Process(target=run_command, args=(command,))
    process.start()
    died = kill_workers(process, victims, rng) if victims else 0
    while process.is_alive() and len(list(out.glob("part-*"))) < wanted:
        time.sleep(0.002)
    process.join(delay)
    started = psutil.Process(process.pid).children(recursive=True) if process.is_alive() else []
    process.kill()
    process.join()
    wait_for(started)
    return process.exitcode == -9, died


def kill_workers(process: multiprocessing.Process, victims: int, rng: random.Random) -> int:
    """Kill up to `victims` of Ray's workers while they work, and return how many were killed."""
    died = 0
    while died < victims and process.is_alive():
        workers = working(process)
        time.sleep(rng.uniform(0, 0.2) if workers else 0.01)
        if not workers:
            continue
        with contextlib.suppress(psutil.NoSuchProcess):
            rng.choice(workers).kill()
            died += 1
    return died


def working(process: multiprocessing.Process) -> list[psutil.Process]:
    """Ray's workers that have loaded the model: Ray puts their current task into their name."""
    workers = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                name = " ".join(child.cmdline())
                if name.startswith("ray::MapWorker") and "__init__" not in name:
                    workers.append(child)
    return workers


def wait_for(started: list[psutil.Process]) -> None:
    """Wait until Ray has ended the processes of the killed command; kill those that are left."""
    _, left = psutil.wait_procs(started, timeout=8)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=10)


def main() -> None:
    """Kill, resume, count, and print a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--format", choices=list(FORMATS), default="jsonl")
    parser.add_argument("--engine", choices=["local", "ray"], default="local")
    parser.add_argument(
        "--worker_kills", type=int, default=0, help="kills of Ray's workers, in all"
    )
    parser.add_argument("--rows_per_file", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    given = parser.parse_args()
    rng = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as folder:
        pictures, model, out = (Path(folder, name) for name in ("pictures", "model", "out"))
        draw_pictures(pictures, given.pictures)
        # In a process of its own, so that no thread of torch's is running at the next fork.
        made = FORK.Process(target=make_model, args=(model,))
        made.start()
        made.join()
        command = ["predict", str(model), str(pictures), "--out", str(out), "--batch_size", "8"]
        command += ["--format", given.format, "--rows_per_file", str(given.rows_per_file)]
        command += ["--workers", "0", "--precision", "fp32", "--engine", given.engine]
        kept, died = [], 0
        for kill in range(given.kills):
            left = given.pictures // given.rows_per_file - len(list(out.glob("part-*")))
            victims = (given.worker_kills - died) // (given.kills - kill + 1)
            parts = left // (given.kills - kill + 1)
            worked, more = kill_at_random(command, out, parts, rng, victims)
            died += more
            if not worked:
                sys.exit(f"the command ended before kill {kill + 1}: take more --pictures")
            kept.append(len(list(out.glob(f"part-*.{given.format}"))))
        last = FORK.Process(target=run_command, args=(command,))
        last.start()
        died += kill_workers(last, given.worker_kills - died, rng)
        last.join()
        rows = [row for file in out.glob(f"part-*.{given.format}") for row in read_rows(file)]
        times = collections.Counter(image for image, _ in rows)
        unfinished = len(list(out.glob("*.part")))
        once = sum(number == 1 for number in times.values())
        broken = sum(not was_read for _, was_read in rows)
    expected = given.pictures // BROKEN_EACH
    print(
        f"{given.format}: {given.pictures:,} pictures, killed {given.kills} times with "
        f"{', '.join(map(str, kept))} files finished, and {died} workers: "
        f"{len(rows):,} rows, {once:,} pictures with exactly one, "
        f"{broken} of them broken, {unfinished} unfinished files, exit code {last.exitcode}"
    )
    whole = len(rows) == once == given.pictures and broken == expected and not unfinished
    sys.exit(0 if whole and last.exitcode == bool(expected) else 1)


if __name__ == "__main__":
    main()
