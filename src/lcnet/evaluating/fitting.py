"""Thresholds and probabilities of a model, fitted to a goal on a split."""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from lcnet.config import Data
from lcnet.data.changes import tell_changes
from lcnet.data.readers import load_split_for
from lcnet.errors import ConfigError
from lcnet.evaluating.measuring import data_set, score_split
from lcnet.files import write_text
from lcnet.metrics import Floats, Rates, Targets, calibration_scores, predict_at, rates
from lcnet.metrics.calibration import Method, to_probabilities
from lcnet.metrics.crossfit import Fitted, fit
from lcnet.metrics.thresholds import Goal
from lcnet.model_folder import ModelFolder, read_info
from lcnet.progress import tell
from lcnet.run_folder import RunFolder


def fit_model(
    run: Path,
    *,
    goal: Goal,
    method: Method,
    shrinkage: float,
    split: str,
    root: str,
    data: Data | None,
    batch_size: int | None,
    quiet: bool,
) -> Fitted:
    """Fit a run's or folder's model and keep the result in its folder, as `calibrate` says.

    What it is worth is printed, and written to calibration.json: CP to mean_label_F1, ECE and Brier
    at 0.5, as fitted on the very pictures they are measured on, and cross-fitted, which is what to
    expect of new pictures.
    """
    info = read_info(run)
    is_own = data is None
    data, batch_size = data_set(run, data, root, batch_size)
    name = split or data.val
    if not name:
        raise ConfigError("--split: expected a split, and data.val is empty. Set --split.")
    samples = load_split_for(data, name, info.labels)
    if is_own and not quiet:
        tell_changes(RunFolder(run).fingerprints_file, data, samples)
    console = Console(highlight=False, markup=False, quiet=quiet)
    for line in _warnings(name, data):
        console.print(line, soft_wrap=True)
    logits, targets = score_split(run, samples, info, data, batch_size, quiet=quiet)
    fitted = fit(logits, targets, method=method, goal=goal, shrinkage=shrinkage)
    source = f"{goal} on {name} ({len(samples):,} pictures), {_METHODS[method]}"
    changed = replace(
        info,
        thresholds=fitted.thresholds.values,
        calibration=replace(fitted.calibration, source=source),
    )
    worth = {
        "at 0.5": _worth(to_probabilities(logits), np.array(0.5), targets),
        "fitted": _worth(
            to_probabilities(logits, fitted.calibration),
            np.array(fitted.thresholds.values),
            targets,
        ),
        "cross-fitted": _numbers(fitted.expected, fitted.expected_probabilities, targets),
    }
    ModelFolder.at(run).write_info(changed)
    written = {"source": source, "reached": fitted.reached, "aim": str(fitted.aim), **worth}
    write_text(RunFolder(run).calibration_file, json.dumps(written, indent=1, ensure_ascii=False))
    console.print(source)
    _show(console, worth, fitted.folds)
    for line in _said(goal, fitted, samples.labels, targets):
        console.print(line, soft_wrap=True)
    return fitted


def reset(run: Path) -> None:
    """Give a model back its thresholds of 0.5 and its plain probabilities.

    Raises CheckpointError if the model cannot be read.
    """
    ModelFolder.at(run).write_info(read_info(run).uncalibrated())
    (RunFolder(run).calibration_file).unlink(missing_ok=True)
    tell(f"{run}: every threshold is 0.5 and no calibration is applied")


_METHODS = {
    "platt": "a slope and a bias per label",
    "temperature": "one temperature",
    "none": "probabilities as they are",
}


def _warnings(split: str, data: Data) -> Iterator[str]:
    if split == data.test:
        yield (
            f"warning: {split} is the split that data.test names. What is fitted to it cannot be "
            "tested on it: take another for --split, or test on other pictures."
        )
    if split == data.train:
        yield (
            f"warning: {split} is the split that was trained on. The model knows its pictures, so "
            "thresholds will not fit others: take another for --split."
        )


def _worth(probabilities: Floats, threshold: Floats, targets: Targets) -> dict[str, float]:
    return _numbers(rates(predict_at(probabilities, threshold), targets), probabilities, targets)


def _numbers(found: Rates, probabilities: Floats, targets: Targets) -> dict[str, float]:
    """The rates, ECE and Brier under their names, rounded to 4 and 6 digits."""
    calibration = calibration_scores(probabilities, targets)
    return {
        **{name: round(value, 4) for name, value in asdict(found).items()},
        **calibration.headline(),
    }


# What is printed


def _show(console: Console, worth: dict[str, dict[str, float]], folds: int) -> None:
    table = Table("")
    names = [name for name in worth["fitted"] if name != "mean_label_F1"]  # they fit 80 columns
    for name in names:
        table.add_column(name, justify="right")
    for title, numbers in worth.items():
        shown = [f"{numbers[name]:.{4 if name == 'Brier' else 1}f}" for name in names]
        table.add_row(title, *shown, style="bold" if title == "cross-fitted" else "")
    console.print(table)
    console.print(
        f"cross-fitted: each picture predicted with what the other {folds - 1} of {folds} parts "
        "gave,\nwhich is what to expect of new ones. fitted: too good, seen before."
    )


def _said(goal: Goal, fitted: Fitted, labels: tuple[str, ...], targets: Targets) -> Iterator[str]:
    """Whether the goal is reached, the thresholds, and which labels are special."""
    if goal.at_least is not None:
        mean = "CP" if goal.name == "precision" else "CR"
        value = getattr(fitted.expected, mean)
        if fitted.reached:
            margin = "" if fitted.aim == goal else f", with thresholds for {fitted.aim}"
            yield f"{goal}: reached, {mean} {value:.1f} cross-fitted{margin}"
        else:
            yield (
                f"warning: {goal}: not reached, {mean} {value:.1f} cross-fitted is the nearest. "
                "Train a better model, ask for less, or give more validation pictures."
            )
    found = fitted.thresholds
    for places, what in (
        (found.unreachable, f"no threshold reaches a {goal}, the nearest is taken"),
        (found.without_positive, "no positive to fit to, the common threshold is taken"),
    ):
        if places:
            yield f"{what}: {', '.join(labels[place] for place in places)}"
    counts = (targets == 1).sum(axis=0)
    rows = zip(labels, found.values, counts, strict=True)
    shown = [f"{label} {value:.2f} ({count:,})" for label, value, count in rows]
    yield f"thresholds, with positives fitted to: {', '.join(shown)}; common {found.common:.2f}"
