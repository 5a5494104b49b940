"""Measures `lcnet evaluate` on files of predictions of many rows: processor time and peak memory.

    python -m benchmarks.rows --out FOLDER [--rows 1000 10000] [--formats parquet csv jsonl npz]

Makes each file, measures it by the command in a process of its own, and removes it. The numbers
are made up: probabilities of fair predictions, rounded to 10 bits so that ten million rows fit on a
small disk. JSON Lines have no targets, so their truth is a label table beside them. Prints the rows
of docs/guide/rows.md.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from lcnet.freed_memory import VARIABLES

BLOCK = 20_000
"""Rows that are made at a time."""
SHARE = 0.04
"""The share of labels that are present."""
Block = tuple[list[str], NDArray[np.float32], NDArray[np.int8]]


def blocks(rows: int, labels: int) -> Iterator[Block]:
    """Names, probabilities and targets of made-up pictures."""
    rng = np.random.default_rng(0)
    for first in range(0, rows, BLOCK):
        count = min(BLOCK, rows - first)
        targets = (rng.random((count, labels), np.float32) < SHARE).astype(np.int8)
        logits = 1.5 * rng.standard_normal((count, labels), np.float32) + 3 * targets - 3
        names = [
            f"train/{number // 1000:05}/{number:08}.jpg" for number in range(first, first + count)
        ]
        yield names, np.round(expit(logits) * 1024) / np.float32(1024), targets


def write_parquet(file: Path, rows: int, labels: int) -> list[Path]:
    """Columns of float32, as `lcnet evaluate --predictions` writes them."""
    import pyarrow
    from pyarrow import parquet

    names = [
        f"{kind}:label {place}" for kind in ("target", "probability") for place in range(labels)
    ]
    types = [pyarrow.int8()] * labels + [pyarrow.float32()] * labels
    fields = list(zip(names, types, strict=True))
    schema = pyarrow.schema([("picture", pyarrow.string()), *fields])
    with parquet.ParquetWriter(file, schema) as writer:
        for pictures, probabilities, targets in blocks(rows, labels):
            columns = [pyarrow.array(pictures)]
            columns += [pyarrow.array(one) for one in (*targets.T.copy(), *probabilities.T.copy())]
            writer.write_table(pyarrow.Table.from_arrays(columns, schema=schema))
    return [file]


def write_csv(file: Path, rows: int, labels: int) -> list[Path]:
    """Columns of targets and probabilities."""
    names = [
        f"{kind}:label {place}" for kind in ("target", "probability") for place in range(labels)
    ]
    pattern = ",".join(["%s", *["%d"] * labels, *["%.9g"] * labels]) + "\n"
    with file.open("w", encoding="utf-8") as text:
        text.write(",".join(["picture", *names]) + "\n")
        for pictures, probabilities, targets in blocks(rows, labels):
            numbers = zip(pictures, targets.tolist(), probabilities.tolist(), strict=True)
            text.writelines(pattern % (name, *ours, *theirs) for name, ours, theirs in numbers)
    return [file]


def write_jsonl(file: Path, rows: int, labels: int) -> list[Path]:
    """Rows of `lcnet predict`, and a label table."""
    names = [f"label {place}" for place in range(labels)]
    pattern = '{"image": "%s", "probabilities": {'
    pattern += ", ".join(f'"{name}": %.9g' for name in names) + "}}\n"
    truth = file.with_suffix(".labels.csv")
    with ExitStack() as stack:
        lines, table = (
            stack.enter_context(one.open("w", encoding="utf-8")) for one in (file, truth)
        )
        table.write(",".join(["picture", *names]) + "\n")
        for pictures, probabilities, targets in blocks(rows, labels):
            numbers = zip(pictures, probabilities.tolist(), targets.tolist(), strict=True)
            for name, ours, theirs in numbers:
                lines.write(pattern % (name, *ours))
                table.write(f"{name},{','.join(map(str, theirs))}\n")
    return [file, truth]


def write_npz(file: Path, rows: int, labels: int) -> list[Path]:
    """Arrays; they are made in memory."""
    pictures, probabilities, targets = zip(*blocks(rows, labels), strict=True)
    np.savez_compressed(
        file,
        pictures=np.concatenate(pictures),
        labels=np.array([f"label {place}" for place in range(labels)]),
        probabilities=np.concatenate(probabilities),
        targets=np.concatenate(targets),
    )
    return [file]


WRITERS: dict[str, Callable[[Path, int, int], list[Path]]] = {
    "parquet": write_parquet,
    "csv": write_csv,
    "jsonl": write_jsonl,
    "npz": write_npz,
}


def measured(command: list[str]) -> tuple[float, float]:
    """Processor seconds and peak MiB of a process of its own, as a user has it.

    Raises CalledProcessError if it fails.
    """
    own = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=own)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise subprocess.CalledProcessError(os.waitstatus_to_exitcode(status), command)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    """Print a row for each format and number of rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    parser.add_argument("--rows", type=int, nargs="+", default=[10**3, 10**4, 10**5, 10**6])
    parser.add_argument("--labels", type=int, default=80)
    parser.add_argument("--formats", nargs="+", choices=list(WRITERS), default=list(WRITERS))
    parser.add_argument("--intervals", action="store_true")
    parser.add_argument("--keep", action="store_true", help="do not remove the files")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    print(
        "| file | rows | file MB | processor seconds | peak MiB | mAP |\n|---|---|---|---|---|---|"
    )
    for suffix in arguments.formats:
        for rows in arguments.rows:
            name = arguments.out / f"rows{rows}.{suffix}"
            files = [name, *name.parent.glob(f"{name.stem}.labels.csv")] if name.exists() else None
            if files is None or suffix != "jsonl":
                files = [name] if name.exists() else WRITERS[suffix](name, rows, arguments.labels)
            given = list(map(str, files))
            out = name.with_suffix(".json")
            more = ["--intervals"] if arguments.intervals else []
            seconds, peak = measured(
                [sys.executable, "-m", "lcnet", "evaluate", *given, "--out", str(out), *more]
            )
            value = json.loads(out.read_text(encoding="utf-8"))["mAP"]
            size = files[0].stat().st_size / 1e6
            print(
                f"| `.{suffix}` | {rows:,} | {size:,.0f} | {seconds:.1f} | {peak:,.0f} | {value} |"
            )
            for file in [out, *([] if arguments.keep else files)]:
                file.unlink()


if __name__ == "__main__":
    main()
