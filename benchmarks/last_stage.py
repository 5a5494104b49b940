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
from dataclasses import asdict
from pathlib import Path

from lcnet.config import Config
from lcnet.files import write_text
from lcnet.freed_memory import keep_freed_memory
from lcnet.metrics.bootstrap import mean_ap, paired_difference
from lcnet.run_folder import RunFolder, seconds_of
from lcnet.runs.comparison import predictions_of_test
from lcnet.runs.planning.recipes import LAST_STAGE
from lcnet.runs.train import resume, train


def trained_on(head: RunFolder, run: RunFolder) -> RunFolder:
    """The run in which the last stage learns too, from a run of the head alone."""
    if run.has_checkpoint:
        return resume(run.path)
    config = Config.load(head.config_file).changed(LAST_STAGE)
    return train(config, run.path, init=head.path, overwrite=run.path.exists())


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
    tuned = dict[str, list[RunFolder]]()
    heads = dict[str, list[RunFolder]]()
    for seed in seeds:  # so that a part of the seeds is there for all heads
        for name in names:
            place = Path("runs", name.replace("/", "_"), f"lr{rates[name]:.3g}", f"seed{seed}")
            head, run = RunFolder(given.runs / place), RunFolder(given.out / place)
            heads.setdefault(name, []).append(head)
            tuned.setdefault(name, []).append(trained_on(head, run))
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
        gain = "{:+.2f} ({:+.2f} to {:+.2f})".format(
            *asdict(paired_difference(after, before, targets)).values()
        )
        ahead = ""
        if name != first:
            difference = asdict(paired_difference(of_first, after, targets))
            ahead = "{:+.2f} ({:+.2f} to {:+.2f})".format(*difference.values())
        minutes = statistics.mean(seconds_of(run.history()) for run in runs) / 60
        lines.append(
            f"| {name} | {alone:.2f} | {statistics.mean(reached):.2f} | {min(reached):.2f} to "
            f"{max(reached):.2f} | {gain} | {ahead} | {minutes:.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
