"""Fits a model's thresholds and probabilities to a goal on a split, and prints the result."""

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
from lcnet.evaluating.metrics_table import or_dash
from lcnet.files import AnyPath, write_text
from lcnet.metrics import Floats, Rates, Targets, calibration_scores, predict_at, rates
from lcnet.metrics.array_checks import rounded
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
    data: Data | AnyPath | None,
    batch_size: int | None,
    quiet: bool,
) -> Fitted:
    """The calibration and thresholds of a model, fitted and written to its folder.

    Also prints three rows of metrics (CP to mean_label_F1, ECE, Brier) and writes them to
    calibration.json: at 0.5; fitted, measured on the same pictures and so too good; and
    cross-fitted, to be expected of new pictures. Arguments and errors are those of `calibrate`.
    """
    info = read_info(run)
    is_own = data is None
    data, batch_size = data_set(run, data, root, batch_size, quiet=quiet)
    name = split or data.val
    if not name:
        raise ConfigError("--split: expected a split, got none, as data.val is empty. Set --split.")
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
    for line in _outcome(goal, fitted, samples.labels, targets):
        console.print(line, soft_wrap=True)
    return fitted


def reset(run: Path) -> None:
    """Set every threshold of a model back to 0.5, and its probabilities to the plain sigmoid.

    Raises CheckpointError if the model cannot be read.
    """
    ModelFolder.at(run).write_info(read_info(run).uncalibrated())
    RunFolder(run).calibration_file.unlink(missing_ok=True)
    tell(f"{run}: every threshold is 0.5 and no calibration is applied")


_METHODS = {
    "platt": "a slope and a bias per label",
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


def _worth(probabilities: Floats, threshold: Floats, targets: Targets) -> dict[str, float | None]:
    return _numbers(rates(predict_at(probabilities, threshold), targets), probabilities, targets)


def _numbers(measured: Rates, probabilities: Floats, targets: Targets) -> dict[str, float | None]:
    """The rates, ECE and Brier score by name; the rates rounded to 4 digits."""
    calibration = calibration_scores(probabilities, targets)
    return {
        **{name: rounded(value, 4) for name, value in asdict(measured).items()},
        **calibration.headline(),
    }


# What is printed


def _show(console: Console, worth: dict[str, dict[str, float | None]], folds: int) -> None:
    table = Table("")
    # Without mean_label_F1 the table fits 80 columns.
    names = [name for name in worth["fitted"] if name != "mean_label_F1"]
    for name in names:
        table.add_column(name, justify="right")
    for title, numbers in worth.items():
        shown = [or_dash(numbers[name], 4 if name == "Brier" else 1) for name in names]
        table.add_row(title, *shown, style="bold" if title == "cross-fitted" else "")
    console.print(table)
    console.print(
        f"cross-fitted: each picture predicted with what the other {folds - 1} of {folds} parts "
        "gave,\nwhich is what to expect of new ones. fitted: too good, seen before."
    )


def _outcome(
    goal: Goal, fitted: Fitted, labels: tuple[str, ...], targets: Targets
) -> Iterator[str]:
    """Whether the goal is reached, the labels that are special, and all thresholds; a line each."""
    if goal.at_least is not None:
        mean = "CP" if goal.name == "precision" else "CR"
        value = getattr(fitted.expected, mean)
        if fitted.reached:
            margin = "" if fitted.aim == goal else f", with thresholds for {fitted.aim}"
            yield f"{goal}: reached, {mean} {value:.1f} cross-fitted{margin}"
        else:
            yield (
                f"warning: {goal}: not reached; the nearest is {mean} {value:.1f} cross-fitted. "
                "Train a better model, ask for less, or use more validation pictures."
            )
    thresholds = fitted.thresholds
    for indices, what in (
        (thresholds.unreachable, f"no threshold reaches a {goal}, the nearest is taken"),
        (thresholds.without_positive, "no positive to fit to, the common threshold is taken"),
        (
            thresholds.without_absent,
            "no absent picture to fit to, so left out: the common threshold is taken",
        ),
    ):
        if indices:
            yield f"{what}: {', '.join(labels[index] for index in indices)}"
    counts = (targets == 1).sum(axis=0)
    rows = zip(labels, thresholds.values, counts, strict=True)
    shown = [f"{label} {value:.2f} ({count:,})" for label, value, count in rows]
    yield f"thresholds (positives): {', '.join(shown)}; common threshold {thresholds.common:.2f}"
