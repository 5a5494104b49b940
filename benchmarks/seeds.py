"""Trains one recipe with several seeds and prints its mAP, as rows for docs/log/posters.md.

    python -m benchmarks.seeds --out runs/bench --seeds 0 1 2 -- --config configs/digits.yaml

The flags after `--` go to `lcnet train`. A finished seed is not trained again, so another recipe
needs another folder. `val` is the best epoch's mAP on validation, the split that it was picked on.
`last` is the last epoch's mAP there, picked on nothing. `test` is the best epoch's mAP on the test
split, if the config names one that is not the validation split.
"""

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

from lcnet.config import Config
from lcnet.evaluating.evaluate import evaluate
from lcnet.run_folder import RunFolder, seconds_of


def run_seed(run: Path, seed: int, flags: list[str]) -> dict[str, float]:
    """The numbers of one seed from its run folder; it is trained first if it is not finished."""
    if not (run / "metrics.json").is_file():
        command = [sys.executable, "-m", "lcnet", "train", *flags]
        command += ["--train.seed", str(seed), "--out", str(run), "--overwrite"]
        subprocess.run(command, check=True)
    rows = RunFolder(run).history()
    numbers = {
        "val": rows[-1]["best_mAP"],
        "last": rows[-1]["val_mAP"],
        "minutes": seconds_of(rows) / 60,
    }
    data = Config.load(run / "config.yaml").data
    if data.test and data.test != data.val:
        numbers["test"] = evaluate(run, quiet=True).mAP
    return numbers


def main() -> None:
    """Train every seed and print a row each, then mean and range."""
    cut = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    own, flags = sys.argv[1:cut], sys.argv[cut + 1 :]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args(own)
    results = {
        seed: run_seed(arguments.out / f"seed{seed}", seed, flags) for seed in arguments.seeds
    }
    names = list(next(iter(results.values())))
    print(f"\n| seed | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for seed, numbers in results.items():
        print(f"| {seed} | {' | '.join(f'{numbers[name]:.1f}' for name in names)} |")
    for title, summary in (("mean", statistics.mean), ("min", min), ("max", max)):
        columns = [summary([numbers[name] for numbers in results.values()]) for name in names]
        print(f"| {title} | {' | '.join(f'{value:.1f}' for value in columns)} |")


if __name__ == "__main__":
    main()
