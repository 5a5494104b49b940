"""Splits a table into several, so that each label has the same share in every part."""

import csv
import shlex
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from iterstrat.ml_stratifiers import IterativeStratification
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from lcnet.data.dataset import POSITIVE
from lcnet.data.readers.table import read_table
from lcnet.errors import ConfigError, DataError
from lcnet.files import written_whole


@dataclass(frozen=True)
class Part:
    """One of the tables that a table was split into."""

    name: str
    file: Path
    rows: int
    deviation: float
    """Largest difference of a label's share from its share in the whole table, 0 to 1."""
    label: str
    """The label with that difference."""
    without_positive: tuple[str, ...]
    """Labels that are present in the whole table but not in this part."""


def split_table(
    table: Path,
    out: Path | None,
    shares: Mapping[str, float],
    *,
    separator: str,
    seed: int,
    overwrite: bool,
    quiet: bool,
) -> list[Part]:
    """Write `{name}.csv` for each share, see `split`; prints the parts unless `quiet`.

    Empty rows are left out. Unknown cells count as absent when labels are balanced.
    """
    _check(shares, separator, seed)
    if not table.is_file():
        raise DataError(f"{table}: no such table. Correct the path.")
    files = _files(table, out or table.parent, shares, overwrite=overwrite)
    whole = read_table(table.parent, table.name, separator=separator)
    present = whole.targets == POSITIVE
    part_of = stratify(present, list(shares.values()), seed)
    header, records = _records(table)
    # A sample's source ends with the number of its record; the header has number 1.
    body_rows = [int(sample.source.rpartition(":")[2]) - 2 for sample in whole.samples]
    with ExitStack() as stack:
        for number, file in enumerate(files.values()):
            unfinished = stack.enter_context(written_whole(file))
            chosen = [records[body_rows[row]] for row in np.flatnonzero(part_of == number)]
            unfinished.write_bytes(b"".join([header, *chosen]))
    parts = [
        _part(name, file, present, part_of == number, whole.labels)
        for number, (name, file) in enumerate(files.items())
    ]
    if not quiet:
        _show(parts, table.parent)
    return parts


def stratify(present: NDArray[np.bool_], shares: list[float], seed: int) -> NDArray[np.int64]:
    """The part, 0 or above, of each row, so that every part has its share of every label.

    Iterative stratification (Sechidis et al. 2011): the rarest label first, each row to the part
    that lacks it most. `present` has the shape (rows, labels). The rows are shuffled first, since
    the method fills the largest part from the first rows: in a table sorted by time, all test rows
    would come from the end.
    """
    random = np.random.RandomState(seed)
    order = random.permutation(len(present))
    parts = np.empty(len(present), dtype=np.int64)
    # They must be booleans: the library takes whole numbers for indices.
    parts[order] = IterativeStratification(present[order], np.array(shares), random)
    return parts


def _check(shares: Mapping[str, float], separator: str, seed: int) -> None:
    """Raises ConfigError for values that cannot work."""
    total = sum(shares.values())
    if len(shares) < 2 or not all(share > 0 for share in shares.values()) or abs(total - 1) > 1e-6:
        listed = ", ".join(f"{name}: {share:g}" for name, share in shares.items())
        raise ConfigError(
            f"--shares: expected two or more shares above 0 that sum to 1, got {{{listed}}}. "
            "Write them as '{train: 0.8, val: 0.1, test: 0.1}'."
        )
    for name in shares:
        if not name or Path(name).name != name:
            raise ConfigError(
                f"--shares: expected names for files without a folder, got {name!r}. Rename it."
            )
    if not separator:
        raise ConfigError("--separator: expected at least one character, got none. Give one.")
    if not 0 <= seed < 2**32:
        raise ConfigError(f"--seed: expected 0 to 4294967295, got {seed}. Choose another.")


def _files(
    table: Path, out: Path, shares: Mapping[str, float], *, overwrite: bool
) -> dict[str, Path]:
    """The file of each part. Raises ConfigError if one exists, or is the table itself."""
    files = {name: out / f"{name}.csv" for name in shares}
    for file in files.values():
        if file.resolve() == table.resolve():
            raise ConfigError(
                f"--out {out}: {file.name} is the table that is split. Choose another folder, or "
                "other names in --shares."
            )
        if file.exists() and not overwrite:
            raise ConfigError(
                f"{file}: already there. Choose another --out, or replace it with --overwrite."
            )
    return files


def _records(table: Path) -> tuple[bytes, list[bytes]]:
    """The header and the records as they stand in the file, each with a line end."""
    # A cell in quotes may span several lines, so records are not lines.
    with table.open(encoding="utf-8", newline="") as file:
        lines = list(file)
    reader, records, start = csv.reader(lines), [], 0
    for _ in reader:
        records.append("".join(lines[start : reader.line_num]).encode())
        start = reader.line_num
    end = b"\r\n" if records[0].endswith(b"\r\n") else b"\n"
    header, *body = [
        record if record.endswith((b"\n", b"\r")) else record + end for record in records
    ]
    return header, body


def _part(
    name: str,
    file: Path,
    present: NDArray[np.bool_],
    chosen: NDArray[np.bool_],
    labels: tuple[str, ...],
) -> Part:
    shares = present.mean(axis=0)
    own = present[chosen].mean(axis=0) if chosen.any() else np.zeros(len(labels))
    difference = np.abs(own - shares)
    worst = int(difference.argmax())
    lacking = np.flatnonzero((own == 0) & (shares > 0))
    return Part(
        name,
        file,
        int(chosen.sum()),
        float(difference[worst]),
        labels[worst],
        tuple(labels[label] for label in lacking),
    )


def _show(parts: list[Part], root: Path) -> None:
    """Print what was written, and how to check it."""
    console = Console(highlight=False, markup=False)
    table = Table("file")
    table.add_column("rows", justify="right")
    table.add_column("largest deviation of a label's share")
    for part in parts:
        table.add_row(
            str(part.file), f"{part.rows:,}", f"{100 * part.deviation:.3f} points ({part.label})"
        )
    console.print(table)
    for part in parts:
        if part.without_positive:
            lacking = ", ".join(part.without_positive)
            console.print(f"{part.name}: no row of {lacking}", soft_wrap=True)
    flags = [f"--data.format table --data.root {shlex.quote(str(root))}"]
    for part in parts:
        if part.name in ("train", "val", "test"):
            inside = part.file.is_relative_to(root)
            file = part.file.relative_to(root) if inside else part.file.absolute()
            flags.append(f"--data.{part.name} {shlex.quote(str(file))}")
    if any(part.name == "train" for part in parts):
        console.print(f"next: lcnet check {' '.join(flags)}", soft_wrap=True)
