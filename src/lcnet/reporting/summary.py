"""The first paragraph of a report: what the numbers say, in sentences, and what to do first.

A pure function of `Facts`; `summary_facts.py` gathers them. Nothing is said that they do not show:
what rests on few pictures says so.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Literal

from lcnet.metrics.bootstrap import LEVEL, Interval

FEW_PICTURES = 100
"""Fewer measured pictures do not show rare faults."""
WIDE = 10.0
"""Points of mAP from which on an interval says little."""
FEW_IN_TRAINING = 50
"""Fewer training pictures of a label are taken for the likely reason of a low AP."""
FEWEST_HERE = 10
"""With fewer measured pictures of a label, its AP hangs on each of them."""
FEW_JUDGED = 3
"""Up to this many labels with enough pictures are named, if most labels have not enough."""
FAR_BELOW = 10.0
"""Points of AP below the mAP from which on a label is called weak."""
FEWEST_LIKELY = 100
"""Fewer entries of 10 % or more say nothing of the probabilities."""
NEARLY, ROUGHLY = 3.0, 8.0
"""Points by which likely probabilities are off, beyond chance: up to here right, and roughly."""
STILL_RISING = 1.0
"""Points of validation mAP in the last fifth of the epochs that promise more of longer training."""
MANY_UNKNOWN = 0.05
"""Share of unknown entries that is worth saying."""


@dataclass(frozen=True)
class WeakLabel:
    """A label far below the mean, and what its mistakes look like."""

    label: str
    ap: float
    in_training: int | None
    """Training pictures that show it; None if not known."""
    is_predicted: bool
    """Whether it is predicted for any picture."""
    taken_for: str = ""
    """The label that it is most often confused with; empty if chance explains it."""
    mixed_up: int = 0
    """Pictures in which one of the two was missed and the other was predicted."""


@dataclass(frozen=True)
class Trust:
    """How the probabilities of 10 % and more agree with what is there, all labels together."""

    entries: int
    off: float
    """Mean distance of probability and share, in points."""
    by_chance: float
    """The distance that chance alone would give, in points."""
    said: float
    """Where it is most wrong: the probability, in percent."""
    held: float
    """And the share that is there, in percent."""

    @property
    def beyond_chance(self) -> float:
        """Points by which the probabilities are off, less what chance explains."""
        return self.off - self.by_chance


@dataclass(frozen=True)
class Facts:
    """What the paragraph is made of."""

    name: str
    """The run's or model's folder, for commands."""
    split: str
    role: Literal["train", "val", "test", ""]
    pictures: int
    mean_ap: Interval | None
    """None if no label can be measured."""
    guessing: float
    """The mAP of a model that guesses: the mean share of pictures that show a label, 0 to 100."""
    found: float
    """Of 100 present entries, how many are predicted; NaN if there is none."""
    right: float
    """Of 100 predicted entries, how many are present; NaN if none is predicted."""
    unknown: float
    """Share of unknown entries, 0 to 1."""
    weak: tuple[WeakLabel, ...]
    """The lowest first."""
    judged: tuple[tuple[str, float], ...]
    """The labels with an AP from `FEWEST_HERE` pictures or more, and that AP; the lowest first."""
    hardly_measured: int
    """Labels with fewer than `FEWEST_HERE` pictures here, none included."""
    measured_labels: int
    """Labels with an AP."""
    labels: int
    """All labels."""
    trust: Trust | None
    """None if nothing can be measured."""
    is_calibrated: bool
    """Whether the model has fitted probabilities."""
    protocol: str = ""
    has_data: bool = True
    """Whether commands find the data set without being told."""
    val: str = ""
    test: str = ""
    epochs: int = 0
    """Epochs of a run that is done and can be continued; else 0."""
    last_gain: float = 0.0
    """Points of validation mAP that the last fifth of the epochs brought, 0 if not the best."""


@dataclass(frozen=True)
class Step:
    """What to do first, and the command for it; empty if there is none."""

    advice: str
    command: str = ""


@dataclass(frozen=True)
class Summary:
    """The paragraph, a sentence each, and the first step."""

    sentences: tuple[str, ...]
    first: Step


def summary(facts: Facts) -> Summary:
    """What the facts say, in plain words."""
    said = (_how_good(facts), _how_sure(facts), _what_fails(facts), _what_to_trust(facts))
    return Summary(tuple(sentence for part in said for sentence in part), first_step(facts))


def _how_good(facts: Facts) -> Iterator[str]:
    where = f"On the {facts.pictures:,} pictures of {facts.split}{_ROLES[facts.role]}"
    if facts.mean_ap is None:
        yield f"{where}, it cannot be measured how good the model is."
        return
    mean = facts.mean_ap
    yield (
        f"{where}, mAP is {mean.value:.1f} ({LEVEL} % interval {mean.low:.1f} to {mean.high:.1f}); "
        f"100 is perfect, and guessing would give about {facts.guessing:.0f}."
    )
    if facts.right != facts.right:  # NaN
        yield "At its thresholds the model predicts no label at all."
    else:
        yield (
            f"At its thresholds the model finds {percent(facts.found)} of the labels that are "
            f"there, and {percent(facts.right)} of what it predicts is right."
        )


_ROLES = {
    "train": ", from which the model learned",
    "val": ", by which the best epoch was picked",
    "test": "",
    "": "",
}


def _how_sure(facts: Facts) -> Iterator[str]:
    if facts.mean_ap is None:
        return
    width = facts.mean_ap.high - facts.mean_ap.low
    if width >= WIDE:
        yield f"These pictures are too few to say more: the interval is {width:.0f} points wide."
    elif facts.pictures < FEW_PICTURES:
        yield f"{facts.pictures:,} pictures are few, so rare faults do not show."
    if facts.unknown >= MANY_UNKNOWN:
        yield f"Unknown labels ({percent(100 * facts.unknown)} of the entries) are not counted."


def _what_fails(facts: Facts) -> Iterator[str]:
    judged, labels = len(facts.judged), facts.labels
    if not facts.measured_labels:
        return
    if not judged:
        which = "" if facts.hardly_measured == labels else " that can be measured"
        yield (
            f"No label{which} has {FEWEST_HERE} pictures here, so the AP of a single label says "
            "little."
        )
        return
    if judged <= FEW_JUDGED and 2 * judged <= labels == judged + facts.hardly_measured:
        yield f"{_only(facts.judged)}; nothing can be said of the other {labels - judged:,}."
        if facts.weak:
            verb = "is" if len(facts.weak) == 1 else "are"
            yield f"Far below the mean {verb} {'; '.join(map(_weak, facts.weak))}."
        return
    label, ap = facts.judged[0]
    of = f"labels with {FEWEST_HERE} pictures or more here"
    if facts.weak:
        one = len(facts.weak) == 1
        verb = "The weakest label is" if one else "The weakest labels are"
        if judged < labels:
            verb = f"Of the {judged:,} {of}, the weakest {'is' if one else 'are'}"
        yield f"{verb} {'; '.join(map(_weak, facts.weak))}."
    elif judged == labels > 1:
        yield f"No label is far below the mean; the lowest is {label} (AP {ap:.1f})."
    elif judged > 1:
        yield (
            f"None of the {judged:,} {of} is far below the mean; the lowest is {label} "
            f"(AP {ap:.1f})."
        )
    if facts.hardly_measured:
        one = facts.hardly_measured == 1
        yield (
            f"{facts.hardly_measured:,} label{' has' if one else 's have'} fewer than "
            f"{FEWEST_HERE} pictures here, so {'its' if one else 'their'} AP says little."
        )


def _only(judged: Sequence[tuple[str, float]]) -> str:
    """Which few labels have enough pictures to be judged."""
    enough = f"{FEWEST_HERE} pictures or more here"
    if len(judged) == 1:
        label, ap = judged[0]
        return f"Only {label} has {enough} (AP {ap:.1f})"
    return f"Only {_listed([f'{label} (AP {ap:.1f})' for label, ap in judged])} have {enough}"


def _weak(label: WeakLabel) -> str:
    reasons = list(_reasons(label))
    why = f", perhaps because {' and '.join(reasons)}" if reasons else ""
    return f"{label.label} (AP {label.ap:.1f}){why}"


def _reasons(label: WeakLabel) -> Iterator[str]:
    shown = label.in_training
    if shown is not None and shown < FEW_IN_TRAINING:
        count = {0: "no training picture shows", 1: "only 1 training picture shows"}
        yield f"{count.get(shown, f'only {shown} training pictures show')} it"
    if label.taken_for:
        yield f"it and {label.taken_for} are taken for each other ({label.mixed_up:,} pictures)"
    elif not label.is_predicted:
        yield "it is never predicted"


def _what_to_trust(facts: Facts) -> Iterator[str]:
    trust = facts.trust
    if facts.mean_ap is None or trust is None:
        return
    plain = f" (uncalibrated, as {facts.protocol} asks)" if facts.protocol else ""
    if trust.entries < FEWEST_LIKELY:
        yield (
            f"Whether its probabilities{plain} can be trusted cannot be said: only "
            f"{trust.entries:,} of them are 10 % or more."
        )
        return
    yield f"{_trusted(trust, plain)}."
    if facts.role == "val" and facts.is_calibrated and not facts.protocol:
        yield "They were fitted to these pictures, so expect a little less of new ones."


def _trusted(trust: Trust, plain: str) -> str:
    off = f"those of 10 % and more are off by {trust.off:.1f} points on average"
    if trust.beyond_chance <= NEARLY:
        return f"Its probabilities{plain} can be taken as they are: {off}"
    if trust.beyond_chance <= ROUGHLY:
        return f"Its probabilities{plain} are roughly right: {off}"
    return (
        f"Its probabilities{plain} cannot be taken as they are: where it says about "
        f"{percent(trust.said)}, {percent(trust.held)} are there"
    )


# What to do first


def first_step(facts: Facts) -> Step:
    """The first of the steps that apply."""
    for rule in (_measure_new, _mark_absent, _calibrate, _label_more, _train_longer, _label_weak):
        if step := rule(facts):
            return step
    return _measure_test(facts) or Step(
        "Look at the worst errors below: is the model wrong, or the label? Then use the model.",
        f"lcnet predict {quote(facts.name)} PICTURES --out predictions.jsonl",
    )


def _measure_new(facts: Facts) -> Step | None:
    other = facts.test or facts.val
    if facts.role != "train" or not facts.has_data or other in ("", facts.split):
        return None
    return Step("Measure pictures that it has not learned.", _report(facts, other))


def _mark_absent(facts: Facts) -> Step | None:
    if facts.mean_ap is not None:
        return None
    return Step(
        "Mark absent labels with 0 in the label file: a label can be measured only if some "
        "pictures are known to show it and some not to."
    )


def _calibrate(facts: Facts) -> Step | None:
    off = facts.trust and facts.trust.entries >= FEWEST_LIKELY and facts.trust.beyond_chance
    usual = facts.has_data and facts.val and not facts.is_calibrated and not facts.protocol
    if not usual or not off or off <= ROUGHLY:
        return None
    return Step(
        "Fit probabilities and thresholds to the validation pictures.",
        f"lcnet calibrate {quote(facts.name)}",
    )


def _label_more(facts: Facts) -> Step | None:
    if facts.mean_ap is None or facts.mean_ap.high - facts.mean_ap.low < WIDE:
        return None
    return Step(
        "Label more pictures, for training and for testing; the page asks first what tells most. "
        "PICTURES is a folder of them.",
        _label(facts),
    )


def _train_longer(facts: Facts) -> Step | None:
    if not facts.epochs or facts.last_gain < STILL_RISING:
        return None
    return Step(
        f"Train longer: the last epochs still brought {facts.last_gain:.1f} points of validation "
        "mAP.",
        f"lcnet train --resume {quote(facts.name)} --train.epochs {2 * facts.epochs}",
    )


def _label_weak(facts: Facts) -> Step | None:
    rare = [
        weak.label
        for weak in facts.weak
        if weak.in_training is not None and weak.in_training < FEW_IN_TRAINING
    ]
    if not rare:
        return None
    return Step(
        f"Label more pictures that show {_listed(rare)}, and train again. PICTURES is a folder "
        "of those that may.",
        _label(facts),
    )


def _measure_test(facts: Facts) -> Step | None:
    if facts.role != "val" or not facts.has_data or facts.test in ("", facts.split):
        return None
    return Step("Measure the test pictures, which chose nothing.", _report(facts, facts.test))


def _report(facts: Facts, split: str) -> str:
    return f"lcnet report {quote(facts.name)} --split {quote(split)}"


def _label(facts: Facts) -> str:
    return f"lcnet label {quote(facts.name)} PICTURES --out labelled.csv"


def _listed(names: list[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def percent(value: float) -> str:
    """A percentage without digits that does not round something to nothing, or most to all."""
    if 0 < value < 1:
        return "under 1 %"
    return "over 99 %" if 99 < value < 100 else f"{value:.0f} %"
