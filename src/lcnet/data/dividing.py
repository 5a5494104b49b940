"""Parts of a data set that has no splits of its own: drawn once, kept in a file, read again."""

import csv
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lcnet.config import Data
from lcnet.data.dataset import NEGATIVE, POSITIVE, Split
from lcnet.errors import DataError
from lcnet.files import written_whole

ROLES = ("train", "val", "test")
HEADER = ["picture", "split"]


def part(whole: str, name: str) -> str:
    """The name of a part of a split, such as `labels.csv[train]`."""
    return f"{whole}[{name}]"


def whole_and_part(split: str) -> tuple[str, str]:
    """The split that a name is of, and the part of it; an empty part if it is all."""
    found = re.fullmatch(r"(.*)\[([^\[\]]*)\]", split, re.S)
    return (found[1], found[2]) if found else (split, "")


def file_of(split: str) -> str:
    """The name of the file or folder that a split, or a part of a part of it, is in."""
    while (whole := whole_and_part(split)[0]) != split:
        split = whole
    return split


def part_of(whole: Split, data: Data, name: str) -> Split:
    """A part of a split, called `name` in full.

    The data set says which (`Split.parts`), or `data.splits`; without either it is drawn. Raises
    DataError if no picture is in it.
    """
    wanted = whole_and_part(name)[1]
    if whole.parts:
        chosen = np.array([own == wanted for own in whole.parts])
        whole = replace(whole, parts=())  # a part of this part is drawn
    else:
        parts = parts_of(whole, data)
        chosen = parts == wanted
        if left := np.flatnonzero(parts == "").tolist():
            note = (
                f"{file_of(name)}: {len(left):,} of {len(whole):,} pictures are in no split, since "
                f"{data.splits} does not list them, such as {whole.samples[left[0]].path}"
            )
            whole = replace(whole, notes=(*whole.notes, note))
    if not chosen.any():
        raise DataError(
            f"{name}: no picture is in this part. Name another split, or correct "
            f"{data.splits or 'the data set'}."
        )
    return whole.chosen(chosen, name=name)


def parts_of(whole: Split, data: Data) -> NDArray[np.str_]:
    """The part that each picture is in: as `data.splits` says, else drawn by `data.shares`.

    A picture that the file does not list is in no part. Raises DataError if it lists none, or if it
    is not clear which one it means.
    """
    if data.splits:
        return _listed_parts(_read(Path(data.splits)), _paths(whole), data)
    names = _drawn_names(data)
    shares = [share for name, share in zip(ROLES, data.shares, strict=False) if name in names]
    drawn = _drawn(whole, tuple(share / sum(shares) for share in shares))
    return np.array(names)[drawn]


def _listed_parts(listed: Mapping[str, str], paths: Sequence[Path], data: Data) -> NDArray[np.str_]:
    """The part of each picture in a list; empty for one that is not in it.

    The list may be that of a table in another folder, from which pictures have other paths. If none
    is in it by its path from the root, they are found by what their paths end in.
    """
    parts = [listed.get(key_of(path, data.root), "") for path in paths]
    if any(parts):
        return np.array(parts)
    ends = {_without_way_up(name): name for name in listed}
    found = [_listed_end(path, ends) for path in paths]
    names = [name for name in found if name]
    if not names:
        raise DataError(
            f"{data.splits}: expected pictures of {data.root}, such as "
            f"{key_of(paths[0], data.root)!r}, got {next(iter(listed), 'nothing')!r} and others. "
            "Set --data.splits to the list of these pictures, or leave it out to draw the parts."
        )
    if len(ends) < len(listed) or len(set(names)) < len(names):
        raise DataError(
            f"{data.splits}: expected one picture of {data.root} for each path, got several for "
            "some, since the paths are from another folder. Put the table beside the one that the "
            "list was made for."
        )
    return np.array([listed[name] if name else "" for name in found])


def _without_way_up(name: str) -> str:
    """A path without the `../` that it begins with."""
    return re.sub(r"^(\.\./)+", "", name)


def _listed_end(path: Path, ends: Mapping[str, str]) -> str:
    """The listed name that a picture's path ends in, the longest one; empty if there is none."""
    steps = path.absolute().as_posix().split("/")
    tails = ("/".join(steps[first:]) for first in range(len(steps)))
    return next((ends[tail] for tail in tails if tail in ends), "")


def _drawn_names(data: Data) -> list[str]:
    """The parts that are drawn from what the training part is drawn from."""
    base = whole_and_part(data.train)[0]
    return [
        name
        for own in (data.train, data.val, data.test)
        if (name := whole_and_part(own)[1]) and whole_and_part(own)[0] == base
    ]


def recorded(data: Data, whole: Split, file: Path) -> Data:
    """The settings with the parts of a data set without splits written to a file.

    If the data set says the parts itself, nothing is written and the settings stay.
    """
    if whole.parts or not whole_and_part(data.train)[1]:
        return data
    write_parts(file, whole, data, parts_of(whole, data))
    return replace(data, splits=str(file))


def write_parts(file: Path, whole: Split, data: Data, parts: NDArray[np.str_]) -> None:
    """Write which part each picture is in, for `data.splits`."""
    with (
        written_whole(file) as unfinished,
        unfinished.open("w", encoding="utf-8", newline="") as to,
    ):
        rows = csv.writer(to, lineterminator="\n")
        rows.writerow(HEADER)
        keys = (key_of(path, data.root) for path in _paths(whole))
        rows.writerows(zip(keys, parts.tolist(), strict=True))


def key_of(path: Path, root: str) -> str:
    """What a picture is called in the file: its path relative to the root."""
    return Path(os.path.relpath(path, root)).as_posix()


def _paths(whole: Split) -> Sequence[Path]:
    return [sample.path for sample in whole.samples]


def _read(file: Path) -> dict[str, str]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            header, *rows = list(csv.reader(opened))
        if header != HEADER or any(len(row) != 2 for row in rows):
            raise ValueError(f"another header or row than {','.join(HEADER)}")
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(
            f"{file}: expected a table of the columns picture and split, got: {error}. Set "
            "--data.splits to the file that a run wrote, or leave it out to draw the parts again."
        ) from None
    return dict(rows)


# Drawing


SHARES = ([0.8, 0.1, 0.1], [0.7, 0.15, 0.15], [0.6, 0.2, 0.2], [0.5, 0.25, 0.25])
"""Shares of training, validation and test that are tried in a small data set."""
ENOUGH = 4
"""Pictures that a drawn part of a small data set should have."""


def enough_shares(whole: Split, data: Data) -> list[float]:
    """The first of `SHARES` under which each part has `ENOUGH` pictures and can be measured.

    If there is none, those that come nearest.
    """
    best, most = list(data.shares), (False, False, -1)
    for shares in SHARES:
        parts = parts_of(whole, replace(data, shares=list(shares), splits=""))
        rows = [parts == name for name in _drawn_names(data)[1:]]
        can = [is_measurable(whole.targets[chosen]) for chosen in rows]
        sizes = min((int(chosen.sum()) for chosen in rows), default=ENOUGH)
        score = (can[0] if can else True, all(can), min(sizes, ENOUGH))
        if score > most:
            best, most = list(shares), score
    return best


def is_measurable(targets: NDArray[np.int8]) -> bool:
    """Whether a label is present in some of the pictures and known to be absent in others."""
    return bool(((targets == POSITIVE).any(axis=0) & (targets == NEGATIVE).any(axis=0)).any())


_last: dict[str, NDArray[np.int64]] = {}
"""The parts drawn last: training, validation and test are parts of one draw."""


def _drawn(whole: Split, shares: tuple[float, ...]) -> NDArray[np.int64]:
    digest = hashlib.sha256(np.ascontiguousarray(whole.targets).data)
    digest.update(repr((shares, whole.targets.shape, tuple(whole.groups))).encode())
    key = digest.hexdigest()
    if key not in _last:
        drawn = stratify(whole.targets == POSITIVE, list(shares), 0, groups=whole.groups)
        drawn = _none_empty(drawn, len(shares), whole.groups or range(len(whole)))
        _last.clear()
        _last[key] = drawn
    return _last[key]


def _none_empty(
    drawn: NDArray[np.int64], parts: int, groups: Sequence[str] | range
) -> NDArray[np.int64]:
    """The drawn parts, with a group from the largest part in each that is empty, if it has two."""
    names, group_of = np.unique(np.array(groups), return_inverse=True)
    for part in range(parts):
        part_of_group = np.zeros(len(names), np.int64)
        part_of_group[group_of] = drawn
        sizes = np.bincount(part_of_group, minlength=parts)
        if not sizes[part] and sizes.max() > 1:
            taken = np.flatnonzero(part_of_group == sizes.argmax())[-1]
            drawn = np.where(group_of == taken, part, drawn)
    return drawn


def stratify(
    present: NDArray[np.bool_], shares: list[float], seed: int, *, groups: Sequence[str] = ()
) -> NDArray[np.int64]:
    """The part, 0 or above, of each row, so that every part has its share of every label.

    Iterative stratification (Sechidis et al. 2011): the rarest label first, each row to the part
    that lacks it most. `present` has the shape (rows, labels). The rows are shuffled first, since
    the method fills the largest part from the first rows: in a table sorted by time, all test rows
    would come from the end. Rows of one of the `groups` stay together: a group has the labels that
    any of its rows has.
    """
    if groups:
        names, group_of = np.unique(np.array(groups), return_inverse=True)
        together = np.zeros((len(names), present.shape[1]), dtype=bool)
        np.logical_or.at(together, group_of, present)
        return stratify(together, shares, seed)[group_of]
    # It brings scikit-learn, for which a run that draws no parts need not wait.
    from iterstrat.ml_stratifiers import IterativeStratification

    random = np.random.RandomState(seed)
    order = random.permutation(len(present))
    parts = np.empty(len(present), dtype=np.int64)
    # They must be booleans: the library takes whole numbers for indices.
    parts[order] = IterativeStratification(present[order], np.array(shares), random)
    return parts
