"""Faults of a data set: of its pictures, its rows and its labels."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lcnet.checking.near_duplicates import near_pairs, parts
from lcnet.checking.picture_facts import PictureFacts, looks
from lcnet.data.dataset import POSITIVE, UNKNOWN, Split
from lcnet.data.statistics import Statistics, count_labels
from lcnet.progress import track

KINDS = {
    "unreadable-split": "A table, list or file of labels that lcnet train refuses.",
    "missing-image": "A picture that is listed but does not exist.",
    "unreadable-image": "A picture that cannot be decoded to its end.",
    "huge-image": "A picture above 89 million pixels, which Pillow takes for an attack.",
    "split-leak": "A picture of validation or test that an earlier split has too, or a copy of it.",
    "similar-label-names": "Two label names that differ only in case or space.",
    "label-without-positives": "A label that no picture of a split shows.",
    "unlabelled-row": "A row whose labels are all unknown, or a box without a label.",
    "duplicate-image": "The same picture twice in a split.",
    "near-duplicate-image": "A resized, recompressed or slightly cropped copy in the same split.",
    "suspicious-label": "A label that a trained model contradicts.",
}
"""Every kind of finding and its meaning, in the order in which they are shown."""
ALWAYS_UNSAFE = frozenset(list(KINDS)[:6])
"""Kinds that make training fail or its numbers misleading. Two others are unsafe in some cases."""


@dataclass(frozen=True)
class Finding:
    """One fault."""

    kind: str
    """One of `KINDS`."""
    where: str
    """The row and picture, label or file."""
    detail: str
    """What is wrong with it."""
    unsafe: bool
    """Whether it should be mended before training."""
    pictures: tuple[Path, ...] = ()
    """The pictures that it is about, if they can be read."""

    def to_dict(self) -> dict[str, str]:
        """Kind, where and detail, for JSON."""
        return {"kind": self.kind, "where": self.where, "detail": self.detail}


@dataclass(frozen=True)
class CheckedSplit:
    """A split with the facts of its pictures."""

    roles: tuple[str, ...]
    """Its uses: train, val, test; several if the settings name the split more than once."""
    split: Split
    facts: tuple[PictureFacts, ...]
    """One per sample."""
    root: Path
    """Folder of the data set; pictures are named relative to it."""

    @cached_property
    def statistics(self) -> Statistics:
        """The counts of its labels."""
        return count_labels(self.split.targets)

    def place(self, index: int) -> str:
        """Where a sample is listed, and its picture."""
        sample = self.split.samples[index]
        if sample.source.endswith(f" {sample.path.name}"):
            return sample.source
        inside = sample.path.is_relative_to(self.root)
        path = (sample.path.relative_to(self.root) if inside else sample.path).as_posix()
        return f"{sample.source or self.split.name}: {path}"

    def present(self, index: int) -> set[str]:
        """The names of a sample's present labels."""
        shown = np.flatnonzero(self.split.targets[index] == POSITIVE)
        return {self.split.labels[label] for label in shown}


def finding(kind: str, where: str, detail: str, *pictures: Path, unsafe: bool = False) -> Finding:
    """A finding; kinds in `ALWAYS_UNSAFE` are unsafe whatever `unsafe` says."""
    return Finding(kind, where, detail, unsafe or kind in ALWAYS_UNSAFE, pictures)


# Pictures


def broken_pictures(checked: CheckedSplit) -> Iterator[Finding]:
    """A finding for each picture that is missing, unreadable or huge."""
    for index, facts in enumerate(checked.facts):
        if facts.fault == "missing":
            missing = f"no such picture: {checked.split.samples[index].path}"
            yield finding("missing-image", checked.place(index), missing)
        elif facts.fault:
            yield finding(f"{facts.fault}-image", checked.place(index), facts.reason)


class _Picture(NamedTuple):
    """A readable picture: the index of its split, and its own index in the split."""

    split: int
    row: int


def copies(splits: Sequence[CheckedSplit], *, quiet: bool = False) -> list[Finding]:
    """A finding for each picture that is the same as an earlier one, or nearly the same.

    Splits come in the order train, val, test. A picture that an earlier split has too is a
    split-leak; one that only its own split has twice is a duplicate.
    """
    groups: dict[bytes, list[_Picture]] = {}
    for number, checked in enumerate(splits):
        for index, facts in enumerate(checked.facts):
            if not facts.fault:
                groups.setdefault(facts.pixels, []).append(_Picture(number, index))
    same = [(group[0], later) for group in groups.values() for later in group[1:]]
    unique = [group[0] for group in groups.values()]
    unique.sort()
    return [
        *(_copy(splits, *pair, "the same pixels as") for pair in sorted(same, key=lambda x: x[1])),
        *_near_copies(splits, unique, quiet=quiet),
    ]


def _near_copies(
    splits: Sequence[CheckedSplit], pictures: Sequence[_Picture], *, quiet: bool
) -> Iterator[Finding]:
    shown = looks([splits[picture.split].facts[picture.row] for picture in pictures])
    nearest: dict[_Picture, tuple[bool, float, _Picture]] = {}
    blocks = parts(len(pictures))
    for pairs in track(near_pairs(shown), "Comparing pictures, blocks", blocks, quiet=quiet):
        for pair in pairs:
            first, second = pictures[pair.first], pictures[pair.second]
            # A copy in another split goes before a nearer one in the same split: a leak is worse.
            match = (first.split != second.split, pair.similarity, first)
            nearest[second] = max(nearest.get(second, match), match)
    for second, (_, similarity, first) in sorted(nearest.items()):
        yield _copy(splits, first, second, f"nearly the same ({similarity:.2f}) as", near=True)


def _copy(
    splits: Sequence[CheckedSplit],
    first: _Picture,
    second: _Picture,
    likeness: str,
    *,
    near: bool = False,
) -> Finding:
    earlier, later = splits[first.split], splits[second.split]
    detail = f"{likeness} {earlier.place(first.row)}"
    if first.split != second.split:
        kind = "split-leak"
        detail += f" ({', '.join(earlier.roles)})"
    else:
        kind = "near-duplicate-image" if near else "duplicate-image"
    unlike = earlier.present(first.row) ^ later.present(second.row)
    if unlike:
        detail += f"; only one has {', '.join(sorted(unlike))}"
    paths = (
        earlier.split.samples[first.row].path,
        later.split.samples[second.row].path,
    )
    return finding(kind, later.place(second.row), detail, *paths)


# Labels and rows


def unlabelled_rows(checked: CheckedSplit) -> Iterator[Finding]:
    """A finding for each picture without any known label."""
    targets = checked.split.targets
    for index in np.flatnonzero((targets == UNKNOWN).all(axis=1)):
        broken = checked.facts[index].fault
        shown = () if broken else (checked.split.samples[int(index)].path,)
        detail = "no label is known, so a model learns nothing from it"
        yield finding("unlabelled-row", checked.place(int(index)), detail, *shown)


def labels_without_positives(checked: CheckedSplit) -> Iterator[Finding]:
    """A finding for each label that no picture shows.

    It is unsafe in the training split, since a model cannot learn the label, and in the validation
    split if no label has a positive, since then nothing can be measured. In other cases means leave
    the label out.
    """
    split, statistics = checked.split, checked.statistics
    unmeasurable = "val" in checked.roles and not any(statistics.positives)
    for name, positives, known in zip(
        split.labels, statistics.positives, statistics.known, strict=True
    ):
        if not positives:
            detail = f"no picture shows it; {known:,} of {len(split):,} are known not to show it"
            where = f"{split.name}: label {name!r}"
            unsafe = unmeasurable or "train" in checked.roles
            yield finding("label-without-positives", where, detail, unsafe=unsafe)


def similar_names(names: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    """A finding for each name that differs from an earlier one only in case or space.

    `names` are the label names, each with the split that has it.
    """
    first: dict[str, tuple[str, str]] = {}
    reported = set()
    for name, split in names:
        earlier, its_split = first.setdefault(plain(name), (name, split))
        if earlier != name and (earlier, name) not in reported:
            reported.add((earlier, name))
            detail = f"differs from {earlier!r} of {its_split} only in case or space"
            yield finding("similar-label-names", f"{split}: label {name!r}", detail)


def plain(name: str) -> str:
    """A label name in lower case and without spaces."""
    return "".join(name.split()).casefold()
