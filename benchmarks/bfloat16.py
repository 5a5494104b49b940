"""What bfloat16 costs in mAP, F1 and labels, on the test splits of trained runs.

    python -m benchmarks.bfloat16 RUN... --pictures 1000

Each run is measured in float32 and in bfloat16, in the form that `lcnet predict` takes, with its
own calibration and thresholds. Prints a row per run. Without instructions for bfloat16 torch
emulates it: the numbers are those of the arithmetic all the same, only slowly.
"""

import argparse
from pathlib import Path

import numpy as np

from lcnet.compute import usual_device
from lcnet.data.dataset import Split, evenly
from lcnet.data.readers import load_split_for
from lcnet.evaluating.rounding import both_precisions, compared
from lcnet.metrics import Floats, Verification, verify
from lcnet.metrics.calibration import to_probabilities
from lcnet.model_folder import ModelInfo, for_data, load_model, read_info
from lcnet.run_folder import RunFolder

HEADER = (
    "run",
    "pictures",
    "mAP, float32",
    "bfloat16",
    "CF1, float32",
    "bfloat16",
    "largest change of a probability",
    "pictures with other labels",
    "labels changed, of 10,000",
)


def row(run: Path, most: int) -> list[str]:
    """The figures of one run."""
    config, device = RunFolder(run).config(), usual_device()
    info = for_data(read_info(run), config.data)
    whole = load_split_for(config.data, config.data.test, info.labels)
    samples: Split = whole.chosen(evenly(len(whole), most))
    logits = both_precisions(load_model(run), samples, info, config.data, device, quiet=True)
    changed = compared(*logits, info, device.type, samples.name)
    measured = [_measured(values, samples, info) for values in logits]
    flags = [
        to_probabilities(values, info.calibration) > np.float32(info.thresholds)
        for values in logits
    ]
    return [
        run.name,
        f"{len(samples):,}",
        *(f"{each.mAP:.3f}" for each in measured),
        *(f"{each.at_threshold.CF1:.2f}" for each in measured),
        f"{changed.largest:.4f}",
        f"{changed.relabelled:,}",
        f"{10_000 * (flags[0] != flags[1]).mean():.1f}",
    ]


def _measured(logits: Floats, samples: Split, info: ModelInfo) -> Verification:
    probabilities = to_probabilities(logits, info.calibration)
    return verify(
        probabilities, samples.targets, samples.labels, threshold=np.array(info.thresholds)
    )


def main() -> None:
    """Measure the runs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--pictures", type=int, default=1000, help="test pictures, at most")
    arguments = parser.parse_args()
    print("|", " | ".join(HEADER), "|")
    print("|---" * len(HEADER) + "|", flush=True)
    for run in arguments.runs:
        print("|", " | ".join(row(run, arguments.pictures)), "|", flush=True)


if __name__ == "__main__":
    main()
