"""The rules of a plan: from facts, measured speeds and a budget to one way to train.

Nothing here reads a file or a clock. docs/guide/plan.md says what each rule rests on.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any, Literal

from lcnet.config.recipe import UNCHANGED
from lcnet.runs.planning.facts import DataFacts, Machine
from lcnet.runs.planning.recipes import (
    GENTLE_LR,
    LAST_STAGE,
    RANDOM,
    TUNED,
    frozen_recipe,
    in_the_way_of_stage,
)

How = Literal["frozen", "tuned", "random"]
"""How the backbone takes part: frozen, fine-tuned, or trained from random weights."""

AIM = 0.9
"""Share of the budget that a plan may fill, since machines get slower while they work."""
START_S = 10.0
"""Seconds to read the data and to build the model once more when the run begins."""
FINISH_S = 25.0
"""Seconds for thresholds, calibration and the report, beside the network's own time."""
EPOCH_S = 0.5
"""Seconds to save an epoch and its model."""
STEPS = 600
"""Steps that a head on kept features needs; 8 epochs of some thousand pictures have more."""
FEWEST = 0.6
"""Share of the epochs wanted with which a plan still makes do."""
FEW = 256
"""With fewer training pictures the batches are small, so that an epoch has some steps."""
ROUNDED = 500
"""Pictures on which the end of a run compares bfloat16 with float32."""
WIDER = 1.45
"""How many times the side of its pretraining a frozen backbone's view may have, if pictures do."""
LARGER = 1.2
"""How many times as large as a view the pictures must be for tiles to show more than it does."""
MOST_TILES = 4
"""Largest crop level of a plan."""
SEEN = 16.0
"""Pixels of a view that the side of a small object should have."""
USABLE = 0.7
"""Share of the free memory, and of the free disk, that kept features may fill."""
STRIDE = 32
"""Pixels of a cell of usual backbones: the side of a view is a multiple of it."""
SMALLER = (160, 128)
"""Sides of views, in pixels, if the backbone's own are too slow."""
LEAST_FOR_STAGE = 1_000
"""Training pictures from which the backbone's last stage learns too; with 500 it gave nothing."""
LEAST_STAGE_EPOCHS = 2
"""Epochs of the last stage with which a plan still makes do."""
IN_FLOAT32 = 2.0
"""How many times as long as in bfloat16 a view takes in float32, where there is bfloat16."""
CHUNK = 32
"""Views that pass through the backbone together where a picture has several."""


@dataclass(frozen=True)
class Speed:
    """What a trial says of a backbone on this machine, with the data's pictures and labels."""

    backbone: str
    """The value of `model.backbone`."""
    name: str
    source: str
    weights: float
    """Millions of weights."""
    view_size: int
    """Side of a view in pixels for which the backbone was made, and at which it was measured."""
    decode_s: float
    """Seconds to read and shrink a picture, in one process."""
    view_s: float
    """Seconds of the network for a view."""
    head_s: float
    """Seconds to train the head on the kept features of a picture in one view."""
    learn_view_s: float
    """Seconds to train the whole network on a view; 0 if that was not measured."""
    view_bytes: int
    """Bytes of a view's kept features."""
    learn_stage_s: float = 0.0
    """Seconds to train head and last stage on a view; 0 if that was not measured."""
    has_stages: bool = True
    """Whether the backbone gives its earlier stages."""
    is_pretrained: bool = True
    is_fixed: bool = False
    """Whether it takes views of its own size alone."""


@dataclass(frozen=True)
class Case:
    """What is to be planned for."""

    data: DataFacts
    machine: Machine
    given: Mapping[str, Any] = field(default_factory=dict)
    """The user's settings of model and recipe, by the names of their flags; they stay."""


@dataclass(frozen=True)
class Option:
    """One way to train, and what it takes."""

    speed: Speed
    how: How
    view: int
    """Side of a view in pixels."""
    level: int
    """Crop level: 0 is the whole picture alone."""
    mirrored: bool
    is_kept: bool
    """Whether features are computed once and kept."""
    epochs: int
    start_s: float = START_S
    features_s: float = 0.0
    epoch_s: float = 0.0
    finish_s: float = 0.0
    kept_bytes: int = 0
    stage_epochs: int = 0
    """Epochs in which the backbone's last stage learns too, once the head has learned."""
    stage_epoch_s: float = 0.0
    stage_start_s: float = 0.0
    """What comes before these: a start, and the validation of the head alone."""
    stage_finish_s: float = 0.0
    """What comes after them: class means of the new features."""

    @property
    def stage_s(self) -> float:
        """What the epochs of the last stage take, with all that belongs to them."""
        epochs_s = self.stage_epochs * self.stage_epoch_s
        return self.stage_start_s + epochs_s + self.stage_finish_s

    @property
    def head_s(self) -> float:
        """What it takes without the last stage, from now on."""
        return self.start_s + self.features_s + self.epochs * self.epoch_s + self.finish_s

    @property
    def seconds(self) -> float:
        """What it takes from now on."""
        return self.head_s + self.stage_s


@dataclass(frozen=True)
class Plan:
    """What will be done, its settings, and the better ways that take too long."""

    case: Case
    option: Option
    settings: Mapping[str, Any]
    """All settings of model and recipe that are not the defaults, by the names of their flags."""
    replaced: Mapping[str, Any]
    """What the plan would have taken in place of the user's settings."""
    budget_s: float
    spent_s: float
    """Seconds that were over when the plan was made."""
    wanted_epochs: int
    larger: Option | None = None
    """With a larger backbone."""
    wider: Option | None = None
    """With larger views."""
    tiled: Option | None = None
    """With more views."""
    twice: Option | None = None
    """With mirrored copies."""
    tuned: Option | None = None
    """With the backbone fine-tuned."""
    staged: Option | None = None
    """With a last stage that learns too."""
    in_the_way: Sequence[str] = ()
    """The user's settings without which the last stage might learn too."""

    @property
    def first_settings(self) -> dict[str, Any]:
        """The settings of the run that comes first; only the last one is calibrated."""
        calibrated = {"train.calibrate": False} if self.option.stage_epochs else {}
        return {**self.settings, **calibrated}

    @property
    def stage_settings(self) -> dict[str, Any]:
        """The settings with which the last stage learns; empty if it does not."""
        if not self.option.stage_epochs:
            return {}
        return {**self.settings, **LAST_STAGE, "train.epochs": self.option.stage_epochs}

    @property
    def seconds(self) -> float:
        """What the whole command takes."""
        return self.spent_s + self.option.seconds

    @property
    def fits(self) -> bool:
        """Whether it ends within the budget."""
        return self.seconds <= self.budget_s


def views_of(level: int) -> int:
    """The views of a picture at a crop level: N x N tiles and the whole."""
    return level * level + 1 if level else 1


def head_work(views: float) -> float:
    """The work of a head for so many views, as a multiple of that for one."""
    return 0.3 + 0.7 * views


def tiles_wanted(data: DataFacts, view: int) -> int:
    """The crop level at which the views show what pictures hold; 0 if the whole picture does.

    As many tiles a side as views go into the picture, and more if small objects need them.
    """
    level = round(data.side / view) if data.side >= LARGER * view else 0
    needed = ceil(SEEN * data.side / (data.object_side * view)) if data.object_side else 0
    most = max(level, needed if needed > 1 else 0)
    return min(MOST_TILES, max(2, most)) if most else 0


def picture_side(data: DataFacts) -> int:
    """The longer side of the usual picture in pixels, rounded up to whole cells of a backbone."""
    return ceil(max(data.width, data.height) / STRIDE) * STRIDE


def largest_view(data: DataFacts, own: int) -> int:
    """The side of a frozen backbone's view that shows most: with no more pixels than the pictures.

    Never less than its own.
    """
    return max(own, min(int(WIDER * own) // STRIDE * STRIDE, picture_side(data)))


def batch_of(data: DataFacts) -> int:
    """Pictures in a batch."""
    return 32 if data.training >= FEW else 8


def wanted_epochs(how: How, case: Case) -> int:
    """The number of epochs after which more would hardly help."""
    if "train.epochs" in case.given:
        return int(case.given["train.epochs"])
    if how == "frozen":
        steps = max(1, case.data.training // batch_of(case.data))
        return min(100, max(8, ceil(STEPS / steps)))
    return 20 if how == "tuned" else 40


def least_seconds(given: Mapping[str, Any]) -> float:
    """What any plan takes, be the pictures few and the machine fast."""
    return START_S + FINISH_S + EPOCH_S * int(given.get("train.epochs", 1))


def choose(case: Case, speeds: Sequence[Speed], budget_s: float, spent_s: float = 0.0) -> Plan:
    """The plan: the first way that fits, of all ways with the best first.

    A larger backbone goes before tiles, these before a larger view, this one before mirrored
    copies, and those before the last epochs. What time is left is for the backbone's last stage.
    If nothing fits, it is the quickest way. `speeds` are of the backbones at hand, the largest
    first.
    """
    left = AIM * budget_s - spent_s
    options = [*_options(case, speeds)]
    fitting = ((one, _within(one, case, left)) for one in options)
    best = next(((one, fits) for one, fits in fitting if fits), None)
    if best is None:
        quickest = min(options, key=lambda one: _least(one, case).seconds)
        best = quickest, _least(quickest, case)
    origin, chosen = best
    before = [_least(one, case) for one in options[: options.index(origin)]]
    alike = [one for one in before if one.how == chosen.how]
    beside = [one for one in alike if one.speed is chosen.speed]
    views = chosen.view, chosen.level
    settings = _settings(chosen, case)
    staged = _with_stage(chosen, case, left)
    return Plan(
        case=case,
        option=staged if staged and staged.seconds <= left else chosen,
        settings=settings | dict(case.given),
        replaced={
            name: value
            for name, value in settings.items()
            if name in case.given and case.given[name] != value
        },
        budget_s=budget_s,
        spent_s=spent_s,
        wanted_epochs=wanted_epochs(chosen.how, case),
        larger=_last([one for one in alike if one.speed is not chosen.speed]),
        wider=_last([one for one in beside if one.view > chosen.view]),
        tiled=_last([one for one in beside if one.level > chosen.level]),
        twice=_last([one for one in beside if (one.view, one.level) == views]),
        tuned=_last([one for one in before if one.how == "tuned" != chosen.how]),
        staged=staged if staged and staged.seconds > left else None,
        in_the_way=in_the_way_of_stage(case.given) if _suits_stage(chosen, case) else (),
    )


def _last(options: Sequence[Option]) -> Option | None:
    """The quickest of options, which are in the order of their quality."""
    return options[-1] if options else None


# All ways, the best first


def _options(case: Case, speeds: Sequence[Speed]) -> Iterator[Option]:
    hows = hows_to_try(case, is_pretrained=speeds[0].is_pretrained)
    for how in hows:
        for speed in speeds:
            own, is_fixed = speed.view_size, speed.is_fixed
            for view, level in views_to_try(case, how, own, is_fixed=is_fixed):
                copies = _mirrored(how, case)
                both = [_option(case, speed, how, view, level, mirrored=one) for one in copies]
                # Mirrored copies that cannot be kept are not worth the time of others.
                yield from [one for one in both if one.is_kept] or both
    quickest = min(speeds, key=lambda speed: speed.view_s)
    if "model.view_size" not in case.given and not quickest.is_fixed:
        mirrored = _mirrored(hows[-1], case)[-1]
        for view in SMALLER:
            if view < quickest.view_size:
                level = _levels(case, view)[-1]
                yield _option(case, quickest, hows[-1], view, level, mirrored=mirrored)


def hows_to_try(case: Case, *, is_pretrained: bool) -> tuple[How, ...]:
    """How the backbone may take part, the best first.

    Fine-tuning all of it needs an accelerator, or the user's word.
    """
    if not is_pretrained:
        return ("random",)
    factor = case.given.get("train.backbone_lr_factor")
    if factor is not None:
        return ("frozen",) if factor == 0 else ("tuned",)
    if case.given.get("train.backbone_stages") or case.given.get("train.keep_norms"):
        return ("tuned",)
    if case.given.get("train.cache_features"):
        return ("frozen",)
    return ("tuned", "frozen") if case.machine.accelerator else ("frozen",)


def views_to_try(case: Case, how: How, own: int, *, is_fixed: bool) -> list[tuple[int, int]]:
    """The sides of a view to try, each with its crop level; the best first.

    `own` is the side for which the backbone was made, which `is_fixed` if it takes no other.
    """
    largest = own if is_fixed or how != "frozen" else largest_view(case.data, own)
    if "model.view_size" in case.given:
        own = largest = int(case.given["model.view_size"])
    levels = _levels(case, own)
    if "model.crop_level" not in case.given and not tiles_wanted(case.data, largest):
        levels = [0]  # tiles show no more than one large view, for twice its time
    views = [(own, level) for level in levels]
    if largest > own and levels[-1] == 0:
        views.insert(-1, (largest, 0))
    return views


def _levels(case: Case, view: int) -> list[int]:
    """The crop levels to try, the highest first."""
    if "model.crop_level" in case.given:
        return [int(case.given["model.crop_level"])]
    return [*range(tiles_wanted(case.data, view), 1, -1), 0]


def _mirrored(how: How, case: Case) -> tuple[bool, ...]:
    """Whether to mirror. Only kept features take longer by it, so that it may be left out."""
    if "train.flip" in case.given:
        return (bool(case.given["train.flip"]),)
    if case.data.has_sides:
        return (False,)
    return (True, False) if how == "frozen" else (True,)


def _option(case: Case, speed: Speed, how: How, view: int, level: int, *, mirrored: bool) -> Option:
    """A way to train with what it takes, with as many epochs as are wanted."""
    data, machine = case.data, case.machine
    views = _in_views(speed, view, level)
    seen_s = _together(speed.decode_s, speed.view_s * views, machine)
    head_s = speed.head_s * head_work(views)
    copies = data.training * (1 + mirrored) + data.validation
    kept_bytes = int(copies * speed.view_bytes * views)
    is_kept = how == "frozen" and _keeps(case) and kept_bytes <= _room(machine)
    features_s, again_s = 0.0, data.validation * seen_s
    if is_kept:
        features_s, again_s = copies * seen_s, again_s if machine.has_bf16 else 0.0
        epoch_s = (data.training + data.validation / 3) * head_s
    else:
        learn_s = speed.view_s * views + head_s if how == "frozen" else speed.learn_view_s * views
        epoch_s = data.training * _together(speed.decode_s, learn_s, machine) + again_s
    # The end compares bfloat16 with float32, in which models are measured.
    compared_s = 2 * min(ROUNDED, data.validation) * seen_s if machine.has_bf16 else 0.0
    return Option(
        speed=speed,
        how=how,
        view=view,
        level=level,
        mirrored=mirrored,
        is_kept=is_kept,
        epochs=wanted_epochs(how, case),
        start_s=machine.slowness * START_S,
        features_s=features_s,
        epoch_s=epoch_s + machine.slowness * EPOCH_S,
        finish_s=machine.slowness * FINISH_S + again_s + compared_s,
        kept_bytes=kept_bytes if is_kept else 0,
    )


def _in_views(speed: Speed, view: int, level: int) -> float:
    """The pixels that are seen of a picture, in views of the size that was measured."""
    return views_of(level) * (view / speed.view_size) ** 2


def _together(decode_s: float, network_s: float, machine: Machine) -> float:
    """Seconds for a picture, which is decoded beside the network or before it."""
    if not machine.workers:
        return decode_s + network_s
    if machine.accelerator:
        return max(decode_s / machine.workers, network_s)
    return decode_s / machine.cores + network_s


def _keeps(case: Case) -> bool:
    """Whether the user's settings let features be kept."""
    return case.given.get("train.cache_features") != "" and all(
        case.given.get(f"train.{name}", value) == value for name, value in UNCHANGED.items()
    )


def _room(machine: Machine) -> int:
    """The bytes that kept features may fill."""
    return int(USABLE * min(machine.memory, machine.disk))


# What fits


def _least(option: Option, case: Case) -> Option:
    """The option with the fewest epochs that still make sense."""
    if "train.epochs" in case.given:
        return option
    return replace(option, epochs=max(1, ceil(FEWEST * option.epochs)))


def _within(option: Option, case: Case, left: float) -> Option | None:
    """The option with as many epochs as there is time for; None if that is too few."""
    least = _least(option, case)
    if least.seconds > left:
        return None
    more = int((left - least.seconds) / option.epoch_s)
    return replace(option, epochs=min(option.epochs, least.epochs + more))


def against_stage(option: Option, case: Case) -> Literal["", "few pictures", "tiles"]:
    """What speaks against a last stage that learns after a head on kept features."""
    if case.data.training < LEAST_FOR_STAGE:
        return "few pictures"
    return "tiles" if option.level else ""


def _suits_stage(option: Option, case: Case) -> bool:
    """Whether the last stage should learn after an option, if it can be and time is left."""
    return (
        option.is_kept
        and not against_stage(option, case)
        and option.epochs >= wanted_epochs(option.how, case)
    )


def _with_stage(option: Option, case: Case, left: float) -> Option | None:
    """The option with as many epochs of the last stage as there is time for, and never too few.

    None where it is not to learn: in tiles it was not tried, few pictures gain nothing, and what
    the user says of the rates or the epochs is for a plan without it.
    """
    data, machine, speed = case.data, case.machine, option.speed
    if not (_suits_stage(option, case) and speed.learn_stage_s) or in_the_way_of_stage(case.given):
        return None
    views = _in_views(speed, option.view, option.level)
    seen_s = _together(speed.decode_s, speed.view_s * views, machine)
    learn_s = _together(speed.decode_s, speed.learn_stage_s * views, machine)
    in_validation_s = data.validation * seen_s * (IN_FLOAT32 if machine.has_bf16 else 1.0)
    whole = replace(
        option,
        stage_epochs=LEAST_STAGE_EPOCHS,
        stage_epoch_s=data.training * learn_s
        + data.validation * seen_s
        + machine.slowness * EPOCH_S,
        stage_start_s=option.start_s + data.validation * seen_s,
        stage_finish_s=data.training * seen_s + in_validation_s,
    )
    more = max(0, int((left - whole.seconds) / whole.stage_epoch_s))
    wanted = int(LAST_STAGE["train.epochs"])
    return replace(whole, stage_epochs=min(wanted, whole.stage_epochs + more))


# Its settings


def _settings(option: Option, case: Case) -> dict[str, Any]:
    """The settings of model and recipe by the names of their flags, but for `cache_features`."""
    recipe = {"frozen": frozen_recipe(case.given), "tuned": TUNED, "random": RANDOM}[option.how]
    steps = option.epochs * max(1, case.data.training // batch_of(case.data))
    settings = recipe | {
        "model.backbone": option.speed.backbone,
        "model.pretrained": option.speed.is_pretrained,
        "model.crop_level": option.level,
        "model.view_size": option.view,
        "train.epochs": option.epochs,
        "train.batch_size": batch_of(case.data),
        "train.flip": option.mirrored,
        "train.precision": "auto",
    }
    if option.how == "frozen":
        if option.level:  # the whole batch's views at once would fill the memory
            settings["model.view_chunk"] = CHUNK
        settings["model.earlier_stages"] = option.speed.has_stages
        settings["train.class_means"] = True
        if batch_of(case.data) < 32:
            settings["train.lr"] = GENTLE_LR
    else:  # the average forgets its start within the run
        settings["train.ema_decay"] = round(min(0.9997, max(0.99, 1 - 10 / steps)), 5)
        if case.machine.accelerator:
            settings["train.batch_size"] = "auto"
    return settings
