"""Faults of a data set: of its pictures, its rows and its labels."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lcnet.checking.near_duplicates import near_pairs, parts
from lcnet.checking.picture_facts import PictureFacts, looks
from lcnet.data.dataset import POSITIVE, UNKNOWN, Split
from lcnet.data.judgement import Judgement
from lcnet.data.readers.locating import elsewhere
from lcnet.data.readers.near_names import near_name
from lcnet.data.statistics import Statistics, count_labels
from lcnet.progress import track

KINDS = {
    "unreadable-split": "A table, list or file of labels that lcnet train refuses.",
    "nothing-absent": "A training split in which no label is absent: always yes has no loss.",
    "nothing-measurable": "A split in which no label has both present and absent pictures.",
    "missing-header": "A table whose header is a row of data.",
    "missing-image": "A picture that is listed but does not exist.",
    "unreadable-image": "A picture that cannot be decoded to its end.",
    "huge-image": "A picture above 89 million pixels, which Pillow takes for an attack.",
    "pixels": "Pictures whose values cannot be compared, or with bands that a model would lose.",
    "split-leak": "A picture of validation or test that an earlier split has too, or a copy of it.",
    "similar-label-names": "Two label names that look alike.",
    "several-names": "A label name that seems to be several names.",
    "no-name": "A label name that is no name: an empty value, a list, a picture.",
    "label-without-positives": "A label that no picture of a split shows.",
    "label-without-absent": "A label that no picture of a split is known not to show.",
    "unused-range": "A split whose pictures use a fraction of the grey levels.",
    "other-depth": "A split whose pictures are stored in a way that the first split lacks.",
    "unlabelled-row": "A row whose labels are all unknown, or a box without a label.",
    "blank-entry": "Rows that name no label: read as none of the labels, which may not be meant.",
    "conflicting-labels": "The same picture twice in a split, with other labels.",
    "broken-rule": "Labels that break a rule of data.rules.",
    "several-frames": "A file of several pictures, of which lcnet takes the first.",
    "duplicate-image": "The same picture twice in a split.",
    "near-duplicate-image": "A resized, recompressed or slightly cropped copy in the same split.",
    "flat-image": "A picture whose pixels are all the same.",
    "same-name": "Different pictures of one name in the folders of several labels.",
    "passed-over": "Files in the data set's folder without labels, or that are no pictures.",
    "suspicious-label": "A label that a trained model contradicts.",
}
"""Every kind of finding and its meaning, in the order in which they are shown."""
MEND = {
    "unreadable-split": "correct the label file as its message says",
    "nothing-absent": "say which labels are absent, or how training takes unknown ones",
    "nothing-measurable": "choose a validation split with and without a label",
    "missing-header": "write the names of the columns into the first line",
    "missing-image": "correct the rows of missing pictures, or drop them",
    "unreadable-image": "save unreadable pictures again, or drop their rows",
    "huge-image": "make huge pictures smaller",
    "pixels": "save the pictures alike",
    "split-leak": "take each picture out of all splits but one",
    "similar-label-names": "write each label's name in one way",
    "label-without-positives": "add pictures of labels without any, or drop these labels",
    "label-without-absent": "add pictures without the labels that all show, or drop these labels",
    "unlabelled-row": "correct the rows without labels",
    "broken-rule": "correct the labels that break a rule, or the rule",
}
"""What to do about kinds of findings that keep from training."""
ALWAYS_UNSAFE = frozenset(
    {
        *("unreadable-split", "nothing-absent", "missing-header", "missing-image"),
        *("unreadable-image", "huge-image", "split-leak", "similar-label-names", "unused-range"),
        *("pixels", "broken-rule"),
    }
)
"""Kinds that make training fail or its numbers misleading. Some others are unsafe in some cases."""
MOST_ASKED = 20
"""Missing pictures of a split for which a name like theirs is looked for."""


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
    refused: bool = False
    """Whether `lcnet train` does not begin with it, so that it must be mended."""
    split: str = ""
    """The split that it is about, and its label, if it is about a label of one."""
    label: str = ""

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

    @property
    def is_trained_with(self) -> bool:
        """Whether `lcnet train` reads it: it is the training or the validation split."""
        return bool({"train", "val"} & set(self.roles))

    @cached_property
    def statistics(self) -> Statistics:
        """The counts of its labels."""
        return count_labels(self.split.targets)

    @cached_property
    def labels_each(self) -> float:
        """How many labels a picture shows on average, of those of which something is known."""
        targets = self.split.targets
        known = int((targets >= 0).any(axis=1).sum())
        return int((targets == 1).sum()) / max(known, 1)

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


def finding(
    kind: str,
    where: str,
    detail: str,
    *pictures: Path,
    unsafe: bool = False,
    refused: bool = False,
) -> Finding:
    """A finding; kinds in `ALWAYS_UNSAFE` are unsafe whatever `unsafe` says."""
    is_unsafe = unsafe or kind in ALWAYS_UNSAFE
    return Finding(kind, where, detail, is_unsafe, pictures, refused=refused)


def judged(judgements: Iterable[Judgement], trained: Collection[str]) -> Iterator[Finding]:
    """A finding for each judgement; only faults of the splits `trained` make training refuse."""
    for one in judgements:
        yield Finding(
            one.kind,
            one.where,
            " ".join(filter(None, (one.detail, one.advice))),
            unsafe=one.verdict != "noted",
            refused=one.verdict == "refused" and one.split in trained,
            split=one.split,
            label=one.label or "",
        )


# Pictures


def broken_pictures(checked: CheckedSplit, taken: Collection[str]) -> Iterator[Finding]:
    """A finding for each picture that is missing, unreadable or huge; one says what to do.

    The first missing ones ask whether another file is meant, none of the `taken`, which are listed.
    """
    advised = 0
    for index, facts in enumerate(checked.facts):
        if facts.fault == "missing":
            sample = checked.split.samples[index]
            files = (sample.path, *sample.channel_files)
            absent = next((file for file in files if not file.is_file()), sample.path)
            missing = f"no such picture: {absent}"
            if not advised:
                missing += f". {elsewhere(absent, checked.root, taken)}"
            elif advised < MOST_ASKED and (near := near_name(absent, taken)):
                missing += f". Did you mean {near}?"
            advised += 1
            yield finding(
                "missing-image", checked.place(index), missing, refused=checked.is_trained_with
            )
        elif facts.fault:
            yield finding(f"{facts.fault}-image", checked.place(index), facts.reason)


def odd_pictures(checked: CheckedSplit) -> Iterator[Finding]:
    """A finding for pictures with other bands than most, and for each file of several pictures."""
    for index, facts in enumerate(checked.facts):
        path = checked.split.samples[index].path
        if facts.frames > 1:
            detail = f"{facts.frames:,} pictures in the file; the first is used"
            yield finding("several-frames", checked.place(index), detail, path)
    bands = Counter(facts.bands for facts in checked.facts if not facts.fault)
    several = [count for count in bands if count not in (1, 3)]
    if not several:
        return
    if len(bands) == 1:
        return  # the whole split has them; `data_check` notes which --model.channels they need
    for count in several:
        index = next(n for n, facts in enumerate(checked.facts) if facts.bands == count)
        detail = (
            f"{bands[count]:,} pictures have {count} bands, the others "
            f"{' or '.join(str(other) for other in sorted(set(bands) - {count}))}; a model takes "
            "one number. Save them alike"
        )
        yield finding("pixels", checked.place(index), detail, checked.split.samples[index].path)


def mixed_kinds(splits: Sequence[CheckedSplit]) -> Iterator[Finding]:
    """A finding if the values of the pictures are of several kinds, with an example of each."""
    examples: dict[str, tuple[CheckedSplit, int]] = {}
    for checked in splits:
        for index, facts in enumerate(checked.facts):
            if not facts.fault:
                examples.setdefault(facts.kind, (checked, index))
    if len(examples) < 2:
        return
    named = [f"{kind} ({checked.place(index)})" for kind, (checked, index) in examples.items()]
    pictures = [checked.split.samples[index].path for checked, index in examples.values()]
    detail = (
        f"{' and '.join(named)} cannot be compared. Make them of one kind, or say which values are "
        "black and white with --data.pixel_range '[BLACK, WHITE]'"
    )
    yield finding("pixels", "all splits", detail, *pictures)


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
        kind = "conflicting-labels" if kind == "duplicate-image" else kind
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
