"""Splits a data set into parts, so that each label has the same share in every part."""

import shlex
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from lcnet.config import Data
from lcnet.data.dataset import POSITIVE, Split
from lcnet.data.dividing import ROLES, stratify, whole_and_part, write_parts
from lcnet.data.readers import read_split
from lcnet.data.readers.layout import Given
from lcnet.data.readers.table import open_table, settled
from lcnet.data.readers.table_columns import column
from lcnet.data.readers.table_file import COMPRESSED, is_table
from lcnet.data.recognising import data_at
from lcnet.errors import ConfigError
from lcnet.files import AnyPath, written_whole

SHOWN = 10
"""Most labels that are named as missing in a part."""
LIST = "splits.csv"
"""The file that says which part each picture is in."""


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


def split_data(
    data: Data | Given | AnyPath,
    out: Path | None,
    shares: Mapping[str, float],
    *,
    seed: int,
    overwrite: bool,
    quiet: bool,
) -> list[Part]:
    """The parts of a data set, written as `split` says; prints them unless `quiet`.

    Unknown cells count as absent when labels are balanced.
    """
    _check(shares)
    data = _one_split(data, quiet=quiet)
    whole = read_split(data, data.train)
    present = whole.targets == POSITIVE
    part_of = stratify(present, list(shares.values()), seed, groups=whole.groups)
    root = Path(data.root)
    file = root / data.train
    if is_table(data.train) and file.is_file():
        files = _files(file, out or file.parent, shares, overwrite=overwrite)
        _write_tables(data, whole, part_of, list(files.values()))
    else:
        listed = (out or root) / LIST
        files = dict.fromkeys(shares, listed)
        _check_free(listed, overwrite=overwrite)
        write_parts(listed, whole, data, np.array(list(shares))[part_of])
    parts = [
        _part(name, file, present, part_of == number, whole.labels)
        for number, (name, file) in enumerate(files.items())
    ]
    if not quiet:
        _show(parts, data)
    return parts


def _one_split(data: Data | Given | AnyPath, *, quiet: bool) -> Data:
    """The settings of the data set, with all that is to be split as `train`."""
    if isinstance(data, Data):
        return replace(data, train=whole_and_part(data.train)[0])
    given = data if isinstance(data, Given) else Given(Path(data))
    if given.path.is_file() and is_table(given.path.name):  # its pictures may be elsewhere
        return replace(given.data, format="table", root=str(given.root), train=given.file)
    data = data_at(given, quiet=quiet)
    whole = whole_and_part(data.train)[0]
    if (data.val and whole_and_part(data.val)[0] != whole) or data.table.split:
        raise ConfigError(
            f"{data.root}: expected a data set without splits, got {data.train} and {data.val}. "
            "Name the table to split."
        )
    return replace(data, train=whole)


def _write_tables(
    data: Data, whole: Split, part_of: NDArray[np.int64], files: Sequence[Path]
) -> None:
    """Write the rows of each part, as they stand in the table."""
    known = settled(data, data.train).table
    table = open_table(Path(data.root), data.train, known)
    picture = column(table.columns, known.picture, "picture", data.train)
    # A sample's source ends with the number of its first record in the file.
    numbers = [int(sample.source.rpartition(":")[2]) for sample in whole.samples]
    part_of_record = dict(zip(numbers, part_of.tolist(), strict=True))
    part_of_picture: dict[str, int] = {}
    encoding = known.encoding
    with ExitStack() as stack:
        opened = [
            stack.enter_context(unfinished.open("w", encoding=encoding, newline=""))
            for unfinished in [stack.enter_context(written_whole(file)) for file in files]
        ]
        end = ""
        for number, text, record in table.raw_records():
            end = end or ("\r\n" if text.endswith("\r\n") else "\n")
            whole_lines = text if text.endswith(("\n", "\r")) else text + end
            if number < table.first:
                for to in opened:
                    to.write(whole_lines)
                continue
            cell = record[picture].strip() if picture < len(record) else ""
            if number in part_of_record:  # the first row of a picture; it may have others
                part_of_picture[cell] = part_of_record[number]
            if cell in part_of_picture:
                opened[part_of_picture[cell]].write(whole_lines)


def _check(shares: Mapping[str, float]) -> None:
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


def _files(
    table: Path, out: Path, shares: Mapping[str, float], *, overwrite: bool
) -> dict[str, Path]:
    """The file of each part. Raises ConfigError if one exists, or is the table itself."""
    kind = next(suffix for suffix in reversed(table.suffixes) if suffix not in COMPRESSED)
    files = {name: out / f"{name}{kind}" for name in shares}
    for file in files.values():
        if file.resolve() == table.resolve():
            raise ConfigError(
                f"--out {out}: {file.name} is the table that is split. Choose another folder, or "
                "other names in --shares."
            )
        _check_free(file, overwrite=overwrite)
    return files


def _check_free(file: Path, *, overwrite: bool) -> None:
    if file.exists() and not overwrite:
        raise ConfigError(
            f"{file}: already there. Choose another --out, or replace it with --overwrite."
        )


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


def _show(parts: list[Part], data: Data) -> None:
    """Print what was written, and how to check it."""
    console = Console(highlight=False, markup=False)
    table = Table("part")
    table.add_column("pictures", justify="right")
    table.add_column("largest deviation of a label's share")
    for part in parts:
        name = str(part.file) if part.file.stem == part.name else part.name
        table.add_row(name, f"{part.rows:,}", f"{100 * part.deviation:.3f} points ({part.label})")
    console.print(table)
    for part in parts:
        if part.without_positive:
            lacking = ", ".join(part.without_positive[:SHOWN])
            if len(part.without_positive) > SHOWN:
                lacking += f" and {len(part.without_positive) - SHOWN:,} more labels"
            console.print(f"{part.name}: no picture of {lacking}", soft_wrap=True)
    if not any(part.name == "train" for part in parts):
        return
    folder, root = parts[0].file.parent, Path(data.root)
    if parts[0].file.name == LIST:
        command = f"{shlex.quote(_place(data))} --data.splits {shlex.quote(str(parts[0].file))}"
    elif folder.resolve() == root.resolve():
        command = shlex.quote(str(root))
    else:
        files = {part.name: part.file.absolute() for part in parts if part.name in ROLES}
        flags = (f"--data.{name} {shlex.quote(str(file))}" for name, file in files.items())
        command = f"--data.format table --data.root {shlex.quote(str(root))} {' '.join(flags)}"
    console.print(f"next: lcnet check {command}", soft_wrap=True)


def _place(data: Data) -> str:
    """The folder or file that names the data set."""
    return str(Path(data.root, data.train))
