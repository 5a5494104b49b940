"""Processor time and memory of reading label files: many rows, and many names.

python -m benchmarks.label_files   # a million rows of 80 columns, 10,000 rows of 20,000 names
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def write_columns(folder: Path, rows: int, columns: int) -> None:
    """A table of label columns with 1, 0 and blank, and an empty file for each picture."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    with (folder / "train.csv").open("w") as table:
        table.write(f"image,{','.join(f'label {number}' for number in range(columns))}\n")
        for first in range(0, rows, 10_000):
            count = min(10_000, rows - first)
            cells = rng.choice(["0", "1", ""], p=[0.8, 0.15, 0.05], size=(count, columns))
            for number, row in enumerate(cells.tolist(), start=first):
                table.write(f"images/{number:07}.jpg,{','.join(row)}\n")
                (folder / "images" / f"{number:07}.jpg").touch()


def write_names(folder: Path, rows: int, names: int) -> None:
    """A table with a column of names: each name stands in some rows, 14 to a row."""
    order = np.random.default_rng(0).permutation(names)
    (folder / "images").mkdir()
    with (folder / "train.csv").open("w") as table:
        table.write("image,labels\n")
        for number in range(rows):
            listed = (f"name{order[(14 * number + place) % names]}" for place in range(14))
            table.write(f"images/{number}.jpg,{'|'.join(listed)}\n")
            (folder / "images" / f"{number}.jpg").touch()


def read(folder: Path) -> dict[str, float]:
    """Rows, labels, seconds of processor time and MiB above the imports."""
    from lcnet.config import Data
    from lcnet.data.readers import load_split

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    split = load_split(Data(format="table", root=str(folder), train="train.csv"), "train.csv")
    seconds = time.process_time() - start
    used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"rows": len(split), "labels": len(split.labels), "seconds": seconds, "MiB": used}


def main() -> None:
    """Write the two tables, read each in a process of its own, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--read", type=Path, help="read the table in this folder")
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    if arguments.read:
        print(json.dumps(read(arguments.read)))
        return
    with tempfile.TemporaryDirectory() as made:
        for name, write, sizes in (
            ("columns", write_columns, (arguments.rows, 80)),
            ("names", write_names, (10_000, 20_000)),
        ):
            folder = Path(made, name)
            folder.mkdir()
            write(folder, *sizes)
            command = [sys.executable, "-m", "benchmarks.label_files", "--read", str(folder)]
            taken = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
            print(
                f"{name}: {taken['rows']:,} rows, {taken['labels']:,} labels: "
                f"{taken['seconds']:.1f} s of processor time, {taken['MiB']:.0f} MiB"
            )


if __name__ == "__main__":
    main()
