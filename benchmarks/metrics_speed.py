"""Times metrics at COCO's size, against scikit-learn's loop over labels in the same run.

    python -m benchmarks.metrics_speed

The mAP is timed for smaller splits too, like those of resampling and validation. Prints the rows of
docs/log/speed.md, each the best of `--repeats`. Exit code 1 if the mAP is not 10 times faster than
scikit-learn's, or differs from it by more than 1e-9.
"""

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np
from sklearn.metrics import average_precision_score

from lcnet.metrics import average_precision, verify
from lcnet.metrics.bootstrap import intervals

LABELS_PER_IMAGE = 2.9
"""As in COCO's val2014."""
SMALLER = ((500, 10), (5_000, 20))
"""Images and labels of the smaller splits."""


def drawn(images: int, labels: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (float32) and targets (int8) of a good model; labels are unevenly frequent."""
    rng = np.random.default_rng(0)
    share = LABELS_PER_IMAGE * rng.dirichlet(np.full(labels, 0.5))
    targets = (rng.random((images, labels)) < share).astype(np.int8)
    logits = rng.normal(-3, 1.5, size=targets.shape) + 3 * targets
    return (1 / (1 + np.exp(-logits))).astype(np.float32), targets


def scikit_learn(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """The mAP, 0 to 1, over labels with a positive, by a loop over labels."""
    values = [
        average_precision_score(targets[:, label], probabilities[:, label])
        for label in range(targets.shape[1])
        if targets[:, label].any()
    ]
    return float(np.mean(values))


def seconds(work: Callable[[], object], repeats: int) -> float:
    """The shortest of several times."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def compare_map(images: int, labels: int, repeats: int) -> bool:
    """Print the times of both for the mAP, and return whether ours is 10 times faster and equal."""
    split = drawn(images, labels)
    ours = float(np.nanmean(average_precision(*split)))
    apart = abs(ours - scikit_learn(*split))
    own = seconds(lambda: average_precision(*split), repeats)
    loop = seconds(lambda: scikit_learn(*split), repeats)
    print(
        f"| {images:,} x {labels} | {1e3 * loop:.2f} | {1e3 * own:.2f} | {loop / own:.1f} "
        f"| {apart:.0e} |"
    )
    return loop >= 10 * own and apart <= 1e-9


def main() -> None:
    """Measure, print the table and check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=40_504)
    parser.add_argument("--labels", type=int, default=80)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    probabilities, targets = drawn(arguments.images, arguments.labels)
    names = [str(label) for label in range(arguments.labels)]

    print("| images x labels | mAP by scikit-learn, ms | here, ms | times faster | apart |")
    print("|---|---|---|---|---|")
    smaller = [compare_map(*size, repeats=20 * arguments.repeats) for size in SMALLER]
    is_met = compare_map(arguments.images, arguments.labels, arguments.repeats)
    everything = seconds(lambda: verify(probabilities, targets, names), arguments.repeats)
    ranges = seconds(lambda: intervals(probabilities, targets, threshold=0.5, resamples=20), 1)
    print(f"\n| {arguments.images:,} images x {arguments.labels} labels | seconds |\n|---|---|")
    print(f"| all metrics (`verify`) | {everything:.2f} |")
    print(f"| 95 % intervals of mAP, CF1 and OF1, 1,000 resamples | {50 * ranges:.0f} |")
    if not (is_met and all(smaller)):
        sys.exit("expected the mAP to be 10 times faster than scikit-learn's and equal to 1e-9")


if __name__ == "__main__":
    main()
