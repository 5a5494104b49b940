"""Kills `lcnet train` again and again, resumes it, and compares it with an uninterrupted run.

    python -m benchmarks.kill_training --kills 20

Draws digits scenes and trains on them once without a break. Then it trains anew in a separate
process, which gets SIGKILL at a random moment: while it starts, trains, validates, saves or writes
the report. The next process is `lcnet train --resume RUN`, or the first command again if the run
folder did not exist yet. If a run ends before all kills are spent, the next run begins. Fails
unless each run ends with the same bytes: weights, averages, optimizer, history and metrics.

Processes are forked from one that has imported torch, so that no time is lost on imports. All that
`lcnet train` does happens in the killed process.
"""

import argparse
import csv
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

import lcnet.runs.run  # noqa: F401  # once, before the forks
from lcnet.cli import main as lcnet_main
from lcnet.data.readers import digits

FORK = multiprocessing.get_context("fork")
CLOCK = ("seconds", "data_wait", "images_per_s")
"""Columns of the history that say how long it took."""
SETTINGS = Path(__file__).parent.parent / "configs" / "digits.yaml"
LONGEST = 600.0
"""Seconds after which a process that should have ended counts as hung."""


def run_command(command: Sequence[str], log: Path) -> None:
    """Run lcnet in the process that is killed; its output goes to `log`."""
    with log.open("a", encoding="utf-8") as file:
        sys.stdout = sys.stderr = file
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        lcnet_main(list(command))


def start(command: Sequence[str], log: Path) -> multiprocessing.process.BaseProcess:
    """Start the command in a separate process."""
    process = FORK.Process(target=run_command, args=(command, log))
    process.start()
    return process


def command_for(run: Path, first: Sequence[str]) -> list[str]:
    """The command that continues a run, or starts it if there is nothing to continue."""
    if (run / "config.yaml").is_file():
        return ["train", "--resume", str(run)]
    return [*first, "--out", str(run)]


def phase(run: Path) -> str:
    """How far a run had come when it was killed."""
    if not (run / "config.yaml").is_file():
        return "before its folder was made"
    if not (run / "checkpoints" / "last.ckpt").is_file():
        return "before its first checkpoint"
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True, map_location="cpu")
    epochs, batches = state["epochs"], state["epoch"]["batches"]
    return f"after batch {batches} of epoch {epochs + 1}" if batches else f"after epoch {epochs}"


def differences(one: Path, other: Path) -> list[str]:
    """The names of what differs between two finished runs."""
    unlike = [
        name
        for name in ("model/model.safetensors", "model/model.json", "metrics.json")
        if (one / name).read_bytes() != (other / name).read_bytes()
    ]
    rows = []
    for run in (one, other):
        with (run / "history.csv").open(newline="", encoding="utf-8") as file:
            rows.append([{**row, **dict.fromkeys(CLOCK)} for row in csv.DictReader(file)])
    if rows[0] != rows[1]:
        unlike.append("history.csv")
    states = [
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True, map_location="cpu")
        for run in (one, other)
    ]
    for part in ("weights", "average", "average_steps", "optimizer", "schedule", "steps", "best"):
        if not alike(states[0].get(part), states[1].get(part)):
            unlike.append(f"{part} of last.ckpt")
    unlike += [f"{file} is left" for file in other.rglob("*.part")]
    return unlike


def alike(one: object, other: object) -> bool:
    """Whether two values are the same, bit by bit where they are tensors."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.shape == other.shape and one.dtype == other.dtype and bool(one.equal(other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return one == other


def main() -> None:
    """Train, kill, resume, compare, and print the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument(
        "--scenes", type=int, default=640, help="to train on; a quarter as many to validate"
    )
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--save_minutes", type=float, default=0.005)
    parser.add_argument(
        "--minutes", type=float, default=20, help="after which no more kills are made"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    given = parser.parse_args()
    rng, begun = random.Random(given.seed), time.monotonic()
    digits.SCENES |= {"train": given.scenes, "val": given.scenes // 4, "test": 1}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        first = ["train", "--config", str(SETTINGS), "--data.root", str(work / "digits")]
        for name, value in (
            ("epochs", given.epochs),
            ("batch_size", 16),
            ("save_minutes", given.save_minutes),
        ):
            first += [f"--train.{name}", str(value)]
        first += ["--data.workers", str(given.workers)]
        clock = time.monotonic()
        whole = start([*first, "--out", str(work / "whole")], work / "log")
        whole.join(LONGEST)
        seconds = time.monotonic() - clock
        if whole.exitcode:
            sys.exit(f"the uninterrupted run failed:\n{(work / 'log').read_text()[-2000:]}")
        print(f"uninterrupted: {seconds:.1f} s", flush=True)
        kills, runs = 0, 0
        while kills < given.kills and time.monotonic() - begun < 60 * given.minutes:
            runs += 1
            run, code = work / f"run{runs}", -9
            while code == -9:
                process = start(command_for(run, first), work / "log")
                late = kills == given.kills or time.monotonic() - begun >= 60 * given.minutes
                process.join(LONGEST if late else rng.uniform(0, 0.7 * seconds))
                process.kill()
                process.join()
                code = process.exitcode
                if code == -9:
                    kills += 1
                    print(f"kill {kills}: run {runs}, {phase(run)}", flush=True)
            if code:
                sys.exit(f"run {runs} ended with {code}:\n{(work / 'log').read_text()[-2000:]}")
            if unlike := differences(work / "whole", run):
                sys.exit(f"run {runs} differs from the uninterrupted run: {', '.join(unlike)}")
            print(f"run {runs}: the same bytes as the uninterrupted run", flush=True)
    took = time.monotonic() - begun
    print(f"{kills} kills in {runs} runs, each resumed, all the same: {took:.0f} s")
    sys.exit(0 if kills == given.kills else f"only {kills} kills in {given.minutes:g} minutes")


if __name__ == "__main__":
    main()
