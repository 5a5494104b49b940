"""A trial of `lcnet tune`: a run that reports how good it is, and can be ended early."""

import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from lcnet.config import Config
from lcnet.errors import LCNetError
from lcnet.run_folder import RunFolder
from lcnet.runs.many_runs import printing_beside
from lcnet.runs.run import begin, go_on
from lcnet.runs.search_space import Choice, Range, shortened
from lcnet.training.watching import Watch

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial


class Behind(Exception):
    """A trial is not worth its time; the message says why."""


class Trained(Exception):
    """A trial is through its last epoch. Only the best is measured and reported."""


class TrialWatch(Watch):
    """Tells the search how good a trial is, epoch by epoch."""

    def __init__(
        self, trial: "Trial", config: Config, *, until: float, most_seconds: float
    ) -> None:
        """Watch a trial that may take `most_seconds` in all."""
        self.trial, self.recipe, self.until = trial, config.train, until
        self.most_seconds = most_seconds
        self.epochs: list[float] = []

    def see(self, row: Mapping[str, Any]) -> None:
        """Report the best score so far. Raises Behind or Trained where the training is to end."""
        done = int(row["epoch"])
        if not done:
            return
        self.epochs.append(float(row["seconds"]))
        if done >= self.recipe.epochs:
            raise Trained
        tenth = 10 * done // self.recipe.epochs  # so that trainings of two lengths can be compared
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the last epoch of a tenth counts, said at its first
            self.trial.report(_score(row, self.recipe.best_by), tenth)
        if not self.trial.number:
            return  # the settings given are what all others are compared with
        if self.trial.should_prune():
            raise Behind("behind")
        whole = fmean(self.epochs) * self.recipe.epochs
        if whole > self.most_seconds:
            raise Behind(
                f"too slow: {whole / 60:.1f} min in all, of {self.most_seconds / 60:.1f} that one "
                "may take"
            )


def _score(row: Mapping[str, Any], best_by: str) -> float:
    """The best score so far, more is better."""
    value = float(row[f"best_{best_by}"])
    return -value if best_by == "loss" else value


def ended(study: "Study") -> "list[FrozenTrial]":
    """The trials that were trained to their end, ended early, or failed, in order."""
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]


def unfinished(study: "Study") -> "Trial | None":
    """The trial that an earlier command has not ended."""
    from optuna.trial import Trial, TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        return Trial(study, trial._trial_id)
    return None


def proposed(trial: "Trial", ranges: Mapping[str, Range | Choice]) -> dict[str, Any]:
    """A value for each setting, which the database keeps as well."""
    values = {}
    for name, kind in ranges.items():
        match kind:
            case Choice():
                value = trial.suggest_categorical(name, kind.values)
            case Range(is_whole=True):
                value = trial.suggest_int(name, int(kind.low), int(kind.high), log=kind.is_log)
            case Range():
                value = trial.suggest_float(name, kind.low, kind.high, log=kind.is_log)
                value = shortened(value) if trial.number else value
        values[name] = value
    return values


def run_of(out: Path, number: int) -> RunFolder:
    """The run folder of a trial."""
    return RunFolder(out / "trials" / f"{number:03d}")


def train_trial(
    trial: "Trial",
    config: Config,
    changes: Mapping[str, Any],
    run: RunFolder,
    *,
    until: float,
    most_seconds: float,
) -> str:
    """Train a trial to its end, or until it is behind; returns what came out, in words.

    It has the settings of `config` with `changes`. Raises TimeUp or Stopped, and an error of the
    first trial, whose settings are the user's.
    """
    from optuna.trial import TrialState

    study = trial.study
    try:
        config = config.changed(changes, f"trial {trial.number}")
        watch = TrialWatch(trial, config, until=until, most_seconds=most_seconds)
        with printing_beside(run), suppress(Trained):
            if run.has_checkpoint:
                go_on(run, watch=watch)
            else:
                overwrite = run.path.exists()
                begin(config, run, overwrite=overwrite, init=None, watch=watch)
    except Behind as reason:
        study.tell(trial, state=TrialState.PRUNED)
        return f"ended after epoch {int(run.history()[-1]['epoch'])}, {reason}"
    except LCNetError as error:
        if not trial.number:
            raise
        study.tell(trial, state=TrialState.FAIL)
        return f"failed ({error})"
    value = _score(run.history()[-1], config.train.best_by)
    study.tell(trial, value)
    return f"{config.train.best_by} {abs(value):.2f} in validation"
