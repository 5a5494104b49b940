"""What folds give: the mean of their models against each of them, and against one run, on test.

    python -m benchmarks.folds --config my.yaml --out runs/folds --seeds 0 1 2

The config names a training, a validation and a test split. For each seed a run is trained as usual,
and a folder of folds, whose models each see (K - 1) / K of the training and validation pictures.
A finished training is not repeated and an interrupted one goes on. Each line says how much better
the mean of the models is on the test split, with a 95 % interval over its pictures (bootstrap, all
seeds together) and the gain in each seed. `best of them` is the model that is best on the test
split itself, which nobody can choose; `best in validation` can be.
"""

import argparse
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np

from lcnet.config import Config
from lcnet.evaluating.measuring import score
from lcnet.metrics.bootstrap import mean_ap, paired_difference
from lcnet.metrics.calibration import to_probabilities
from lcnet.run_folder import RunFolder
from lcnet.runs.train import resume, train


def trained(config: Config, out: Path, folds: int) -> RunFolder:
    """A finished run, or a finished folder of folds."""
    run = RunFolder(out)
    if run.is_run or run.has_folds:
        return resume(out)
    return train(config, out, folds=folds)


def scored_logits(run: RunFolder, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits and targets (N x L each) on the test split, from kept features if there are any."""
    scored = score(run.path, split=split, use_cache=True, quiet=True)
    return scored.logits, scored.targets


def main() -> None:
    """Train what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folds", type=int, default=5)
    given = parser.parse_args()
    config = Config.load(given.config)
    test = config.data.test
    kinds: dict[str, list[np.ndarray]] = {}
    targets = np.empty(0)
    for seed in given.seeds:
        own = replace(config, train=replace(config.train, seed=seed))
        single = trained(own, given.out / f"single{seed}", 0)
        several = trained(own, given.out / f"folds{seed}", given.folds)
        alone, targets = scored_logits(single, test)
        # A label's calibration keeps the order of its pictures, and so its AP.
        each = [scored_logits(fold, test)[0] for fold in several.folds()]
        whole = np.mean(each, axis=0)  # as the folder's model computes it
        scores = [mean_ap(to_probabilities(one), targets) for one in each]
        in_validation = [fold.history()[-1]["best_mAP"] for fold in several.folds()]
        found = {
            "mean of the folds' models": whole,
            "one run": alone,
            "a fold's model, best in validation": each[int(np.argmax(in_validation))],
            "a fold's model, best of them on test": each[int(np.argmax(scores))],
        }
        for name, values in found.items():
            kinds.setdefault(name, []).append(to_probabilities(values))
    ours, *others = kinds
    print("| | test mAP, mean of seeds | gain of the mean (95 %, over pictures) | each seed |")
    print("|---|---|---|---|")
    of_ours = [mean_ap(one, targets) for one in kinds[ours]]
    print(f"| {ours} | {statistics.mean(of_ours):.2f} | | |")
    for name in others:
        scores = [mean_ap(one, targets) for one in kinds[name]]
        gain = paired_difference(kinds[ours], kinds[name], targets).as_difference
        seeds = ", ".join(f"{a - b:+.2f}" for a, b in zip(of_ours, scores, strict=True))
        print(f"| {name} | {statistics.mean(scores):.2f} | {gain} | {seeds} |", flush=True)


if __name__ == "__main__":
    main()
