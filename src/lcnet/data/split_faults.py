"""All faults of the two splits that training uses, and pictures that both of them have."""

from collections.abc import Iterator
from pathlib import Path

from lcnet.config import Data, Unknown
from lcnet.data.dataset import Split, Streamed
from lcnet.data.judgement import Judgement
from lcnet.data.label_faults import judge_targets
from lcnet.data.name_faults import judge_names, missing_header, similar_names
from lcnet.data.readers.folder import same_names


def same_split(data: Data) -> Iterator[Judgement]:
    """A judgement if the training split is used for validation or test as well."""
    if data.train in (data.val, data.test):
        setting = "data.val" if data.val == data.train else "data.test"
        detail = f"{setting} is the same split as data.train, so results on it are too good"
        yield Judgement("split-leak", data.train, detail, "unsafe")


def shared_pictures(training: Split, validation: Split) -> Iterator[Judgement]:
    """A judgement if files of the training split are in the validation split as well."""
    if training.name == validation.name or isinstance(training.samples, Streamed):
        return  # `same_split` says it, and the pictures of shards have no files of their own
    files = {str(sample.path) for sample in validation.samples}
    shared = {path for one in training.samples if (path := str(one.path)) in files}
    if shared:
        detail = (
            f"{training.name} has {len(shared):,} of its {len(validation):,} pictures too, such as "
            f"{min(shared)}, so results on it are too good. Take them out of one."
        )
        yield Judgement("split-leak", validation.name, detail, "unsafe")


def shared_names(split: Split, data: Data) -> Iterator[Judgement]:
    """A judgement if files of one name in several label folders are different pictures."""
    names = same_names(split, Path(data.root)) if data.format == "folder" else {}
    if names:
        first, second, *_ = next(iter(names.values()))
        detail = (
            f"{len(names):,} names are in several labels' folders with other bytes, so each file "
            f"is a picture of its own, such as {first.parent.name}/{first.name} and "
            f"{second.parent.name}/{second.name}"
        )
        yield Judgement("same-name", split.name, detail, "noted")


def judge_both(
    training: Split, validation: Split, data: Data, *, unknown: Unknown
) -> list[Judgement]:
    """All judgements of the splits that training uses; what no setting mends comes first."""
    if training.name == validation.name:
        found = [*judge_targets(training, ["train", "val"], unknown=unknown)]
    else:
        found = [
            *judge_targets(validation, ["val"]),
            *judge_targets(training, ["train"], unknown=unknown),
            *missing_header(validation, data),
        ]
    found += [*judge_names(training, data), *missing_header(training, data)]
    found += shared_names(training, data)
    found += similar_names((name, training.name) for name in training.labels)
    return [*found, *same_split(data), *shared_pictures(training, validation)]
