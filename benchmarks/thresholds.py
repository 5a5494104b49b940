"""Measures fitted thresholds of finished runs: fitted to validation, measured on test.

    python -m benchmarks.thresholds runs/a runs/b runs/c

Does the same as `lcnet calibrate` for the best F1, but writes nothing. If a run has cached features
of a frozen backbone, they are used. Prints three rows per run, for CF1, OF1 and the mean F1 of
labels: on the test split at 0.5 and at the fitted thresholds, the cross-fitted estimate from
validation, and its error.
"""

import argparse
from pathlib import Path

import numpy as np

from lcnet.config import Config
from lcnet.data.readers import load_split_for
from lcnet.evaluating.measuring import score_split
from lcnet.metrics import Rates, predict_at, rates
from lcnet.metrics.calibration import to_probabilities
from lcnet.metrics.crossfit import fit
from lcnet.metrics.thresholds import Goal
from lcnet.model_folder import read_info

RATES = ("CF1", "OF1", "mean_label_F1")


def scored(run: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits and targets (N L each) of a split of a run's data."""
    config, info = Config.load(run / "config.yaml"), read_info(run)
    samples = load_split_for(config.data, split, info.labels)
    return score_split(
        run, samples, info, config.data, config.train.batch, quiet=True, use_cache=True
    )


def measured(run: Path) -> tuple[Rates, Rates, Rates]:
    """Rates on the test split at 0.5 and at fitted thresholds, and the cross-fitted estimate."""
    data = Config.load(run / "config.yaml").data
    fitted = fit(*scored(run, data.val), method="platt", goal=Goal(), shrinkage=1)
    logits, targets = scored(run, data.test)
    plain = predict_at(to_probabilities(logits), np.array(0.5))
    chosen = predict_at(
        to_probabilities(logits, fitted.calibration), np.array(fitted.thresholds.values)
    )
    return rates(plain, targets), rates(chosen, targets), fitted.expected


def main() -> None:
    """Measure each run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    rows = []
    print("| run | rate | at 0.5 | fitted | cross-fitted estimate | off by |")
    print("|---|---|---|---|---|---|")
    for run in parser.parse_args().runs:
        three = measured(run)
        rows.append([tuple(getattr(each, rate) for each in three) for rate in RATES])
        _print(str(run), rows[-1])
    means = np.mean(rows, axis=0)
    _print("mean", [tuple(row) for row in means])


def _print(name: str, rows: list[tuple[float, ...]]) -> None:
    for rate, (plain, fitted, estimate) in zip(RATES, rows, strict=True):
        cells = f"{plain:.1f} | {fitted:.1f} | {estimate:.1f} | {estimate - fitted:+.1f}"
        print(f"| {name} | {rate} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
