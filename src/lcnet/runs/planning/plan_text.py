"""A plan in at most ten points, with its reasons in plain words."""

from collections.abc import Iterator
from typing import Any

from lcnet.evaluating.measuring import FEW
from lcnet.progress import disk_size, memory_size, paragraph
from lcnet.runs.planning.facts import RARE
from lcnet.runs.planning.recipes import LAST_STAGE
from lcnet.runs.planning.rules import LEAST_FOR_STAGE, SEEN, Option, Plan, against_stage

UNKNOWN_SHOWN = 0.005
"""Share of unknown entries below which they are not worth a word."""

MARGIN = 12
"""Columns before the text of a line."""

BUSY = 2.0
"""Slowness from which a word is said of it."""


def plan_text(plan: Plan, folder: str, head: str, *, others: int = 0) -> str:
    """The plan for a run in `folder`; `others` smaller backbones are at hand too.

    `head` is the folder of the run in which the head learns first, where the last stage is to learn
    too.
    """
    lines = {
        "data": _data(plan),
        "machine": _machine(plan),
        "backbone": _backbone(plan, others),
        "training": _training(plan),
        "views": _views(plan),
        "head": _head(plan),
        "epochs": _epochs(plan),
        "then": _then(plan, head),
        "time": _time(plan),
        "yours": _yours(plan),
    }
    title = f"plan for {in_minutes(plan.budget_s)} in {folder}:"
    said = [f"  {name:10}{text}" for name, text in lines.items() if text]
    return "\n".join([title, *(paragraph(line, hang=MARGIN) for line in said)])


def in_minutes(seconds: float) -> str:
    """A time in words, such as `4.5 minutes`."""
    minutes = seconds / 60
    number = f"{minutes:.1f}".removesuffix(".0") if minutes < 10 else f"{minutes:,.0f}"
    return f"{number} minute{'s' * (number != '1')}"


def _data(plan: Plan) -> str:
    data = plan.case.data
    text = (
        f"{data.training:,} pictures to train on, {data.validation:,} to validate, about "
        f"{data.width:,} x {data.height:,} px; {data.labels:,} label{'s' * (data.labels != 1)}, "
        f"{'at least ' * (data.unknown > 0)}{data.labels_a_picture:.1f} a picture, "
        f"the rarest in {data.rarest:,}"
    )
    if data.rare:
        text += f"; {data.rare:,} label{'s' * (data.rare != 1)} in fewer than {RARE} of them"
    if data.unjudged:
        text += (
            f"; {data.unjudged:,} label{'s' * (data.unjudged != 1)} that validation cannot judge"
        )
    if data.validation < FEW:
        text += "; so few to validate that the run's figures are rough"
    if data.unknown >= UNKNOWN_SHOWN:
        text += f"; {100 * data.unknown:.0f} % of the entries unknown, which teach nothing"
    return text


def _machine(plan: Plan) -> str:
    machine = plan.case.machine
    cores = f"{machine.cores} core{'s' * (machine.cores != 1)}"
    text = (
        f"{cores}, {memory_size(machine.memory)} of memory free, "
        f"{machine.accelerator or 'no accelerator'}"
    )
    if machine.slowness >= BUSY:
        text += f"; it has other work, so that all takes {machine.slowness:.0f} times as long"
    return text


def _backbone(plan: Plan, others: int) -> str:
    speed = plan.option.speed
    text = f"{speed.name}, {speed.source}, {speed.weights:.1f} M weights"
    if not speed.is_pretrained and "model.pretrained" not in plan.case.given:
        return (
            f"{text}: no pretrained backbone is at hand, and with one the model would be far "
            "better. Name a folder with some in LCNET_WEIGHTS"
        )
    if plan.larger:
        text += f": {plan.larger.speed.name} would take {_whole(plan, plan.larger)}"
    elif others:
        text += f": the largest of {others + 1} at hand"
    return text


def _training(plan: Plan) -> str:
    option = plan.option
    if option.how == "random":
        return "the whole network, since nothing is known yet"
    if option.how == "tuned":
        return "the backbone is fine-tuned with the head"
    if plan.tuned:
        why = f", as fine-tuning all of it would take {_whole(plan, plan.tuned)}"
    elif plan.case.given.get("train.backbone_lr_factor") == 0:
        why = ", as given"
    elif option.stage_epochs:
        why = " while the head learns"
    else:
        wants = ", as fine-tuning all of it wants an accelerator"
        why = "" if plan.case.machine.accelerator else wants
    text = f"backbone frozen{why}"
    if option.is_kept:
        kept = plan.settings["train.cache_features"]
        return f"{text}; its features are kept in {kept}, {disk_size(option.kept_bytes)}"
    return f"{text}; its features are computed again in each epoch"


def _views(plan: Plan) -> str:
    option, own = plan.option, plan.option.speed.view_size
    size, is_given = f"{option.view} px", "model.view_size" in plan.case.given
    if option.view < own and not is_given:
        return f"the whole picture at {size} in place of {own}, for the time"
    if option.view > own and not is_given:
        size += f" (pretrained at {own}; larger views show smaller objects)"
    if option.level:
        level = option.level
        text = f"{level} x {level} tiles and the whole, each at {size}"
        return f"{text}: {_why_tiles(plan)}{_fewer(plan)}"
    text = f"the whole picture at {size}"
    if plan.wider:
        text += f"; at {plan.wider.view} px it would take {_whole(plan, plan.wider)}"
    if "model.crop_level" in plan.case.given:
        return text
    if plan.tiled:
        return f"{text}; tiles would take {_whole(plan, plan.tiled)}"
    return text if plan.wider else f"{text}; no tiles, which would show little more"


def _why_tiles(plan: Plan) -> str:
    data, view = plan.case.data, plan.option.view
    if "model.crop_level" in plan.case.given:
        return "as given"
    if 0 < data.object_side * view < SEEN * data.side:
        return f"a tenth of the objects are smaller than {data.object_side:.0f} px"
    return "one view would lose details of such pictures"


def _fewer(plan: Plan) -> str:
    if not plan.tiled or "model.crop_level" in plan.case.given:
        return ""
    return f"; {plan.tiled.level} x {plan.tiled.level} would take {_whole(plan, plan.tiled)}"


def _head(plan: Plan) -> str:
    settings = plan.settings
    head = settings.get("model.head", "lcnet")
    if head != "lcnet":
        return f"{head}, as given"
    layers = settings.get("model.depth", 1)
    text = f"LCNet with {layers} decoder layer{'s' * (layers != 1)}"
    text += ", without a label graph" * (settings.get("model.graph") == "none")
    sees = ["each label's scores over the picture"] * (settings.get("model.read") == "scores")
    sees += ["fine details"] * bool(settings.get("model.earlier_stages"))
    sees += ["each label's mean picture"] * bool(settings.get("train.class_means"))
    text += f"; it uses {', '.join(sees)}" if sees else ""
    is_own = plan.option.how == "frozen" and not any("model." in name for name in plan.replaced)
    return text + (": no other was surely better on photographs" if is_own else "")


def _epochs(plan: Plan) -> str:
    option, data, settings = plan.option, plan.case.data, plan.settings
    size = settings["train.batch_size"]
    batches = max(1, data.training // (32 if size == "auto" else int(size)))
    text = f"{option.epochs} of {batches:,} batch{'es' * (batches != 1)}"
    if option.epochs < plan.wanted_epochs:
        text += f" ({plan.wanted_epochs} would be better)"
    return f"{text}, rate {settings['train.lr']:g}; {'; '.join(_augmentation(plan))}"


def _then(plan: Plan, head: str) -> str:
    """What comes after the head."""
    if plan.staged:
        return (
            "nothing: for the backbone's last stage to learn too, which is better, it would take "
            f"{_whole(plan, plan.staged)}"
        )
    if plan.in_the_way:
        own = ", ".join(plan.in_the_way)
        return f"nothing: the backbone's last stage learns too only without {own} of yours"
    if not plan.option.stage_epochs:
        return _no_stage(plan)
    rate = plan.stage_settings["train.lr"]
    sides = "mirrored and " if plan.option.mirrored else ""
    return (
        f"{plan.option.stage_epochs} epochs in which the backbone's last stage learns too, rate "
        f"{rate:g}, on pictures {sides}cropped at random; the head alone stays in "
        f"{head}"
    )


def _no_stage(plan: Plan) -> str:
    """Why the last stage of a frozen backbone does not learn too, by what was measured."""
    if not plan.option.is_kept:
        return ""
    match against_stage(plan.option, plan.case):
        case "few pictures":
            few = f"fewer than {LEAST_FOR_STAGE:,} training pictures"
            return f"nothing: with {few} it gives nothing that the last stage learns too"
        case "tiles":
            return "nothing: in tiles the last stage was not tried"
        case _:
            return ""


def _augmentation(plan: Plan) -> Iterator[str]:
    option, settings = plan.option, plan.settings
    if option.is_kept:
        if option.mirrored:
            yield "mirrored copies"
        elif plan.twice:
            yield f"no mirrored copies, with which it would take {_whole(plan, plan.twice)}"
        else:
            yield "no mirrored copies"
        yield "other augmentation would change the features"
        return
    names = ["mirroring"] * bool(settings["train.flip"])
    names += ["RandAugment"] * bool(settings.get("train.randaugment", 9))
    names += ["cutout"] * bool(settings.get("train.cutout", 0.5))
    yield ", ".join(names) or "no augmentation"


def _time(plan: Plan) -> str:
    option = plan.option
    training_s = option.epochs * option.epoch_s
    parts = [f"{_number(plan.spent_s)} for the trial"]
    if option.is_kept and option.features_s:
        data = plan.case.data
        copies = data.training * (1 + option.mirrored) + data.validation
        rate = copies / option.features_s
        parts.append(f"{_number(option.features_s)} for features ({rate:,.0f} pictures/s)")
    parts.append(f"{_number(training_s)} to train{' the head' * bool(option.stage_epochs)}")
    if option.stage_epochs:
        parts.append(f"{_number(option.stage_s)} for the last stage")
    parts.append(f"{_number(option.head_s - option.features_s - training_s)} for the rest")
    text = f"about {in_minutes(plan.seconds)}: {', '.join(parts)}"
    if not plan.fits:
        return f"{text}. That is more than {in_minutes(plan.budget_s)}"
    if not (
        plan.larger or plan.wider or plan.tiled or plan.twice or plan.tuned or plan.staged
    ) and (
        option.epochs == plan.wanted_epochs
        and option.stage_epochs in (0, LAST_STAGE["train.epochs"])
    ):
        text += ". More time would not change it"
    return text


def _yours(plan: Plan) -> str:
    return ", ".join(_own(name, value, plan) for name, value in plan.case.given.items())


def _own(name: str, value: Any, plan: Plan) -> str:
    """A setting of the user, with that of the rules if these have another one."""
    text = f"{name} {_value(value)}"
    other = plan.replaced.get(name)
    return text if other is None else f"{text} in place of {_value(other)}"


def _value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(seconds: float) -> str:
    return f"{seconds / 60:.1f}"


def _whole(plan: Plan, option: Option) -> str:
    """What the command would take with another option, with the fewest epochs."""
    return in_minutes(plan.spent_s + option.seconds)
