"""Wrong labels made on purpose, and how many of them the first questions of `lcnet label` find.

    python -m benchmarks.label_errors RUN TABLE --share 0.05 --seeds 0 1 2

Of the cells of TABLE a share is turned, drawn by each seed. A desk of `lcnet label RUN TURNED
--correct` then asks, and whoever answers knows TABLE. N is the number of turned cells: a random
order finds the same share of them in N questions as was turned. `until none is left`: all cells
that are worth a look. `--write FOLDER` keeps the turned tables, `seed0.csv` and so on, and asks
nothing: to train on. `--read FOLDER` asks about them in place of other draws.
"""

import argparse
import csv
import tempfile
from pathlib import Path

import numpy as np

from lcnet.model_folder import read_info
from lcnet.predicting.known_table import KnownTable
from lcnet.serving.labelling.desk import Desk, open_desk

Turned = list[bool]
"""Of each question in turn: whether its cell was turned."""


def write_turned(file: Path, known: KnownTable, share: float, seed: int) -> None:
    """Write a table of the same pictures with a share of the filled cells turned."""
    rng = np.random.default_rng(seed)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["image", *known.labels])
        for path, states in known.pictures():
            turns = (rng.random(len(known.labels)) < share).tolist()
            cells = [states.get(label) for label in known.labels]
            row = [
                "" if cell is None else int(cell != turn)
                for cell, turn in zip(cells, turns, strict=True)
            ]
            writer.writerow([path, *row])


def turned_cells(desk: Desk, known: KnownTable) -> int:
    """How many cells of the desk's table are not as the right table has them."""
    return sum(
        known_there[label] != state
        for path, known_there in known.pictures()
        for label, state in desk.answers.of(path).items()
    )


def asked_in_turn(desk: Desk, known: KnownTable) -> Turned:
    """Answer all questions about given labels as the right table says, from the first to the last.

    Blank cells are left alone.
    """
    truth, found = dict(known.pictures()), []
    for number in range(len(desk.paths)):
        desk.view(number)  # the network looks at every picture before the first question
    while (view := desk.open_next("one"))["picture"] is not None and view["doubtful"]:
        number = view["picture"]
        right = truth[desk.paths[number]]
        while view["doubtful"]:
            place = next(label for label in view["questions"] if view["states"][label] is not None)
            label, given = desk.labels[place], view["states"][place]
            found.append(right[label] != given)
            view = desk.answer("one", number, {label: (given, right[label])})
    return found


def main() -> None:
    """Turn cells, answer and print a row for each seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--write", type=Path, help="folder for turned tables; nothing is asked")
    parser.add_argument("--read", type=Path, help="folder of turned tables")
    given = parser.parse_args()
    known = KnownTable(given.table, read_info(given.run).labels, quiet=True)
    rows = ["| seed | turned (N) | found in N questions | until none is left: questions | found |"]
    rows.append("|---|---|---|---|---|")
    for seed in given.seeds:
        with tempfile.TemporaryDirectory() as folder:
            table = (given.write or given.read or Path(folder)) / f"seed{seed}.csv"
            if not given.read:
                write_turned(table, known, given.share, seed)
            if given.write:
                continue
            out = Path(folder, "corrected.csv")
            desk = open_desk(given.run, table, out, annotator="", batch_size=16, correct=True)
            turned, found = turned_cells(desk, known), asked_in_turn(desk, known)
        first, every = sum(found[:turned]) / turned, sum(found) / turned
        rows.append(f"| {seed} | {turned:,} | {first:.1%} | {len(found):,} | {every:.1%} |")
    if not given.write:
        print("\n".join(rows))


if __name__ == "__main__":
    main()
