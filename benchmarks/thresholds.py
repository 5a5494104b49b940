"""What fitted thresholds are worth: fitted to validation, measured on test, over finished runs.

    python -m benchmarks.thresholds runs/a runs/b runs/c

Does what `lcnet calibrate` does for the best F1 and writes nothing; where a run keeps a frozen
backbone's features, those are taken. A row per run: CF1 of the test split at 0.5 and at the fitted
thresholds, the cross-fitted estimate from validation, and how far it was off.
"""

import argparse
import statistics
from pathlib import Path

import numpy as np

from lcnet.calibration import to_probabilities
from lcnet.checkpoint import read_info
from lcnet.config import Config
from lcnet.crossfit import fit
from lcnet.data.readers import load_split_for
from lcnet.evaluate import score_split
from lcnet.metrics import predict_at, rates
from lcnet.thresholds import Goal


def scored(run: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits and targets (N L each) of a split of a run's data."""
    config, info = Config.load(run / "config.yaml"), read_info(run)
    samples = load_split_for(config.data, split, info.labels)
    return score_split(
        run, samples, info, config.data, config.train.batch, quiet=True, use_cache=True
    )


def measured(run: Path) -> tuple[float, float, float]:
    """CF1 of the test split at 0.5, at fitted thresholds, and as cross-fitting estimates it."""
    data = Config.load(run / "config.yaml").data
    fitted = fit(*scored(run, data.val), method="platt", goal=Goal())
    logits, targets = scored(run, data.test)
    plain = rates(predict_at(to_probabilities(logits), np.array(0.5)), targets)
    chosen = predict_at(
        to_probabilities(logits, fitted.calibration), np.array(fitted.thresholds.values)
    )
    return plain.CF1, rates(chosen, targets).CF1, fitted.expected.CF1


def main() -> None:
    """Measure each run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    rows = []
    print("| run | CF1 at 0.5 | fitted | cross-fitted estimate | off by |\n|---|---|---|---|---|")
    for run in parser.parse_args().runs:
        rows.append(row := measured(run))
        print(f"| {run} | {_cells(row)} |", flush=True)
    means = tuple(statistics.mean(column) for column in zip(*rows, strict=True))
    print(f"| mean | {_cells(means)} |")


def _cells(row: tuple[float, ...]) -> str:
    plain, fitted, estimate = row
    return f"{plain:.1f} | {fitted:.1f} | {estimate:.1f} | {estimate - fitted:+.1f}"


if __name__ == "__main__":
    main()
