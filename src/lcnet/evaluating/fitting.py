"""Fits a model's thresholds and probabilities to a goal on a split, and prints the result."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from lcnet.compute import usual_device
from lcnet.config import Data
from lcnet.data.readers.split_names import split_called
from lcnet.data.rules_file import read_rules
from lcnet.errors import ConfigError, quoted
from lcnet.evaluating.fitting_evidence import (
    drop_evidence,
    fit_evidence,
    sampled,
    show_worth,
)
from lcnet.evaluating.fitting_views import drop_views, fit_views
from lcnet.evaluating.legend import FITTED, print_legend
from lcnet.evaluating.measuring import Scored, data_set, score
from lcnet.evaluating.metrics_table import or_dash
from lcnet.evaluating.out_of_fold import score_out_of_fold
from lcnet.evaluating.rounding import with_rounding
from lcnet.evaluating.threshold_support import POSITIVES
from lcnet.files import AnyPath, write_text
from lcnet.metrics import Floats, Rates, Targets, calibration_scores, predict_at, rates
from lcnet.metrics.array_checks import count_present, rounded
from lcnet.metrics.calibration import Method, to_probabilities
from lcnet.metrics.crossfit import Fitted, fit
from lcnet.metrics.label_rules import IndexedRules
from lcnet.metrics.thresholds import FEW_POSITIVES, Goal
from lcnet.model.test_time import parse_ways
from lcnet.model_folder import ModelFolder, ModelInfo, model_fingerprint, read_info
from lcnet.model_folder.renewing import renew_exports
from lcnet.progress import paragraph, tell
from lcnet.run_folder import RunFolder

SAID = {"fitted": "these pictures", "cross-fitted": "new pictures"}
"""What rows of calibration.json are called on the screen."""
LISTED = 20
"""Most labels whose thresholds are printed; the report and model.json have all."""


def fit_model(
    run: Path,
    *,
    goal: Goal,
    method: Method,
    shrinkage: float,
    split: str,
    root: str,
    data: Data | AnyPath | None,
    batch_size: int | None,
    quiet: bool,
    rules_file: Path | None = None,
    tta: str = "",
    evidence: bool = False,
    views: str = "",
    within: float = 0.1,
    most_views: float | None = None,
) -> Fitted:
    """The calibration and thresholds of a model, fitted and written to its folder.

    Also prints three rows of metrics (CP to mean_label_F1, ECE, Brier) and writes them to
    calibration.json: at 0.5; fitted, measured on the same pictures and so too good; and
    cross-fitted, to be expected of new pictures. Arguments and errors are those of `calibrate`.
    """
    if most_views is not None and views != "needed":
        raise ConfigError("--most_views: needs --views needed. Add it.")
    if views == "needed":
        if tta and parse_ways(tta):
            raise ConfigError("--tta: does not go with --views needed. Leave one of them out.")
        fit_views(
            run,
            within=within,
            most=most_views,
            split=split,
            root=root,
            data=data,
            batch_size=batch_size,
            quiet=quiet,
        )
    elif views == "all":
        drop_views(run)
    info = read_info(run)
    if rules_file is not None:
        info = replace(info, rules=read_rules(rules_file, info.labels) or None)
    if tta:
        info = info.seen_by(parse_ways(tta))
    scored = _scored(
        run,
        split=split,
        root=root,
        data=data,
        batch_size=batch_size,
        quiet=quiet,
        sets_rules=rules_file is not None,
        ways=info.test_time,
    )
    # Before the rest, whose files name the model with it.
    sample = sampled(scored)
    parts = fit_evidence(sample, info) if evidence else ()
    before = info
    fitted, info = fit_scores(
        scored, before, goal=goal, method=method, shrinkage=shrinkage, quiet=quiet
    )
    if parts and not quiet:
        show_worth(sample, info, parts)
    elif evidence and not quiet:
        tell(
            "known labels tell nothing that can be shown of the others on these "
            f"{len(scored.logits):,} pictures, so nothing was kept of it. More pictures help."
        )
    if info is not before or parts or views:
        _tell_older(run)
    return fitted


def _scored(
    run: Path,
    *,
    split: str,
    root: str,
    data: Data | AnyPath | None,
    batch_size: int | None,
    quiet: bool,
    sets_rules: bool,
    ways: tuple[str, ...],
) -> Scored:
    """The logits of the split to fit on."""
    if RunFolder(run).has_folds and not split and data is None:
        return score_out_of_fold(run, root=root, batch_size=batch_size, ways=ways, quiet=quiet)
    whole, _ = data_set(run, data, root, batch_size, quiet=quiet)
    name = split_called(whole, split or whole.val)
    if not name:
        raise ConfigError("--split: expected a split, got none, as data.val is empty. Set --split.")
    for line in _warnings(name, whole):
        _console(quiet=quiet).print(paragraph(line), soft_wrap=True)
    own = None if data is None else replace(whole, rules="" if sets_rules else whole.rules)
    return score(
        run, split=name, root=root, data=own, batch_size=batch_size, quiet=quiet, ways=ways
    )


def fit_scores(
    scored: Scored,
    before: ModelInfo,
    *,
    goal: Goal,
    method: Method,
    shrinkage: float,
    quiet: bool = False,
    only_if_better: bool = False,
) -> tuple[Fitted, ModelInfo]:
    """The same for logits that are known; also the new description of the model.

    `before` is the description that gets the calibration and thresholds; decisions keep its rules.
    With `only_if_better` probabilities stay as they are if the Brier score of new pictures would
    not be better, and their labels as at 0.5 if CF1 would not. That happens if there are few
    pictures. Thresholds that miss a precision or recall by more than 0.5 does are never taken.
    """
    logits, targets, samples = scored.logits, scored.targets, scored.samples
    rules = before.rules.on(before.labels) if before.rules else None
    fitted = fit(logits, targets, method=method, goal=goal, shrinkage=shrinkage, rules=rules)
    source = f"{goal} on {samples.name} ({len(samples):,} pictures), {_METHODS[method]}"
    if before.views:
        source += ", with needed views"
    if before.test_time:
        source += f", with {', '.join(before.test_time)}"
    worth = _worth_of(scored, fitted, rules)
    console = _console(quiet=quiet)
    if only_if_better and method != "none" and not _lowers_brier(worth):
        console.print("probabilities stay as they are: those of new pictures would not improve")
        return fit_scores(
            scored,
            before,
            goal=goal,
            method="none",
            shrinkage=shrinkage,
            quiet=quiet,
            only_if_better=True,
        )
    console.print(source)
    if before.rules:
        console.print(f"decisions keep the model's label rules: {before.rules}")
    _show(console, worth, fitted.folds)
    if line := _missed_by_more(worth, fitted, goal):
        console.print(paragraph(line), soft_wrap=True)
        return fitted, before
    if only_if_better and not _lowers_brier(worth) and not _raises_f1(worth):
        line = (
            "not applied, since labels of new pictures would not improve either: thresholds stay "
            f"at 0.5. More pictures in {samples.name} than these {len(samples):,} help."
        )
        console.print(paragraph(line), soft_wrap=True)
        return fitted, before
    stays = only_if_better and not _raises_f1(worth)
    if stays:
        fitted = _at_half(fitted, logits, targets, rules)
        source = f"labels as at 0.5 before the correction; {source}"
        lines: Iterable[str] = [
            f"labels stay as at 0.5, since {_worse(worth)}. A threshold is where 0.5 was before "
            "probabilities were corrected."
        ]
    else:
        lines = _outcome(goal, fitted, samples.labels, targets)
        if goal == Goal() and not _raises_f1(worth):
            reset = f"lcnet calibrate {quoted(scored.run)} --reset"
            lines = [*lines, f"warning: {_worse(worth)}. To go back to 0.5: {reset}"]
    for line in lines:
        console.print(paragraph(line), soft_wrap=True)
    changed = replace(
        before,
        thresholds=fitted.thresholds.values,
        by_hand=(),
        calibration=replace(fitted.calibration, source=source),
    )
    changed = with_rounding(changed, scored.run, samples, scored.data, quiet=quiet)
    if changed.rounding:
        is_taken = changed.rounding.is_small(usual_device())
        taken = "taken" if is_taken else "not taken, unless --precision bf16 asks for it"
        text = f"predictions in bfloat16, which is faster: {taken}; {changed.rounding}"
        console.print(paragraph(text), soft_wrap=True)
    write_decisions(scored.run, changed)
    written: dict[str, Any] = {
        "model": model_fingerprint(scored.run),
        "source": source,
        "reached": fitted.reached,
        "aim": str(fitted.aim),
        **worth,
    }
    if not stays:
        counts = count_present(targets).tolist()
        written[POSITIVES] = dict(zip(samples.labels, counts, strict=True))
    text = json.dumps(written, indent=1, ensure_ascii=False)
    write_text(RunFolder(scored.run).calibration_file, text)
    for by_hand in before.by_hand:
        console.print(f"replaced a threshold that was set by hand: {by_hand}", soft_wrap=True)
    return fitted, changed


def write_decisions(run: Path, info: ModelInfo) -> None:
    """Write thresholds and calibration into the model folder and the files exported beside it."""
    ModelFolder.at(run).write_info(info)
    renew_exports(run)


def _tell_older(run: Path) -> None:
    """Say which of the run's results are of the model as it was before."""
    folder = RunFolder(run)
    older = folder.metrics_files() + folder.report_files()
    if older:
        names = ", ".join(file.name for file in older[:-1])
        names = f"{names} and {older[-1].name}" if names else older[-1].name
        name = quoted(run)
        tell(f"the model has changed since these were written: {names}; to write them again")
        tell(f"      lcnet evaluate {name}\n      lcnet report {name}")


def replace_thresholds(run: Path, thresholds: Mapping[str, float], *, quiet: bool) -> None:
    """Replace some labels' thresholds; the others and the probabilities stay.

    Raises ConfigError for a label that the model does not have, or a value outside 0 to 1.
    """
    info = read_info(run)
    for label, value in thresholds.items():
        if label not in info.labels:
            near = get_close_matches(label, info.labels, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"It has {', '.join(info.labels[:20])}."
            raise ConfigError(f"--set {label}: the model has no such label. {hint}")
        if not 0 <= value <= 1:
            raise ConfigError(f"--set {label}: expected a threshold of 0 to 1, got {value:g}.")
    was = dict(zip(info.labels, info.thresholds, strict=True))
    changed = replace(
        info,
        thresholds=tuple(thresholds.get(label, was[label]) for label in info.labels),
        by_hand=tuple(sorted({*info.by_hand, *thresholds}, key=info.labels.index)),
        rounding=None,  # it counts the pictures that get other labels
    )
    write_decisions(run, changed)
    if not quiet:
        for label, value in thresholds.items():
            tell(f"{label}: threshold {value:g}, was {was[label]:.2f}")
    _tell_older(run)


def reset(run: Path) -> None:
    """Set every threshold of a model back to 0.5, and its probabilities to the plain sigmoid.

    Raises CheckpointError if the model cannot be read.
    """
    before = read_info(run)
    drop_evidence(run, before)
    drop_views(run)
    write_decisions(run, before.uncalibrated())
    RunFolder(run).calibration_file.unlink(missing_ok=True)
    plain = ", pictures are seen as they are" if before.test_time else ""
    tell(f"{run}: every threshold is 0.5 and no calibration is applied{plain}")
    _tell_older(run)


_METHODS = {
    "platt": "probabilities corrected label by label",
    "temperature": "one temperature",
    "none": "probabilities as they are",
}


def _warnings(split: str, data: Data) -> Iterator[str]:
    if split == data.test:
        yield (
            f"warning: {split} is the test split (data.test). A model that is fitted on it cannot "
            "be tested on it. Set --split to another split, or test on other pictures."
        )
    if split == data.train:
        yield (
            f"warning: {split} is the training split (data.train). The model has seen its pictures,"
            " so the thresholds will not suit new ones. Set --split to another split."
        )


def _worth_of(
    scored: Scored, fitted: Fitted, rules: IndexedRules | None
) -> dict[str, dict[str, float | None]]:
    """The metrics at 0.5, as fitted, and cross-fitted."""
    logits, targets = scored.logits, scored.targets
    calibrated = to_probabilities(logits, fitted.calibration)
    return {
        "at 0.5": _worth(to_probabilities(logits), np.array(0.5), targets, rules),
        "fitted": _worth(calibrated, np.array(fitted.thresholds.values), targets, rules),
        "cross-fitted": _numbers(fitted.expected, fitted.expected_probabilities, targets),
    }


def _lowers_brier(worth: Mapping[str, Mapping[str, float | None]]) -> bool:
    """Whether calibration improves the probabilities of new pictures."""
    before, after = worth["at 0.5"]["Brier"], worth["cross-fitted"]["Brier"]
    return before is not None and after is not None and after < before


def _raises_f1(worth: Mapping[str, Mapping[str, float | None]]) -> bool:
    """Whether fitted thresholds improve the labels of new pictures."""
    before, after = worth["at 0.5"]["CF1"], worth["cross-fitted"]["CF1"]
    return before is not None and after is not None and after > before


def _worse(worth: Mapping[str, Mapping[str, float | None]]) -> str:
    """That fitted thresholds do not improve the labels of new pictures, with the numbers."""
    before, after = worth["at 0.5"], worth["cross-fitted"]
    both = ", ".join(f"{name} {or_dash(after[name], 1)}" for name in ("CF1", "OF1"))
    return (
        f"fitted thresholds would not improve the labels of new pictures: {both}; at 0.5 "
        f"{or_dash(before['CF1'], 1)} and {or_dash(before['OF1'], 1)}"
    )


def _missed_by_more(
    worth: Mapping[str, Mapping[str, float | None]], fitted: Fitted, goal: Goal
) -> str:
    """That nothing is changed, where 0.5 is nearer to a goal that is not reached; else empty."""
    if goal.at_least is None or fitted.reached:
        return ""
    before, after = worth["at 0.5"][goal.mean], worth["cross-fitted"][goal.mean]
    if before is None or after is None or after >= before:
        return ""
    return (
        f"warning: {goal}: not reached, and nothing is changed: {goal.mean} of new pictures would "
        f"be {after:.1f}, and at 0.5 it is {before:.1f}. Train a better model, ask for less, or "
        "use more validation pictures."
    )


def _at_half(
    fitted: Fitted, logits: Floats, targets: Targets, rules: IndexedRules | None
) -> Fitted:
    """The same calibration with thresholds where a probability of 0.5 was before it."""
    from scipy.special import expit

    values = tuple(expit(np.array(fitted.calibration.bias)).tolist())
    predicted = predict_at(to_probabilities(logits), np.array(0.5), rules)
    return replace(
        fitted,
        thresholds=replace(fitted.thresholds, values=values),
        expected=rates(predicted, targets),
    )


def _worth(
    probabilities: Floats, threshold: Floats, targets: Targets, rules: IndexedRules | None
) -> dict[str, float | None]:
    predicted = predict_at(probabilities, threshold, rules)
    return _numbers(rates(predicted, targets), probabilities, targets)


def _numbers(measured: Rates, probabilities: Floats, targets: Targets) -> dict[str, float | None]:
    """The rates, ECE and Brier score by name; the rates rounded to 4 digits."""
    calibration = calibration_scores(probabilities, targets)
    return {
        **{name: rounded(value, 4) for name, value in asdict(measured).items()},
        **calibration.headline(),
    }


# What is printed


def _console(*, quiet: bool) -> Console:
    return Console(highlight=False, markup=False, quiet=quiet)


def _show(console: Console, worth: dict[str, dict[str, float | None]], folds: int) -> None:
    table = Table("")
    # Without mean_label_F1 the table fits 80 columns.
    names = [name for name in worth["fitted"] if name != "mean_label_F1"]
    for name in names:
        table.add_column(name, justify="right")
    for name_of_row, numbers in worth.items():
        shown = [or_dash(numbers[name], 4 if name == "Brier" else 1) for name in names]
        title = SAID.get(name_of_row, name_of_row)
        table.add_row(title, *shown, style="bold" if name_of_row == "cross-fitted" else "")
    console.print(table)
    console.print(
        "new pictures: to be expected, as each picture is judged by what was fitted to\n"
        f"the other {folds - 1} of {folds} parts. these pictures: too good, as fitted to them."
    )
    print_legend(console, FITTED)


def _outcome(
    goal: Goal, fitted: Fitted, labels: tuple[str, ...], targets: Targets
) -> Iterator[str]:
    """Whether the goal is reached, the labels that are special, and all thresholds; a line each."""
    if goal.at_least is not None:
        mean, value = goal.mean, getattr(fitted.expected, goal.mean)
        if fitted.reached:
            margin = "" if fitted.aim == goal else f", with thresholds for {fitted.aim}"
            yield f"{goal}: reached, {mean} {value:.1f} on new pictures{margin}"
        else:
            yield (
                f"warning: {goal}: not reached; the nearest is {mean} {value:.1f} on new "
                "pictures. Train a better model, ask for less, or use more validation pictures."
            )
    thresholds, common = fitted.thresholds, "they get the threshold that is best for all labels"
    for indices, what in (
        (thresholds.unreachable, f"no threshold reaches a {goal}, the nearest is taken"),
        (thresholds.without_positive, f"no picture shows them, so {common}"),
        (thresholds.without_absent, f"every picture shows them, so left out: {common}"),
    ):
        if indices:
            yield f"{what}: {', '.join(labels[index] for index in indices)}"
    counts = count_present(targets)
    rows = zip(labels, thresholds.values, counts, strict=True)
    shown = [
        f"{label} {value:.2f}{'*' * bool(count < FEW_POSITIVES)} ({count:,})"
        for label, value, count in islice(rows, LISTED)
    ]
    more = f" and {len(labels) - LISTED:,} more" if len(labels) > LISTED else ""
    yield (
        f"thresholds (pictures that show the label): {', '.join(shown)}{more}; the best for all "
        f"labels together {thresholds.common:.2f}"
    )
    if few := int((counts < FEW_POSITIVES).sum()):
        yield (
            f"* {few:,} of {len(labels):,} thresholds rest on fewer than {FEW_POSITIVES} such "
            "pictures and may be far off; more of them help"
        )
