"""Measure predictions that lcnet did not make: arrays, or CSV files of any other program.

    python examples/own_predictions.py [--probabilities FILE.csv --targets FILE.csv]

prints mAP, CF1 and OF1 with 95 % intervals, the AP of each label, and whether one set of
predictions is better than another. A few seconds. Both files have a column `image` and one per
label: probabilities from 0 to 1; targets 1, 0, or empty where nobody knows. Without files it makes
random ones. The CSV files of `lcnet predict --format csv` can be read so too.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from lcnet.metrics import Floats, Targets, intervals, paired_difference, verify


def read(probabilities: Path, targets: Path) -> tuple[list[str], Floats, Targets]:
    """The labels, and both files as N x L arrays in the same order of pictures and labels."""
    truth = pd.read_csv(targets, index_col="image")
    predicted = pd.read_csv(probabilities, index_col="image").loc[truth.index, truth.columns]
    known = truth.fillna(-1).to_numpy(np.int8)  # -1: unknown, left out of every number
    return list(truth.columns), predicted.to_numpy(np.float32), known


def invent(pictures: int = 300, labels: int = 5) -> tuple[list[str], Floats, Targets]:
    """Random targets, and probabilities that are right more often than not."""
    rng = np.random.default_rng(0)
    targets = rng.choice([1, 0, -1], size=(pictures, labels), p=[0.3, 0.6, 0.1]).astype(np.int8)
    logits = np.where(targets == 1, 1.0, -1.0) + rng.normal(size=targets.shape)
    names = [f"label_{number}" for number in range(labels)]
    return names, (1 / (1 + np.exp(-logits))).astype(np.float32), targets


def main(probabilities: Path | None, targets: Path | None, resamples: int) -> None:
    """Print what the predictions are worth."""
    if (probabilities is None) != (targets is None):
        raise SystemExit("expected --probabilities and --targets, got one of them")
    given = read(probabilities, targets) if probabilities and targets else invent()
    labels, predicted, known = given

    measured = verify(predicted, known, labels, threshold=0.5)
    ranges = intervals(predicted, known, threshold=0.5, resamples=resamples)
    for name, one in ranges.items():
        print(f"{name} {one.value:.1f} ({one.low:.1f} to {one.high:.1f})")
    for label, ap in zip(measured.labels, measured.ap, strict=True):
        print(f"AP {label}: {'no positive' if ap is None else f'{ap:.1f}'}")
    print(f"ECE {measured.calibration.ECE:.1f}, example F1 {measured.by_image.example_F1:.1f}")

    blurred = predicted.round(1)  # stands for the predictions of a second model
    gain = paired_difference([predicted], [blurred], known, resamples=resamples)
    print(f"mAP above rounded predictions: {gain.value:.2f} ({gain.low:.2f} to {gain.high:.2f})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--probabilities", type=Path)
    parser.add_argument("--targets", type=Path)
    parser.add_argument("--resamples", type=int, default=1000)
    main(**vars(parser.parse_args()))
