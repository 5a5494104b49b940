"""What each flag of the training recipe gives: test mAP against the same recipe without it.

    python -m benchmarks.recipe_flags --config my.yaml --out runs/flags --seeds 0 1 2

The config names a test split and leaves the measured flags out. `--only none mixup` measures some.
A finished run is not trained again and an interrupted one goes on, so the command can be given
again until all is done, also with more seeds; a run is then looked up in --out by flag and seed.

`gain` is a flag's test mAP minus that of `none`, on the same pictures and seeds: the mean over the
seeds, with a 95 % interval over the test pictures (bootstrap) and one over the seeds (Student's t,
from two seeds on). CF1 is at probability 0.5, uncalibrated.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student

from lcnet.config import Config
from lcnet.data.readers import load_split
from lcnet.evaluating.measuring import score_split
from lcnet.files import written_whole
from lcnet.metrics import predict_at, rates
from lcnet.metrics.bootstrap import mean_ap, paired_difference
from lcnet.metrics.calibration import to_probabilities
from lcnet.model_folder import read_info
from lcnet.run_folder import RunFolder, seconds_of
from lcnet.runs.many_runs import Run, RunQueue

NONE = "none"
FLAGS: Mapping[str, Mapping[str, Any]] = {
    NONE: {},
    "mixup": {"train.mixup": 0.2},
    "cutmix": {"train.cutmix": 1.0},
    "splicemix": {"train.splicemix": 0.25},
    "label_smoothing": {"train.label_smoothing": 0.1},
    "vertical_flip": {"train.vertical_flip": True},
    "rotation": {"train.rotation": 15.0},
    "best_by_CF1": {"train.best_by": "CF1"},
    "best_by_loss": {"train.best_by": "loss"},
}
"""The settings of each measured flag."""


def runs_of(config: Config, name: str, seeds: Sequence[int], out: Path) -> list[Run]:
    """A run per seed with a flag's settings."""
    changed = config.changed(FLAGS[name], name)
    return [
        Run(
            f"{name}, seed {seed}",
            replace(changed, train=replace(changed.train, seed=seed)),
            RunFolder(out / name / f"seed{seed}"),
        )
        for seed in seeds
    ]


def predictions(run: RunFolder) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and targets (N x L each) on the test split; they are kept in the run."""
    file = run.test_predictions_file
    if not file.is_file():
        config, info = run.config(), read_info(run.path)
        split = load_split(config.data, config.data.test, info.labels)
        logits, targets = score_split(
            run.path, split, info, config.data, config.train.batch, quiet=True
        )
        with written_whole(file) as unfinished, unfinished.open("wb") as opened:
            np.savez_compressed(opened, probabilities=to_probabilities(logits), targets=targets)
    with np.load(file) as kept:
        return kept["probabilities"], kept["targets"]


def over_seeds(gains: Sequence[float]) -> str:
    """The 95 % interval of the mean gain over seeds; a dash from a single one."""
    if len(gains) < 2:
        return "-"
    error = statistics.stdev(gains) / len(gains) ** 0.5
    half = float(student.ppf(0.975, len(gains) - 1)) * error
    mean = statistics.mean(gains)
    return f"{mean - half:+.2f} to {mean + half:+.2f}"


def row(name: str, runs: Sequence[Run], usual: Sequence[Run]) -> str:
    """A line of the table."""
    ours, theirs = ([predictions(run.folder) for run in of] for of in (runs, usual))
    targets = ours[0][1]
    of_seeds = [mean_ap(values, targets) for values, _ in ours]
    cf1 = statistics.mean(rates(predict_at(values, 0.5), targets).CF1 for values, _ in ours)
    minutes = statistics.mean(seconds_of(run.folder.history()) for run in runs)
    gain = pictures = seeds = ""
    if name != NONE:
        paired = paired_difference([p for p, _ in ours], [p for p, _ in theirs], targets)
        gain, pictures = f"{paired.value:+.2f}", f"{paired.low:+.2f} to {paired.high:+.2f}"
        before = [mean_ap(values, targets) for values, _ in theirs]
        seeds = over_seeds([ours - theirs for ours, theirs in zip(of_seeds, before, strict=True)])
    cells = (
        name,
        f"{statistics.mean(of_seeds):.2f}",
        gain,
        pictures,
        seeds,
        f"{cf1:.1f}",
        f"{minutes / 60:.1f}",
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Train what is missing, flag by flag, and print the table after each of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True, help="settings that all have")
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=list(FLAGS), default=list(FLAGS))
    given = parser.parse_args()
    config = Config.load(given.config)
    names = [NONE, *(name for name in given.only if name != NONE)]
    runs = {name: runs_of(config, name, given.seeds, given.out) for name in names}
    queue = RunQueue(len(names) * len(given.seeds))
    lines = [
        f"| flag | mAP ({len(given.seeds)} seeds) | gain | over pictures | over seeds | CF1 | "
        "minutes |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in names:
        queue.train(runs[name])
        lines.append(row(name, runs[name], runs[NONE]))
        print("\n".join(lines), flush=True)


if __name__ == "__main__":
    main()
