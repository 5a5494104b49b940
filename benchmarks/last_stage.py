"""What it gives that the backbone's last stage learns too, once a head has learned alone.

    python -m benchmarks.last_stage runs/real/coco18-mobilenetv2_100_in1k --out runs/last_stage

RUNS is the folder of a comparison of heads on a frozen backbone, such as `benchmarks.real` makes.
From each run of its table another one starts, with the settings of `lcnet train --minutes`
(`LAST_STAGE` in runs/planning/recipes.py), the same for all heads. A finished run is not repeated.
OUT/last_stage.md has the table; its first row is compared with the rest.
"""

import argparse
import json
import statistics
from pathlib import Path

from lcnet.files import write_text
from lcnet.freed_memory import keep_freed_memory
from lcnet.metrics.bootstrap import mean_ap, paired_difference
from lcnet.run_folder import RunFolder, seconds_of
from lcnet.runs.comparison import folder_of, predictions_of_test
from lcnet.runs.many_runs import Run, RunQueue
from lcnet.runs.planning.recipes import LAST_STAGE


def trained_on(comparison: Path, out: Path, name: str, lr: float, seed: int) -> Run:
    """The run in which the last stage learns too, from the comparison's run of the head alone."""
    head = folder_of(comparison, name, lr, seed)
    config = head.config().changed(LAST_STAGE)
    return Run(f"{name}, seed {seed}", config, folder_of(out, name, lr, seed), init=head)


def main() -> None:
    """Train the last stage from each run of a comparison, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", help="names in the table; the first is compared")
    parser.add_argument("--seeds", type=int, nargs="+", help="all of the comparison's")
    given = parser.parse_args()
    keep_freed_memory()
    stored = json.loads((given.runs / "comparison.json").read_text())
    rates = {row["name"]: row["lr"] for row in stored["rows"]}
    names, seeds = given.only or list(rates), given.seeds or stored["seeds"]
    queue = RunQueue(len(names) * len(seeds))
    heads: dict[str, list[RunFolder]] = {name: [] for name in names}
    tuned: dict[str, list[RunFolder]] = {name: [] for name in names}
    for seed in seeds:  # so that a part of the seeds is there for all heads
        runs = [trained_on(given.runs, given.out, name, rates[name], seed) for name in names]
        queue.train(runs)
        for name, run in zip(names, runs, strict=True):
            heads[name].append(folder_of(given.runs, name, rates[name], seed))
            tuned[name].append(run.folder)
        write_text(given.out / "last_stage.md", table(heads, tuned) + "\n")
    print((given.out / "last_stage.md").read_text())


def table(heads: dict[str, list[RunFolder]], tuned: dict[str, list[RunFolder]]) -> str:
    """The rows as a markdown table; the first is compared with the rest."""
    first, count = next(iter(tuned)), len(next(iter(tuned.values())))
    lines = [
        f"| | head alone, test mAP, mean of {count} seeds | with the last stage | "
        f"lowest to highest | it gives (95 %) | {first} minus this (95 %) | minutes more |",
        "|---|---|---|---|---|---|---|",
    ]
    found = {name: [predictions_of_test(run) for run in runs] for name, runs in tuned.items()}
    of_first = [probabilities for probabilities, _ in found[first]]
    for name, runs in tuned.items():
        after = [probabilities for probabilities, _ in found[name]]
        before = [predictions_of_test(run)[0] for run in heads[name]]
        targets = found[name][0][1]
        reached = [mean_ap(probabilities, targets) for probabilities in after]
        alone = statistics.mean(mean_ap(probabilities, targets) for probabilities in before)
        gain = paired_difference(after, before, targets).as_difference
        ahead = ""
        if name != first:
            ahead = paired_difference(of_first, after, targets).as_difference
        minutes = statistics.mean(seconds_of(run.history()) for run in runs) / 60
        lines.append(
            f"| {name} | {alone:.2f} | {statistics.mean(reached):.2f} | {min(reached):.2f} to "
            f"{max(reached):.2f} | {gain} | {ahead} | {minutes:.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
