"""How heads do with rare labels: mean AP of labels with few training pictures.

    python -m benchmarks.rare_labels runs/real/corel260-mobilenetv2_100_in1k --most 20

Reads the test predictions that `lcnet compare` or `make bench-real` left; trains nothing. Each
contestant has the learning rate that the comparison chose. Intervals are of the first contestant
minus each other, over the test pictures.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from benchmarks.timing import print_row
from lcnet.metrics.bootstrap import mean_ap, paired_difference
from lcnet.model_folder import read_info
from lcnet.runs.comparison import folder_of


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("comparison", type=Path, help="the folder of a comparison")
    parser.add_argument("--most", type=int, default=20, help="training pictures of a rare label")
    given = parser.parse_args()
    stored = json.loads((given.comparison / "comparison.json").read_text())
    runs = {
        row["name"]: [
            folder_of(given.comparison, row["name"], row["lr"], seed).test_predictions_file
            for seed in stored["seeds"]
        ]
        for row in stored["rows"]
    }
    first = next(iter(runs.values()))
    statistics = read_info(first[0].parent).statistics
    assert statistics is not None
    positives = np.array(statistics.positives)
    targets = np.load(first[0])["targets"]
    rare = (positives > 0) & (positives <= given.most) & (targets == 1).any(axis=0)
    kept = {
        name: [np.load(file)["probabilities"][:, rare] for file in files]
        for name, files in runs.items()
    }
    truth = targets[:, rare]
    print(f"{rare.sum()} labels of at most {given.most} training pictures, with one in the test\n")
    print_row("", "mAP of them", "lowest to highest", "the first minus this (95 %)")
    print_row("---", "---", "---", "---")
    ours = next(iter(kept.values()))
    for name, theirs in kept.items():
        values = [mean_ap(one, truth) for one in theirs]
        apart = "" if theirs is ours else paired_difference(ours, theirs, truth).as_difference
        print_row(name, f"{np.mean(values):.2f}", f"{min(values):.2f} to {max(values):.2f}", apart)


if __name__ == "__main__":
    main()
