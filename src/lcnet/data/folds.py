"""Folds: training and validation pictures together, in parts that are held out in turn."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lcnet import config
from lcnet.data.dataset import POSITIVE, Sample, Split, StoredSamples
from lcnet.data.dividing import key_of, parts_of, stratify, write_parts
from lcnet.errors import ConfigError, DataError


def fold_name(number: int) -> str:
    """What a fold is called in the file of folds, and its run's folder: `fold1`."""
    return f"fold{number}"


def fold_of(whole: Split, data: config.Data, split: str) -> Split:
    """The pictures outside `data.fold`, for training, or in it, for validation.

    A picture that the file of folds does not list is in neither. Raises DataError if none is left.
    """
    listed = parts_of(whole, replace(data, splits=data.folds))
    held_out = listed == fold_name(data.fold)
    chosen = (listed != "") & ~held_out if split == data.train else held_out
    if not chosen.any():
        raise DataError(
            f"{data.folds}: no picture of {data.train} and {data.val} is there for "
            f"{fold_name(data.fold)}. Start the folds again in another folder."
        )
    return whole.chosen(chosen, name=split)


def joined(first: Split, second: Split, *, name: str) -> Split:
    """Two splits with the same labels as one."""
    samples: Sequence[Sample] = _Both(first.samples, second.samples)
    if not isinstance(first.samples, StoredSamples) and not isinstance(
        second.samples, StoredSamples
    ):
        samples = (*first.samples, *second.samples)
    has_groups = bool(first.groups) and bool(second.groups)
    return Split(
        labels=first.labels,
        samples=samples,
        targets=np.concatenate([first.targets, second.targets]),
        name=name,
        groups=(*first.groups, *second.groups) if has_groups else (),
        notes=tuple(dict.fromkeys((*first.notes, *second.notes))),
        doubts=tuple(dict.fromkeys((*first.doubts, *second.doubts))),
    )


class _Both(StoredSamples):
    """The samples of two splits, one after the other."""

    def __init__(self, first: Sequence[Sample], second: Sequence[Sample]) -> None:
        self.first, self.second = first, second
        self.missing = [
            *getattr(first, "missing", ()),
            *(len(first) + index for index in getattr(second, "missing", ())),
        ]

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def sample(self, index: int) -> Sample:
        """The sample at an index from 0 to N - 1."""
        inside = len(self.first)
        return self.first[index] if index < inside else self.second[index - inside]


def write_folds(file: Path, whole: Split, data: config.Data, count: int) -> NDArray[np.int64]:
    """Divide pictures into `count` folds with alike shares of each label, and write which is where.

    Pictures of one group stay together, and so do two entries of one picture. Returns how many
    pictures each fold has. Raises ConfigError if a fold would be empty.
    """
    groups = whole.groups or [key_of(sample.path, data.root) for sample in whole.samples]
    fold = stratify(whole.targets == POSITIVE, [1 / count] * count, 0, groups=groups)
    sizes = np.bincount(fold, minlength=count)
    if not sizes.all():
        what = "groups of pictures" if whole.groups else "pictures"
        raise ConfigError(
            f"--folds {count}: expected {what} for each fold, got {len(set(groups)):,} in all. "
            "Set fewer folds."
        )
    names = np.array([fold_name(number + 1) for number in range(count)])
    write_parts(file, whole, data, names[fold])
    return sizes
