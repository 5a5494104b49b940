"""Counts how many of the labels that `lcnet check --model` suspects were flipped on purpose.

    python -m benchmarks.turned_labels runs/demo --split test

One label in a hundred of the split is flipped before the model judges, with several seeds.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from lcnet.checking.label_errors import wrong_entries
from lcnet.config import Config
from lcnet.data.dataset import UNKNOWN, ImageLabels
from lcnet.data.loading import eval_loader
from lcnet.data.readers import load_split_for
from lcnet.data.transforms import eval_transform
from lcnet.evaluating.measuring import predict_batches
from lcnet.model_folder import load_model, read_info

SHARE = 0.01


def main() -> None:
    """Print, for each seed, how many of the worst entries were flipped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="Run folder.")
    parser.add_argument("--split", required=True)
    parser.add_argument("--root", default="", help="Folder of the data set, if it has moved.")
    arguments = parser.parse_args()
    data, info = Config.load(arguments.run / "config.yaml").data, read_info(arguments.run)
    if arguments.root:
        data = replace(data, root=arguments.root)
    split = load_split_for(data, arguments.split, info.labels)
    pictures = ImageLabels(split, eval_transform(info.preprocessing))
    loader = eval_loader(pictures, batch_size=32, workers=data.workers)
    model = load_model(arguments.run)
    probabilities, targets = predict_batches(model, loader, info.preprocessing)
    for seed in range(5):
        drawn = np.random.default_rng(seed).random(targets.shape) < SHARE
        turned = drawn & (targets != UNKNOWN)
        given = np.where(turned, 1 - targets, targets).astype(np.int8)
        entries = wrong_entries(probabilities, given)
        hits = [bool(turned[entry.picture, entry.label]) for entry in entries]
        print(
            f"seed {seed}: {turned.sum()} flipped, {len(entries)} suspected; flipped among the "
            f"suspected: {sum(hits)}, among the worst 20: {sum(hits[:20])}, "
            f"among the worst 50: {sum(hits[:50])}"
        )


if __name__ == "__main__":
    main()
