"""Hides training labels at random and compares the ways of `--train.unknown` to treat them.

    python -m benchmarks.hidden_labels --out runs/hidden --hide 0.5 0.9 --seeds 0 1 2 -- \
      --config configs/digits.yaml

The flags after `--` go to `lcnet train` and name the data. `--hide 0.5` makes half of the entries
of the training split unknown at random, whether present or absent. `--hide single` keeps one
present label of each picture and hides all others, so that pictures without a label teach nothing.
Validation and test stay as they are. The same seed hides the same entries for every treatment.
`seen` is training with all labels. Finished runs are not repeated. The table has the mean, lowest
and highest mAP over seeds, on the test split.
"""

import argparse
import csv
import statistics
import sys
from pathlib import Path

import numpy as np

from benchmarks.seeds import run_seed
from lcnet.cli.verbs import VERBS
from lcnet.config import Data
from lcnet.data.dataset import POSITIVE, UNKNOWN, Split
from lcnet.data.readers import load_split
from lcnet.files import written_whole

TREATMENTS = {
    "unknown left out": ["--train.unknown", "ignore"],
    "unknown weighted 1 / (labels - 1)": ["--train.unknown", "weighted"],
    "unknown assumed absent": ["--train.unknown", "negative"],
    "unknown assumed absent, large losses left out": ["--train.unknown", "reject_large_losses"],
}


def hidden(targets: np.ndarray, how: str, seed: int) -> np.ndarray:
    """The targets (N L) with a share of the entries unknown, or all but one present per picture."""
    rng = np.random.default_rng(seed)
    chance = rng.random(targets.shape)
    if how != "single":
        return np.where(chance < float(how), UNKNOWN, targets)
    kept = np.where(targets == POSITIVE, chance, -1).argmax(axis=1)[:, None]
    is_kept = (np.arange(targets.shape[1]) == kept) & (targets == POSITIVE)
    return np.where(is_kept, targets, UNKNOWN)


def write_table(file: Path, split: Split, targets: np.ndarray) -> None:
    """A table of the split's pictures, by their absolute paths, with the given targets."""
    with written_whole(file) as unfinished, unfinished.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["image", *split.labels])
        for sample, row in zip(split.samples, targets.tolist(), strict=True):
            writer.writerow([sample.path.resolve(), *row])


def data_of(flags: list[str]) -> Data:
    """The data set that the flags of `lcnet train` describe."""
    parser = VERBS["train"].parser()
    return parser.instantiate(parser.parse_args(flags))["data"]


def main() -> None:
    """Write the tables, train every treatment with every seed and print a row each."""
    cut = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    own, flags = sys.argv[1:cut], sys.argv[cut + 1 :]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for tables and runs")
    parser.add_argument(
        "--hide", nargs="+", default=["0.5", "0.9"], help="shares to hide, or single"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args(own)
    data, tables = data_of(flags), arguments.out / "tables"
    training = load_split(data, data.train)
    for name, split in (("val", data.val), ("test", data.test)):
        measured = load_split(data, split, training.labels)
        write_table(tables / f"{name}.csv", measured, measured.targets)
    rows: dict[tuple[str, str], list[dict[str, float]]] = {}
    for seed in arguments.seeds:
        for how in ["0", *arguments.hide]:
            table = f"train-{how}-seed{seed}.csv"
            write_table(tables / table, training, hidden(training.targets, how, seed))
            for name, setting in TREATMENTS.items():
                if how == "0" and name != "unknown left out":
                    continue  # nothing is unknown
                if how == "single" and name == "unknown left out":
                    continue  # refused: nothing is known to be absent
                run = arguments.out / "runs" / how / setting[1] / f"seed{seed}"
                paths = ["--data.format", "table", "--data.root", str(tables)]
                paths += ["--data.train", table, "--data.val", "val.csv", "--data.test", "test.csv"]
                title = "seen" if how == "0" else name
                rows.setdefault((how, title), []).append(
                    run_seed(run, seed, [*flags, *paths, *setting])
                )
    print("\n| hidden | training | test mAP | lowest to highest |\n|---|---|---|---|")
    for (how, name), numbers in rows.items():
        tested = [seed["test"] for seed in numbers]
        print(
            f"| {how} | {name} | {statistics.mean(tested):.1f} | "
            f"{min(tested):.1f} to {max(tested):.1f} |"
        )


if __name__ == "__main__":
    main()
