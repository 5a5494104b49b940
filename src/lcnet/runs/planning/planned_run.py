"""`lcnet train --minutes`: plans a run, says the plan, trains by it and keeps the time."""

import time
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from lcnet.bounds import require
from lcnet.compute import usual_device
from lcnet.config import Config, Data, by_name
from lcnet.data.dataset import Split
from lcnet.errors import ConfigError, quoted
from lcnet.progress import next_lines, tell
from lcnet.run_folder import RunFolder, free_beside, free_folder
from lcnet.runs.last_stage import begin_last_stage, head_first
from lcnet.runs.next_commands import next_commands
from lcnet.runs.planning.backbones_at_hand import VARIABLE, AtHand, backbones_at_hand
from lcnet.runs.planning.facts import data_facts, machine_facts
from lcnet.runs.planning.keeping_time import TimeLimit
from lcnet.runs.planning.plan_text import in_minutes, plan_text
from lcnet.runs.planning.rules import AIM, Case, Plan, Speed, choose, least_seconds
from lcnet.runs.planning.speed_trial import speed_of
from lcnet.runs.run import begin
from lcnet.runs.start import load_splits

PRESETS = {"fast": 5.0, "balanced": 30.0, "best": 120.0}
"""The minutes of each preset."""
FEATURES = "features"
"""The folder beside the runs in which features are kept."""
TRIAL_SHARE, TRIAL_S = 0.1, 60.0
"""Share of the budget for trials, and the most seconds."""
ONE_TRIAL_S = 6.0
"""Most seconds for one of several backbones, beside the building of its model."""


def train_as_planned(
    config: Config,
    out: Path | None,
    *,
    minutes: float,
    dry_run: bool,
    overwrite: bool,
    given: Collection[str] | None,
    started: float,
) -> RunFolder:
    """The run that fits into so many minutes; arguments and errors are those of `train.train`.

    `started` is the `time.monotonic()` at which the time began.
    """
    if config.train.processes > 1:
        raise ConfigError(
            f"train.devices: expected 1 with --minutes, got {config.train.processes} in all. Leave "
            "--train.devices out."
        )
    run = free_run(config.data) if out is None else RunFolder(_named(out))
    if not dry_run:
        run.check_free(overwrite=overwrite)
    kept = given_settings(config, given)
    if not dry_run and 60 * minutes < (least := least_seconds(kept)):
        raise ConfigError(
            f"--minutes {minutes:g}: expected at least {_enough(least)}, as reading the data, "
            "thresholds and the report take that by themselves. Give more."
        )
    # Before the data is read, which can take minutes.
    is_given = not {"model.backbone", "model.backbone_weights"}.isdisjoint(kept)
    at_hand = backbones_at_hand(config.model, usual_device().type, is_given=is_given)
    splits = load_splits(config)
    case = Case(data_facts(config.data, *splits), machine_facts(run.path, config.data), kept)
    plan = _plan(case, at_hand, config, splits[0], 60 * minutes, started)
    plan = _with_features(plan, run)
    option = plan.option
    tell(plan_text(plan, str(run), str(run.head), others=len(at_hand) - 1))
    if dry_run:
        return run
    if not plan.fits:
        raise ConfigError(
            f"--minutes {minutes:g}: expected at least {_enough(plan.seconds)} for these pictures "
            f"on this machine. Give more, fewer pictures, or {_instead(plan)}."
        )
    limit = TimeLimit(started + plan.budget_s - option.finish_s - option.stage_s)
    first = config.changed(plan.first_settings, "plan")
    then = config.changed(plan.stage_settings, "plan") if option.stage_epochs else None
    place = nullcontext(run) if then is None else head_first(run, then, overwrite=overwrite)
    with place as folder:
        begin(
            first,
            folder,
            overwrite=overwrite,
            init=None,
            watch=limit,
            splits=splits,
            settle=limit.settle,
        )
    if then is not None:
        _train_last_stage(plan, then, run, started)
    taken = time.monotonic() - started
    tell(f"took {in_minutes(taken)} of {in_minutes(plan.budget_s)}")
    tell(next_lines(next_commands(run)))
    tell(
        f"the plan is in {run.config_file}: to change it, add flags such as --train.epochs 8, or "
        "edit a copy; train by it with"
    )
    start = f" --init {quoted(run.head)}" if option.stage_epochs else ""
    tell(
        f"      lcnet train --config {quoted(run.config_file)} "
        f"--out {quoted(free_beside(run.path))}{start}"
    )
    return run


def _train_last_stage(plan: Plan, config: Config, run: RunFolder, started: float) -> None:
    """Train the last stage with the head that has learned alone, in the time left."""
    option = plan.option
    now = time.monotonic()
    slowness = max(1.0, (now - started) / (plan.spent_s + option.head_s))
    until = started + plan.budget_s - option.finish_s - slowness * option.stage_finish_s
    left = until - now - slowness * option.stage_start_s
    epochs = max(1, min(option.stage_epochs, int(left / (slowness * option.stage_epoch_s))))
    if epochs < option.stage_epochs:
        tell(
            f"the head took longer than planned, so that there is time for {epochs} "
            f"epoch{'s' * (epochs != 1)} of the last stage in place of {option.stage_epochs}"
        )
    begin_last_stage(config.changed({"train.epochs": epochs}, "plan"), run, watch=TimeLimit(until))


def minutes_for(preset: str | None) -> float:
    """The minutes of a preset. Raises ConfigError if there is no such preset."""
    require(preset in PRESETS, "preset", expected=f"one of {', '.join(PRESETS)}", got=preset)
    return PRESETS[str(preset)]


def free_run(data: Data) -> RunFolder:
    """The first of runs/NAME, runs/NAME-2 and so on that is free; NAME is the data set's."""
    name = Path(data.root).resolve().name or "run"
    name = f"{name}_run" if name == FEATURES else name
    return RunFolder(free_folder(Path("runs", name)))


def _named(out: Path) -> Path:
    """The folder by a name that others can be made beside; ConfigError if that is taken."""
    out = out if out.name not in ("", "..") else out.resolve()
    if out.name in ("", FEATURES):
        raise ConfigError(
            f"--out {out}: expected another name, as kept features are in {FEATURES} beside the "
            "run. Choose a folder such as runs/mine."
        )
    return out


def given_settings(config: Config, names: Collection[str] | None) -> dict[str, Any]:
    """The user's settings of model and recipe by name: those named, or those not the defaults."""
    usual, own = by_name(asdict(Config())), by_name(asdict(config))
    if names is None:
        names = [name for name in own if own[name] != usual[name]]
    return {name: own[name] for name in names if name.startswith(("model.", "train."))}


def _plan(
    case: Case,
    at_hand: Sequence[AtHand],
    config: Config,
    training: Split,
    budget_s: float,
    started: float,
) -> Plan:
    """The plan with one of the backbones at hand, the largest first.

    The largest backbone is tried first. A smaller one is tried only if that one is too slow.
    """
    trial_s = min(TRIAL_S, TRIAL_SHARE * budget_s)
    speeds, began, computing = list[Speed](), time.monotonic(), time.process_time()
    for number, one in enumerate(at_hand, 1):
        is_last = number == len(at_hand)
        if not is_last and time.monotonic() - began > trial_s:
            continue  # the smallest one is left, and quick to try
        seconds = min(ONE_TRIAL_S, trial_s / 2)
        speeds.append(speed_of(one, case, config, training, seconds=seconds))
        now, computed = time.monotonic(), time.process_time() - computing
        slowness = max(1.0, (now - began) / computed)
        case = replace(case, machine=replace(case.machine, slowness=slowness))
        plan = choose(case, speeds, budget_s, spent_s=now - started)
        chosen = plan.option
        if plan.seconds <= AIM * budget_s and chosen.view >= chosen.speed.view_size:
            break
    return plan


def _with_features(plan: Plan, run: RunFolder) -> Plan:
    """The plan with the folder of the kept features, which runs beside each other share."""
    if not plan.option.is_kept:
        return plan
    folder = str(run.path.parent / FEATURES)
    return replace(plan, settings={"train.cache_features": folder} | dict(plan.settings))


def _enough(seconds: float) -> str:
    """So many seconds in whole minutes."""
    return in_minutes(60 * -(-seconds // 60))


def _instead(plan: Plan) -> str:
    """Which backbone would take less."""
    if plan.option.how == "random" and "model.pretrained" not in plan.case.given:
        return f"pretrained weights in a folder that {VARIABLE} names, which learn faster"
    return "a smaller --model.backbone"
