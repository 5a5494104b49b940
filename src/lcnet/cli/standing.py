"""`lcnet` alone: where one stands in this folder, in a few lines and without importing torch."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path
from typing import Any, Literal

from lcnet.cli.following import training
from lcnet.config import Config
from lcnet.errors import LCNetError, quoted
from lcnet.progress import next_lines
from lcnet.run_folder import RunFolder
from lcnet.runs.next_commands import predicting, serving

RUNS = Path("runs")
PREDICTIONS = Path("predictions.jsonl")
"""What the command that is proposed for predicting writes: once it is there, that was done."""
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
    val: str = ""
    """The validation mAP: as measured last, or the best so far; empty if not known."""
    test: str = ""
    """The test mAP; empty if it was not measured."""
    is_unmeasured: bool = False
    """Whether it has a test split on which it was not measured."""

    @property
    def is_readable(self) -> bool:
        """Whether its files could be read."""
        return self.state != "unreadable"


def where_one_stands() -> str:
    """The runs below `runs`, what to do next, and where help is."""
    folders = sorted(_runs(RUNS), key=_changed, reverse=True)
    shown = [_standing(run) for run in folders[:MOST]]
    lines = _table(shown) if shown else [f"no runs in {RUNS.absolute()} yet"]
    if more := len(folders) - len(shown):
        lines.append(f"and {more:,} older ones")
    if any(row.val.endswith(")") or row.test.endswith(")") for row in shown):
        lines.append("in brackets: the pictures that the mAP is of")
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
        if run.is_run or run.has_folds or run.waits_for_head:
            yield run
        elif depth > 1:
            yield from _runs(run.path, depth - 1)


def _changed(run: RunFolder) -> float:
    """When a run changed last."""
    if run.waits_for_head:
        return _changed(run.head)
    files = (run.history_file, run.metrics_file, run.record_file, run.config_file, run.plan_file)
    return max(file.stat().st_mtime for file in files if file.is_file())


# One run


def _standing(run: RunFolder) -> Standing:
    """How far a run is; one that cannot be read is said to be so."""
    try:
        if run.waits_for_head:
            return _of_head(run)
        return _of_folds(run) if run.has_folds else _of_run(run)
    except LCNetError as error:
        return Standing(run, "unreadable", progress=f"cannot be read: {error}")


def _of_run(run: RunFolder) -> Standing:
    config, measured = run.config(), _metrics(run)
    of = {content.get("role"): content for content in reversed(measured)}
    rows = run.history() if run.history_file.is_file() else []
    done = int(rows[-1]["epoch"]) if rows else 0
    state = _state(run, is_finished=run.is_finished)
    val = _best(run, config, rows)
    if state == "finished":
        progress = f"finished, {done} epoch{'s' * (done != 1)}"
        val = _measured(of.get("val", {})) or val  # the kept model's before the training's
    else:
        verb = "training" if state == "training" else "stopped"
        progress = f"{verb}, {done} of {config.train.epochs} epochs"
    test = _measured(of.get("test", {})) if state == "finished" else ""
    is_unmeasured = bool(config.data.test) and "test" not in of
    return Standing(run, state, _data_name(config), progress, val, test, is_unmeasured)


def _of_head(run: RunFolder) -> Standing:
    """How far a run is whose head learns alone before the rest of it begins."""
    head, state = _of_run(run.head), _state(run.head, is_finished=False)
    progress = head.progress.replace("finished", "stopped", 1)
    return replace(head, run=run, state=state, progress=f"{progress} of the head")


def _of_folds(run: RunFolder) -> Standing:
    folds, measured = run.folds(), _metrics(run)
    done = sum(fold.is_finished for fold in folds)
    is_finished = run.metrics_file.is_file() and run.model.is_dir()
    state = _state(run, is_finished=is_finished)
    progress = f"finished, {done} folds" if is_finished else f"{state}, {done} folds finished"
    data = _data_name(folds[0].config()) if folds else ""
    of = {content.get("role"): content for content in reversed(measured)}
    test = _measured(of.get("test", {}))
    # Without a test split folds are measured on their own pictures, each by a model that has not
    # seen it: the validation of all folds.
    val = "" if test or not measured else _measured(measured[0])
    return Standing(run, state, data, progress, val, test)


def _state(run: RunFolder, *, is_finished: bool) -> Literal["finished", "stopped", "training"]:
    if run.is_written_to:
        return "training"
    return "finished" if is_finished else "stopped"


def _metrics(run: RunFolder) -> list[dict[str, Any]]:
    """The evaluations of the run's own splits, that in metrics.json first."""
    found = []
    for file in (run.metrics_file, *map(run.metrics_of, ("train", "val", "test"))):
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        found += [content] if isinstance(content, dict) else []
    return found


def _measured(metrics: dict[str, Any]) -> str:
    """The mAP of an evaluation, and of how many pictures; empty if there is none."""
    mAP = metrics.get("mAP")
    return _of_pictures(mAP, metrics.get("images")) if isinstance(mAP, int | float) else ""


def _best(run: RunFolder, config: Config, rows: Sequence[dict[str, float]]) -> str:
    """The best validation mAP of the training; empty if there is none yet."""
    best = rows[-1]["best_mAP"] if rows else float("nan")
    if isnan(best):
        return ""
    seen = run.record().get("data")
    val = seen.get(config.data.val) if isinstance(seen, dict) else None
    return _of_pictures(best, val.get("pictures") if isinstance(val, dict) else None)


def _of_pictures(mAP: float, pictures: object) -> str:
    """An mAP, and in brackets the number of pictures that it is of, if that is known."""
    return f"{mAP:.1f}" + (f" ({pictures:,})" if isinstance(pictures, int) else "")


def _data_name(config: Config) -> str:
    """The folder of the data set, or its label file where that is in the current one."""
    return Path(config.data.root).name or Path(config.data.train).name


# What is printed


def _table(rows: Sequence[Standing]) -> list[str]:
    """A row per run. The pictures of two splits differ, so each has its own column."""
    cells = [("run", "data", "state", "val mAP", "test mAP")]
    cells += [(quoted(row.run.path), row.data, row.progress, row.val, row.test) for row in rows]
    # What is wrong with an unreadable run is a sentence, and the last of its row.
    wide = [row for row, of in zip(cells, (None, *rows), strict=True) if not of or of.is_readable]
    widths = [max(map(len, column)) for column in zip(*wide, strict=True)]
    widths[0] = max(len(row[0]) for row in cells)
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
    elif finished and PREDICTIONS.is_file():
        commands.append(serving(finished.run.path))
    elif finished:
        commands.append(predicting(finished.run.path))
    return commands if rows else ["lcnet check DATA", training("DATA")]
