"""Times `lcnet split` and compares it with a random split, for docs/log/checking.md.

    python -m benchmarks.splitting --rows 100000 --labels 20

The labels are drawn with shares from 50 % to 0.1 % and three hidden causes that correlate them.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from lcnet.data.split import split
from lcnet.data.splitting import stratify

SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}


def draw(rows: int, labels: int) -> np.ndarray:
    """True where a row shows a label (rows x labels)."""
    rng = np.random.default_rng(0)
    share = np.geomspace(0.5, 0.001, labels)
    cause = rng.normal(size=(rows, 3)) @ rng.normal(size=(3, labels)) * 0.6
    return rng.random((rows, labels)) < 1 / (1 + np.exp(-np.log(share / (1 - share)) - cause))


def deviation(present: np.ndarray, part_of: np.ndarray) -> str:
    """The largest deviation of a label's share from the whole, in points and relative."""
    whole = present.mean(axis=0)
    own = np.array([present[part_of == part].mean(axis=0) for part in range(len(SHARES))])
    points, relative = np.abs(own - whole).max(), np.abs(own / whole - 1).max()
    return f"{100 * points:.3f} points, {100 * relative:.1f} % of the label's share"


def main() -> None:
    """Print times and deviations."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--labels", type=int, default=20)
    arguments = parser.parse_args()
    present, shares = draw(arguments.rows, arguments.labels), list(SHARES.values())
    started = time.perf_counter()
    part_of = stratify(present, shares, 0)
    print(f"stratified in {time.perf_counter() - started:.1f} s: {deviation(present, part_of)}")
    drawn = np.random.default_rng(0).choice(len(SHARES), size=len(present), p=shares)
    print(f"at random: {deviation(present, drawn)}")
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "labels.csv"
        lines = [f"{place}.jpg,{','.join(map(str, row))}" for place, row in enumerate(present * 1)]
        header = ",".join(["image", *(f"label {place}" for place in range(arguments.labels))])
        table.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        started = time.perf_counter()
        split(table, shares=SHARES, quiet=True)
        print(f"read, split and written in {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
