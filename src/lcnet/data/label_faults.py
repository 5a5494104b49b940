"""Labels that cannot be learned or measured, since all their known entries are alike."""

from collections.abc import Collection, Iterator

import numpy as np

from lcnet.config import Unknown
from lcnet.data.dataset import NEGATIVE, POSITIVE, UNKNOWN, Split
from lcnet.data.judgement import Judgement, Verdict


def judge_targets(
    split: Split, roles: Collection[str], *, unknown: Unknown = "ignore"
) -> Iterator[Judgement]:
    """What cannot be learned from a split (role train) or measured on it (val, test)."""
    present, absent, hidden = (
        (split.targets == mark).sum(axis=0) for mark in (POSITIVE, NEGATIVE, UNKNOWN)
    )
    learned_absent = absent if unknown == "ignore" else absent + hidden
    if "train" in roles and not learned_absent.any() and present.any():
        yield Judgement("nothing-absent", split.name, _always_yes(hidden.any()), "refused")
    measurable = bool(((present > 0) & (absent > 0)).any())
    if not measurable and set(roles) & {"val", "test"}:
        yield _unmeasurable(split, roles, has_present=bool(present.any()))
    unsafe_in = {"train"} if measurable else {"train", "val"}
    verdict: Verdict = "unsafe" if set(roles) & unsafe_in else "noted"
    for label in np.flatnonzero(present == 0):
        yield Judgement(
            "label-without-positives",
            split.name,
            f"no picture shows it; {absent[label]:,} of {len(split):,} are known not to show it",
            verdict,
            split.labels[label],
            "no picture shows it",
        )
    counted = learned_absent if "train" in roles else absent
    if counted.any():
        yield from _without_absent(split, present, counted, verdict, learns="train" in roles)


def _always_yes(has_unknown: bool) -> str:
    if has_unknown:
        return (
            "expected absent labels (0), got only present and unknown ones, so a model that always "
            "says yes has no loss. Set --train.unknown weighted (if each picture has one known "
            "label) or negative, or mark absent labels with 0."
        )
    return (
        "expected pictures that lack a label, got every label in every picture, so a model that "
        "always says yes has no loss. Add pictures without them."
    )


def _unmeasurable(split: Split, roles: Collection[str], *, has_present: bool) -> Judgement:
    setting = "data.val" if "val" in roles else "data.test"
    detail = (
        f"no label is present in any picture, so nothing can be measured. Set another --{setting}."
    )
    if has_present:
        detail = (
            "no label has both present and absent pictures, so nothing can be measured. "
            f"Mark absent labels with 0, or set another --{setting}."
        )
    verdict: Verdict = "refused" if "val" in roles else "noted"
    return Judgement("nothing-measurable", split.name, detail, verdict)


def _without_absent(
    split: Split, present: np.ndarray, absent: np.ndarray, verdict: Verdict, *, learns: bool
) -> Iterator[Judgement]:
    for label in np.flatnonzero((present > 0) & (absent == 0)):
        what = "never known to be absent, so " + (
            "the model will always predict it"
            if learns
            else "neither its ranking (AP) nor its precision can be measured"
        )
        yield Judgement(
            "label-without-absent",
            split.name,
            f"{what}; present in {present[label]:,} of {len(split):,}",
            verdict,
            split.labels[label],
            what,
        )
