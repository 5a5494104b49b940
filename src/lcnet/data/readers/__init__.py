"""Reads a split of a data set of any format, as the data settings describe it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lcnet import config
from lcnet.data.dataset import POSITIVE, Split, StoredSamples
from lcnet.data.dividing import part_of, recorded, whole_and_part
from lcnet.data.folds import fold_of, joined
from lcnet.data.readers.checks import unnamed
from lcnet.data.readers.coco import read_coco
from lcnet.data.readers.layouts import LAYOUTS
from lcnet.data.readers.listing import given_place
from lcnet.data.readers.locating import elsewhere
from lcnet.errors import DataError


def load_split(data: config.Data, split: str, labels: Sequence[str] | None = None) -> Split:
    """The split as `read_split` returns it, after a check that all its pictures exist.

    Raises DataError as `read_split` does, and if a listed picture does not exist.
    """
    samples = read_split(data, split, labels)
    listed = samples.samples
    if isinstance(listed, StoredSamples):  # the reader has just looked for their files
        missing = [listed.sample(index) for index in listed.missing[:1]]
        count = len(listed.missing)
    else:
        missing = [
            replace(sample, path=file)
            for sample in listed
            for file in (sample.path, *sample.channel_files)
            if not file.is_file()
        ]
        count = len(missing)
    if missing:
        first = missing[0]
        more = f", and {count - 1:,} more" if count > 1 else ""
        taken = {str(sample.path) for sample in _whole_of(data, split, samples).samples}
        raise DataError(
            f"{first.source or split}: no picture {first.path}{more}. "
            f"{elsewhere(first.path, Path(data.root), taken)}"
        )
    return samples


def _whole_of(data: config.Data, split: str, samples: Split) -> Split:
    """The split that a part is of, which lists the pictures of the other parts too."""
    whole, part = whole_and_part(split)
    if not part or data.fold:
        return samples
    try:
        return read_split(data, whole)
    except DataError:
        return samples


def read_split(
    data: config.Data,
    split: str,
    labels: Sequence[str] | None = None,
    *,
    unlabelled: list[tuple[str, str]] | None = None,
) -> Split:
    """The listed pictures of a split, with targets in the order of `labels` (default: its own).

    If `data.images` is `annotated`, pictures without any present label are left out, even if some
    of their labels are unknown. `unlabelled` is as in `read_coco`. Raises DataError if the data
    cannot be read, is empty or has a label that is not among `labels`.
    """
    if data.fold and split in (data.train, data.val):
        return fold_of(read_both(data, labels, unlabelled=unlabelled), data, split)
    whole, part = whole_and_part(split)
    layout = LAYOUTS[data.format]
    is_own = not part or Path(data.root, split).exists() or layout.has_part(data, whole, part)
    if not is_own:
        return part_of(read_split(data, whole, labels, unlabelled=unlabelled), data, split)
    if data.format == "coco" and unlabelled is not None:
        samples = read_coco(
            Path(data.root), split, labels, place=given_place(data), unlabelled=unlabelled
        )
    else:
        samples = layout.read(data, split, labels)
    if not samples.samples:
        raise DataError(
            f"{data.root}: split {split!r}: expected at least one picture, got none. "
            "Add pictures, or name another split."
        )
    return _annotated(samples, data.root) if data.images == "annotated" else samples


def read_both(
    data: config.Data,
    labels: Sequence[str] | None = None,
    *,
    unlabelled: list[tuple[str, str]] | None = None,
) -> Split:
    """The training and the validation split as one, whatever `data.fold` is; see `read_split`."""
    plain = replace(data, fold=0)
    training = read_split(plain, data.train, labels, unlabelled=unlabelled)
    validation = read_split(plain, data.val, training.labels, unlabelled=unlabelled)
    return joined(training, validation, name=f"{data.train} and {data.val}")


def record_parts(data: config.Data, file: Path) -> config.Data:
    """The settings with a file of the parts that were drawn, if any; see `dividing.recorded`."""
    whole, part = whole_and_part(data.train)
    return recorded(data, read_split(data, whole), file) if part else data


def load_split_for(data: config.Data, split: str, labels: Sequence[str]) -> Split:
    """The split for a model with the given labels, with targets in the model's order.

    If the model has no names for its labels (`unnamed`), it gets those of the data set, in the data
    set's order, provided that the numbers agree. Raises DataError as `load_split` does.
    """
    nameless = unnamed(len(labels))
    if tuple(labels) == nameless:
        samples = load_split(data, split)
        if not set(samples.labels) <= set(nameless):
            if len(samples.labels) == len(labels):
                return samples
            raise DataError(
                f"{split}: expected {len(labels)} labels, as many as the model has (they have no "
                f"names), got {len(samples.labels)}. Choose the data set that it was trained on."
            )
    return load_split(data, split, labels)


def _annotated(split: Split, root: str) -> Split:
    kept = (split.targets == POSITIVE).any(axis=1)
    if not kept.any():
        raise DataError(
            f"{root}: split {split.name!r}: expected a picture with a present label, got none in "
            f"{len(split):,} pictures. Set --data.images all, or mark labels as present."
        )
    return split.chosen(kept)
