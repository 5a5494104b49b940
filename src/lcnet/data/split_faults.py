"""All faults of the two splits that training uses, and pictures that both of them have."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from lcnet.config import Data, Unknown
from lcnet.data.dataset import Split, Streamed
from lcnet.data.dividing import ROLES, enough_shares, is_measurable, parts_of, whole_and_part
from lcnet.data.judgement import Judgement
from lcnet.data.label_faults import judge_targets
from lcnet.data.name_faults import judge_names, missing_header, similar_names
from lcnet.data.readers import read_split
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


def blank_entries(split: Split) -> Iterator[Judgement]:
    """A judgement if entries that name no label were read as all labels absent."""
    for doubt in split.doubts:
        where, _, detail = doubt.partition(": ")
        yield Judgement("blank-entry", where, detail, "noted")


def with_shares(judgements: Iterable[Judgement], split: Split, data: Data) -> Iterator[Judgement]:
    """The judgements; of a part that was drawn and cannot be measured, with shares that help."""
    for one in judgements:
        is_drawn = one.kind == "nothing-measurable" and _is_drawn(split, data)
        yield replace(one, detail=_larger(split, data)) if is_drawn else one


def _is_drawn(split: Split, data: Data) -> bool:
    """Whether lcnet drew this part, so that `data.shares` says how large it is."""
    whole, own = whole_and_part(split.name)
    drawn = own in ROLES and not data.splits and not Path(data.root, split.name).exists()
    return drawn and not read_split(data, whole).parts


def _larger(split: Split, data: Data) -> str:
    whole, own = whole_and_part(split.name)
    all_pictures = read_split(data, whole)
    shares = enough_shares(all_pictures, data)
    parts = parts_of(all_pictures, replace(data, shares=shares))
    works = is_measurable(all_pictures.targets[parts == own])
    advice = f"Set --data.shares '{shares}'." if works else "Add pictures, with and without it."
    return (
        f"no label has both present and absent pictures among the {len(split):,} that were drawn, "
        f"so nothing can be measured. {advice}"
    )


def judge_both(
    training: Split, validation: Split, data: Data, *, unknown: Unknown
) -> list[Judgement]:
    """All judgements of the splits that training uses; what no setting mends comes first."""
    if training.name == validation.name:
        found = [*judge_targets(training, ["train", "val"], unknown=unknown)]
    else:
        found = [
            *with_shares(judge_targets(validation, ["val"]), validation, data),
            *judge_targets(training, ["train"], unknown=unknown),
            *missing_header(validation, data),
        ]
    found += [*judge_names(training, data), *missing_header(training, data)]
    found += shared_names(training, data)
    found += dict.fromkeys((*blank_entries(training), *blank_entries(validation)))
    found += similar_names((name, training.name) for name in training.labels)
    return [*found, *same_split(data), *shared_pictures(training, validation)]
