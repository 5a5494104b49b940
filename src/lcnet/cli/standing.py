"""`lcnet` alone: where one stands in this folder, in a few lines and without importing torch."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any, Literal

from lcnet.cli.following import training
from lcnet.config import Config
from lcnet.errors import LCNetError
from lcnet.progress import next_lines
from lcnet.run_folder import RunFolder
from lcnet.runs.next_commands import predicting, quoted

RUNS = Path("runs")
MOST = 8
"""Runs that are shown: the newest."""
DEPTH = 3
"""How deep below `runs` a run is looked for: a comparison has a folder of them."""


@dataclass(frozen=True)
class Standing:
    """How far one run is."""

    run: RunFolder
    state: Literal["finished", "stopped", "training", "unreadable"]
    data: str = ""
    """The name of its data set."""
    progress: str = ""
    """How far it is, in words."""
    mAP: str = ""
    """Of the last evaluation, or the best in validation so far."""
    is_unmeasured: bool = False
    """Whether it has a test split on which it was not measured last."""


def where_one_stands() -> str:
    """The runs below `runs`, what to do next, and where help is."""
    folders = sorted(_runs(RUNS), key=_changed, reverse=True)
    shown = [_standing(run) for run in folders[:MOST]]
    lines = _table(shown) if shown else [f"no runs in {RUNS.absolute()} yet"]
    if more := len(folders) - len(shown):
        lines.append(f"and {more:,} older ones")
    following = ["", next_lines(commands)] if (commands := _next(shown)) else []
    return "\n".join([*lines, *following, "", HELP])


HELP = "All verbs: lcnet --help. One of them: lcnet VERB --help."


def _runs(folder: Path, depth: int = DEPTH) -> Iterator[RunFolder]:
    """The runs in a folder; folds count as one, and nothing is looked for inside a run."""
    try:
        inside = [path for path in folder.iterdir() if path.is_dir()]
    except OSError:
        return
    for run in map(RunFolder, inside):
        if run.is_run or run.has_folds:
            yield run
        elif depth > 1:
            yield from _runs(run.path, depth - 1)


def _changed(run: RunFolder) -> float:
    """When a run changed last."""
    files = (run.history_file, run.metrics_file, run.record_file, run.config_file, run.plan_file)
    return max(file.stat().st_mtime for file in files if file.is_file())


# One run


def _standing(run: RunFolder) -> Standing:
    """How far a run is; one that cannot be read is said to be so."""
    try:
        return _of_folds(run) if run.has_folds else _of_run(run)
    except LCNetError as error:
        return Standing(run, "unreadable", progress=f"cannot be read: {error}")


def _of_run(run: RunFolder) -> Standing:
    config, measured = run.config(), _metrics(run)
    rows = run.history() if run.history_file.is_file() else []
    done = int(rows[-1]["epoch"]) if rows else 0
    state = _state(run, is_finished=run.is_finished)
    if state == "finished":
        mAP, progress = _measured(measured), f"finished, {done} epoch{'s' * (done != 1)}"
    else:
        verb = "training" if state == "training" else "stopped"
        mAP, progress = _best(rows), f"{verb}, {done} of {config.train.epochs} epochs"
    is_unmeasured = bool(config.data.test) and measured.get("role") != "test"
    return Standing(run, state, _data_name(config), progress, mAP, is_unmeasured)


def _of_folds(run: RunFolder) -> Standing:
    folds, measured = run.folds(), _metrics(run)
    done = sum(fold.is_finished for fold in folds)
    is_finished = run.metrics_file.is_file() and run.model.is_dir()
    state = _state(run, is_finished=is_finished)
    progress = f"finished, {done} folds" if is_finished else f"{state}, {done} folds finished"
    data = _data_name(folds[0].config()) if folds else ""
    return Standing(run, state, data, progress, _measured(measured))


def _state(run: RunFolder, *, is_finished: bool) -> Literal["finished", "stopped", "training"]:
    if run.is_written_to:
        return "training"
    return "finished" if is_finished else "stopped"


def _metrics(run: RunFolder) -> dict[str, Any]:
    """The last evaluation; empty where there is none that can be read."""
    try:
        content = json.loads(run.metrics_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _measured(metrics: dict[str, Any]) -> str:
    if not isinstance(metrics.get("mAP"), int | float):
        return ""
    return f"{metrics.get('role') or metrics.get('split') or ''} mAP {metrics['mAP']:.1f}".strip()


def _best(rows: Sequence[dict[str, float]]) -> str:
    best = rows[-1]["best_mAP"] if rows else float("nan")
    return "" if isnan(best) else f"best val mAP {best:.1f}"


def _data_name(config: Config) -> str:
    """The folder of the data set, or its label file where that is in the current one."""
    return Path(config.data.root).name or Path(config.data.train).name


# What is printed


def _table(rows: Sequence[Standing]) -> list[str]:
    cells = [(quoted(row.run.path), row.data, row.progress, row.mAP) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def _next(rows: Sequence[Standing]) -> list[str]:
    """The one or two commands that go on from here."""
    stopped = next((row for row in rows if row.state == "stopped"), None)
    finished = next((row for row in rows if row.state == "finished"), None)
    commands = []
    if stopped:
        commands.append(f"lcnet train --resume {quoted(stopped.run.path)}")
    if finished and finished.is_unmeasured:
        commands.append(f"lcnet evaluate {quoted(finished.run.path)}")
    elif finished:
        commands.append(predicting(finished.run.path))
    return commands if rows else ["lcnet check DATA", training("DATA")]
