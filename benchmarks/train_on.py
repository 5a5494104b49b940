"""Trains a digits model of nine labels on to ten, and compares it with one that began with ten.

    python -m benchmarks.train_on --out runs/train_on --scenes 800 --epochs 6 -- \
      --config configs/digits.yaml

The flags after `--` go to `lcnet train`. `nine` is trained without the digit 9, `ten` with all ten
digits, and `on` from `nine` with all ten in half as many epochs. Finished runs are not repeated.
Prints test mAP, and the validation mAP of the nine old labels in `nine` and in the model that `on`
starts with, before its first step.
"""

import argparse
import csv
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import numpy as np

from lcnet.data.dataset import POSITIVE, Split
from lcnet.data.readers.digits import LABELS, SCENES, draw_digits, read_digits
from lcnet.evaluating.evaluate import evaluate
from lcnet.files import written_whole
from lcnet.model_folder import ModelFolder
from lcnet.run_folder import RunFolder
from lcnet.runs.start import prepare
from lcnet.runs.training_on import ALL

*OLD, NEW = LABELS


def write_table(file: Path, split: Split, labels: Sequence[str]) -> None:
    """A table of the split's pictures with a column for each of some labels."""
    columns = [split.labels.index(label) for label in labels]
    with written_whole(file) as unfinished, unfinished.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["image", *(f"digit {label}" for label in labels)])
        for sample, row in zip(split.samples, split.targets[:, columns], strict=True):
            writer.writerow([sample.path.resolve(), *(row == POSITIVE).astype(np.int8).tolist()])


def write_tables(out: Path, scenes: int) -> None:
    """Draw the scenes and write nine/ and ten/, with train.csv, val.csv and test.csv in each."""
    measured = min(scenes, SCENES["val"])
    draw_digits(out / "digits", train=scenes, val=measured, test=min(2 * scenes, SCENES["test"]))
    for split in SCENES:
        for name, labels in (("nine", OLD), ("ten", LABELS)):
            (out / name).mkdir(exist_ok=True)
            write_table(out / name / f"{split}.csv", read_digits(out / "digits", split), labels)


def train(run: Path, data: Path, flags: list[str]) -> RunFolder:
    """A run on the tables of a folder; a finished one is left as it is."""
    if not (run / "metrics.json").is_file():
        command = [sys.executable, "-m", "lcnet", "train", str(data / "train.csv"), *flags]
        command += ["--data.val", "val.csv", "--data.test", "test.csv"]
        subprocess.run([*command, "--out", str(run), "--overwrite"], check=True)
    return RunFolder(run)


def start_of(run: RunFolder, init: RunFolder) -> Path:
    """The folder of the model that a run began with, before its first step."""
    folder, config = run.path / "start", run.config()
    start = prepare(config, init.path, given=ALL)
    ModelFolder(folder).save(start.model, start.info)
    return folder


def old_mean_ap(model: Path, run: RunFolder) -> float:
    """The mAP of the nine old labels of a model, on the validation split of a run."""
    out = run.path / "old.json"
    measured = evaluate(model, split="val.csv", data=run.config().data, out=out, quiet=True)
    found = dict(zip(measured.labels, measured.ap, strict=True))
    return fmean(ap for label, ap in found.items() if ap is not None and label != f"digit {NEW}")


def main() -> None:
    """Write the tables, train the three runs and print what came out."""
    cut = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    own, flags = sys.argv[1:cut], sys.argv[cut + 1 :]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for tables and runs")
    parser.add_argument("--scenes", type=int, default=SCENES["train"], help="training scenes")
    parser.add_argument("--epochs", type=int, default=6, help="epochs of `nine` and `ten`")
    given = parser.parse_args(own)
    write_tables(given.out, given.scenes)
    runs, whole = given.out / "runs", [*flags, "--train.epochs", str(given.epochs)]
    nine = train(runs / "nine", given.out / "nine", whole)
    half = ["--train.epochs", str(given.epochs // 2), "--init", str(nine)]
    on = train(runs / "on", given.out / "ten", [*flags, *half])
    ten = train(runs / "ten", given.out / "ten", whole)
    before = old_mean_ap(nine.path, nine)
    print("\n| run | epochs | validation mAP by epoch | test mAP |\n|---|---|---|---|")
    for name, run in (("nine", nine), ("ten", ten), ("on", on)):
        rows, tested = run.history(), evaluate(run.path, quiet=True).mAP
        series = ", ".join(f"{row['val_mAP']:.1f}" for row in rows)
        print(f"| {name} | {int(rows[-1]['epoch'])} | {series} | {tested:.2f} |")
    print(
        f"\nold labels on validation: {before:.3f} in nine, "
        f"{old_mean_ap(start_of(on, nine), on):.3f} in the start of on, "
        f"{old_mean_ap(on.path, on):.3f} in on"
    )


if __name__ == "__main__":
    main()
