"""What a search of `lcnet tune` has found: the best trial, finished; a table; what mattered."""

import csv
import io
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lcnet.errors import ConfigError, LCNetError, quoted
from lcnet.evaluating.measuring import measure
from lcnet.metrics.bootstrap import paired_difference
from lcnet.progress import tell
from lcnet.run_folder import RunFolder, seconds_of
from lcnet.runs.run import go_on
from lcnet.runs.trial import ended, run_of

if TYPE_CHECKING:
    from optuna import Study

BEST, TABLE = "best.yaml", "trials.csv"
FEWEST = 12
"""Trained trials from which on something can be said of each setting."""


@dataclass(frozen=True)
class Tuned:
    """What a search has found."""

    run: Path
    """The run folder of the best trial, finished."""
    best: float
    """Its validation score by `train.best_by`; mAP, CF1 and OF1 from 0 to 100."""
    given: float
    """That of the first trial, which has the settings given."""
    trials: int
    """Trials that were trained to their end, or ended early."""


def words(params: Mapping[str, Any]) -> str:
    """The values of the searched settings, with few digits."""
    shown = (f"{name.partition('.')[2]} {_short(value)}" for name, value in params.items())
    return ", ".join(shown)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def table(study: "Study", out: Path) -> str:
    """A row per ended trial: what came out, its time and its settings."""
    trials = ended(study)
    names = list(trials[0].params)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["trial", "state", "score", "epochs", "seconds", *names])
    for trial in trials:
        with suppress(LCNetError):
            history = run_of(out, trial.number).history()
            score = "" if trial.value is None else f"{trial.value:.3f}"
            values = [_short(trial.params.get(name, "")) for name in names]
            state = {"COMPLETE": "trained", "PRUNED": "ended early"}.get(trial.state.name, "failed")
            rows.writerow(
                [
                    trial.number,
                    state,
                    score,
                    int(history[-1]["epoch"]),
                    f"{seconds_of(history):.1f}",
                    *values,
                ]
            )
    return text.getvalue()


def result(study: "Study", out: Path, minutes: float) -> Tuned:
    """Finish the best trial, and say what was found."""
    trials = ended(study)
    if not trials:
        run = run_of(out, 0)
        raise ConfigError(
            f"--minutes: expected enough for one training with the settings given, got {minutes:g}."
            f" It is saved in {run}: go on with the same command and more minutes."
        )
    best, first = study.best_trial, trials[0]
    run = run_of(out, best.number)
    if not run.is_finished:
        go_on(run)
    run.config().save(out / BEST)
    assert best.value is not None and first.value is not None
    by = run.config().train.best_by
    tell(
        f"best of {len(trials)} trials: number {best.number}, {by} {abs(best.value):.2f} in "
        f"validation, {abs(first.value):.2f} with the settings given"
    )
    for line in (_what_mattered(study), _on_test(run, run_of(out, 0))):
        if line:
            tell(line)
    tell(f"all trials: {out / TABLE}; the best: lcnet evaluate {quoted(run)}")
    tell(f"train it again: lcnet train --config {quoted(out / BEST)} --out ANOTHER")
    return Tuned(run.path, best.value, first.value, len(trials))


def _what_mattered(study: "Study") -> str:
    """How much of the differences between trials each setting explains; empty with few trials."""
    from optuna.importance import get_param_importances

    complete = [trial for trial in ended(study) if trial.state.name == "COMPLETE"]
    if len(complete) < FEWEST or len(complete[0].params) < 2:
        return ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shares = get_param_importances(study)
    shown = ", ".join(f"{name.partition('.')[2]} {100 * of:.0f} %" for name, of in shares.items())
    return f"what the scores of these trials depend on (fANOVA, rough): {shown}"


def _on_test(best: RunFolder, first: RunFolder) -> str:
    """What the gain is on pictures that chose nothing."""
    data = best.config().data
    split = data.test
    if best == first:
        return "no trial was better than the settings given"
    if split in ("", data.val, data.train):
        return (
            "the best was chosen among many on these pictures, which flatters it; measure it on "
            f"others: lcnet evaluate {quoted(best)} DATA"
        )
    ours, theirs = (measure(run.path, split=split, quiet=True) for run in (best, first))
    gain = paired_difference([ours.probabilities], [theirs.probabilities], ours.targets)
    return (
        f"{split}, which chose nothing: mAP {ours.verification.mAP:.2f}, "
        f"{theirs.verification.mAP:.2f} with the settings given: {gain.value:+.2f} "
        f"(95 % over pictures: {gain.low:+.2f} to {gain.high:+.2f})"
    )
