"""Pictures whose known labels break a rule between labels."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from lcnet.data.dataset import NEGATIVE, POSITIVE, Split
from lcnet.data.judgement import Judgement
from lcnet.metrics.label_rules import LabelRules

FIRST = 3
"""Rows that a line names."""


def judge_rules(split: Split, rules: LabelRules) -> Iterator[Judgement]:
    """A judgement for each rule that pictures of a split break; unknown labels break none."""
    place = _place(split)
    for detail, rows in broken_rules(split, rules):
        places = ", ".join(map(place, rows[:FIRST].tolist())) + ", ..." * (len(rows) > FIRST)
        yield Judgement(
            "broken-rule",
            split.name,
            f"{detail} in {len(rows):,} of {len(split):,} pictures: {places}.",
            "unsafe",
            advice="Correct these labels, or the rule.",
        )


def broken_rules(split: Split, rules: LabelRules) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """Each broken rule in words, and the indices of the pictures that break it."""
    present, absent = split.targets == POSITIVE, split.targets == NEGATIVE
    place = {label: index for index, label in enumerate(split.labels)}
    for group in (*rules.exclusive, *rules.one_of):
        columns = [place[name] for name in group]
        several = present[:, columns].sum(axis=1) > 1
        if several.any():
            yield f"{_listed(group)} exclude each other, but are present together", _rows(several)
    for group in rules.one_of:
        nothing = absent[:, [place[name] for name in group]].all(axis=1)
        if nothing.any():
            yield f"exactly one of {_listed(group)} holds, but all are absent", _rows(nothing)
    for label, implied in rules.implies:
        for name in implied:
            alone = present[:, place[label]] & absent[:, place[name]]
            if alone.any():
                yield f"{label!r} implies {name!r}, which is absent beside it", _rows(alone)


def _rows(flags: NDArray[np.bool_]) -> NDArray[np.intp]:
    return np.flatnonzero(flags)


def _listed(group: tuple[str, ...]) -> str:
    return ", ".join(map(repr, group[:4])) + ", ..." * (len(group) > 4)


def _place(split: Split) -> Callable[[int], str]:
    def named(index: int) -> str:
        sample = split.samples[index]
        return sample.source or sample.path.name

    return named
