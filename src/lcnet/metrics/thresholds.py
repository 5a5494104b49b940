"""A threshold for each label, fitted to a goal on a validation split."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lcnet.errors import ConfigError
from lcnet.metrics import Floats, Targets
from lcnet.metrics.array_checks import with_absent

FEW_POSITIVES = 5
"""A threshold that is fitted to fewer present entries of its label hangs on each of them."""


@dataclass(frozen=True)
class Goal:
    """What the threshold of every label should reach."""

    name: Literal["f1", "precision", "recall"] = "f1"
    """f1: the best F1. precision: the best recall with at least this precision. recall: the best
    precision with at least this recall."""
    at_least: float | None = None
    """The precision or recall, above 0 and at most 1; None for f1."""

    def __post_init__(self) -> None:
        if self.name == "f1" and self.at_least is not None:
            raise ConfigError(
                f"--at_least {self.at_least}: goes with --goal precision or recall, got --goal f1. "
                "Leave it out, since the best F1 has no bound."
            )
        if self.name != "f1" and (self.at_least is None or not 0 < self.at_least <= 1):
            raise ConfigError(
                f"--at_least: expected a {self.name} above 0 and at most 1 with --goal "
                f"{self.name}, got {self.at_least}. Set it, for example --at_least 0.9."
            )

    @property
    def mean(self) -> Literal["CP", "CR"]:
        """The mean over labels that a goal of precision (CP) or recall (CR) is about."""
        return "CP" if self.name == "precision" else "CR"

    def __str__(self) -> str:
        """The goal in words."""
        if self.at_least is None:
            return "best F1"
        return f"{self.name} of at least {100 * self.at_least:g}"


@dataclass(frozen=True)
class Thresholds:
    """The thresholds that `fit_thresholds` chose."""

    values: tuple[float, ...]
    """Per label, the probability above which it counts as present, 0 to 1."""
    common: float
    """The threshold fitted to all labels together."""
    without_positive: tuple[int, ...]
    """Numbers of the labels that have the common threshold, since no entry is present."""
    without_absent: tuple[int, ...]
    """The same for those that have present entries, but no absent one."""
    unreachable: tuple[int, ...]
    """Numbers of the labels for which no threshold reaches the goal, even on the fitted images."""


def fit_thresholds(
    probabilities: Floats, targets: Targets, goal: Goal, *, shrinkage: float
) -> Thresholds:
    """Each label's threshold for the goal, pulled towards the common one if the label is rare.

    A label's own threshold lies between two neighbouring probabilities, halfway on the logit scale.
    It is the best such threshold, and the highest of equally good ones. The common threshold is
    fitted in the same way to all entries together. With n present entries a label gets

        logit(t) = w * logit(own) + (1 - w) * logit(common),  w = n / (n + shrinkage)

    If no threshold reaches a precision, `own` is the one with the highest precision.
    A label without an absent entry, where the lowest threshold would always be best, gets the
    common one and does not count in it. `probabilities` and `targets` are N x L; unknown entries
    are left out. With no present entry at all, every threshold is 0.5.
    """
    from scipy.special import expit

    scores = logits_of(probabilities)
    has_absent = with_absent(targets)
    known = (targets >= 0) & has_absent
    values, unreachable = [], []
    without_positive: list[int] = []
    without_absent: list[int] = []
    common, _ = _best_cut(scores[known], targets[known] == 1, goal)
    for label in range(targets.shape[1]):
        own = known[:, label]
        present = targets[own, label] == 1
        count = int(present.sum())
        if not count:
            is_present = (targets[:, label] == 1).any()
            (without_absent if is_present else without_positive).append(label)
            values.append(common)
            continue
        cut, reached = _best_cut(scores[own, label], present, goal)
        if not reached:
            unreachable.append(label)
        weight = count / (count + shrinkage)
        values.append(weight * cut + (1 - weight) * common)
    return Thresholds(
        tuple(float(value) for value in expit(values)),
        float(expit(common)),
        unreachable=tuple(unreachable),
        without_positive=tuple(without_positive),
        without_absent=tuple(without_absent),
    )


def logits_of(probabilities: Floats) -> NDArray[np.float64]:
    """The logits of probabilities, finite also where float32 has rounded them to 0 or 1."""
    from scipy.special import logit

    return np.asarray(logit(np.clip(probabilities.astype(np.float64), 1e-30, 1 - 3e-8)))


def _best_cut(
    scores: NDArray[np.float64], present: NDArray[np.bool_], goal: Goal
) -> tuple[float, bool]:
    """The score to cut at, and whether the goal is reached there; 0 without a present entry."""
    if not present.any():
        return 0.0, False
    order = np.argsort(-scores)
    ranked = scores[order]
    # Entries of equal score are predicted together, so a cut lies after the last of them.
    last = np.append(np.flatnonzero(ranked[1:] < ranked[:-1]), ranked.size - 1)
    hits = present[order].cumsum()[last].astype(np.float64)
    taken = last + 1.0
    precision, recall = hits / taken, hits / hits[-1]
    reached = True
    match goal.name:
        case "f1":
            best = int(np.argmax(2 * hits / (taken + hits[-1])))
        case "recall":
            best = int(np.argmax(np.where(recall >= _bound(goal), precision, -1)))
        case _:
            enough = np.flatnonzero(precision >= _bound(goal))
            reached = enough.size > 0
            # Of the cuts with this recall take the highest: lower ones only add false alarms.
            best = int(np.argmax(precision))
            if reached:
                best = int(np.argmax(recall == recall[enough[-1]]))
    lower = ranked[last[best] + 1] if best + 1 < last.size else ranked[-1] - 1
    return float((ranked[last[best]] + lower) / 2), reached


def _bound(goal: Goal) -> float:
    """The goal minus a rounding error, so that 9 of 10 count as a recall of 0.9."""
    assert goal.at_least is not None
    return goal.at_least - 1e-12
