"""What test-time augmentation gives: test mAP with each way of seeing a picture, and without any.

    python -m benchmarks.test_time runs/a/seed0 runs/a/seed1 runs/a/seed2 --ways mirror zoom

The runs have other seeds and the same rest. `gain` is the mAP with the ways minus that without, on
the same pictures and runs: the mean over the runs, a 95 % interval over the test pictures
(bootstrap), and the gain of each run.
"""

import argparse
from pathlib import Path

import numpy as np

from lcnet.evaluating.measuring import measure
from lcnet.evaluating.test_time_gain import times_the_time
from lcnet.metrics.bootstrap import mean_ap, paired_difference
from lcnet.run_folder import RunFolder


def probabilities(runs: list[Path], ways: tuple[str, ...]) -> tuple[list[np.ndarray], np.ndarray]:
    """Probabilities of each run on its test split (N x L), and the targets."""
    measured = [
        measure(run, split=RunFolder(run).config().data.test, ways=ways, quiet=True) for run in runs
    ]
    return [one.probabilities for one in measured], measured[0].targets


def main() -> None:
    """Measure each way alone and all together, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--ways", nargs="+", default=["mirror", "zoom"])
    given = parser.parse_args()
    plain, targets = probabilities(given.runs, ())
    before = [mean_ap(one, targets) for one in plain]
    print("| ways | mAP | gain (95 %, over pictures) | each run | times the time |")
    print("|---|---|---|---|---|")
    print(f"| none | {np.mean(before):.2f} | | | 1 |", flush=True)
    tried = [(way,) for way in given.ways]
    if len(tried) > 1:
        tried.append(tuple(given.ways))
    for ways in tried:
        ours, _ = probabilities(given.runs, ways)
        after = [mean_ap(one, targets) for one in ours]
        gain = paired_difference(ours, plain, targets).as_difference
        each = ", ".join(f"{a - b:+.2f}" for a, b in zip(after, before, strict=True))
        print(
            f"| {', '.join(ways)} | {np.mean(after):.2f} | {gain} | {each} | "
            f"{times_the_time(given.runs[0], ways):.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
