"""The search of `lcnet tune`: proposes settings, trains them, ends the worse, keeps the best."""

import shutil
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lcnet.config import Config
from lcnet.data.readers import record_parts
from lcnet.errors import ConfigError, LCNetError, Stopped, TimeUp
from lcnet.files import is_free, write_text
from lcnet.progress import tell
from lcnet.run_folder import RunFolder, seconds_of
from lcnet.runs.many_runs import check_same
from lcnet.runs.search_space import Choice, Range, given_values, space
from lcnet.runs.trial import ended, proposed, run_of, train_trial, unfinished
from lcnet.runs.tuning_results import TABLE, Tuned, result, table, words

if TYPE_CHECKING:
    from optuna import Study

STUDY, BASE, SEARCHED = "study.db", "search.yaml", "settings"
FIRST_TRIALS = 6
"""Trials at random, before the search learns from them, and before any is ended early."""
WARMUP = 3
"""Tenths of a training before it can be ended."""
SHARE = 1 / 6
"""Share of the minutes that one trial may take, so that several are tried."""
SLOWER = 2.0
"""How many times as long as with the settings given one may take in any case."""
FAILURES = 3
"""Failed trials one after another that end the search."""


def search(config: Config, out: Path, *, minutes: float, names: Sequence[str], most: int) -> Tuned:
    """The best of the trials; arguments and errors are those of `tune.tune`."""
    until, folder = time.monotonic() + 60 * minutes, RunFolder(out)
    ranges = space(config, names)
    _check(config, out)
    with folder.locked():
        study = _study(config, out)
        config = replace(config, data=_with_parts(config, folder))
        if not study.get_trials(deepcopy=False):
            study.set_user_attr(SEARCHED, list(ranges))
            given = given_values(config)
            study.enqueue_trial({name: given[name] for name in ranges})
        elif (searched := study.user_attrs[SEARCHED]) != list(ranges):
            raise ConfigError(
                f"--out {out}: holds a search of {', '.join(searched)}. Choose another folder, or "
                f"go on with --settings '[{', '.join(searched)}]'."
            )
        try:
            _go_on_searching(study, config, ranges, out, until=until, minutes=minutes, most=most)
        except Stopped as stopped:
            raise Stopped(
                f"{str(stopped).partition('.')[0]}, trial {len(ended(study))}. "
                "Go on with the same command.",
                stopped.signal,
            ) from None
        except LCNetError:
            if not ended(study) and not run_of(out, 0).has_checkpoint:
                shutil.rmtree(out)  # it failed before there was anything to keep
            raise
        return result(study, out, minutes)


def _check(config: Config, out: Path) -> None:
    if config.train.processes > 1:
        raise ConfigError(
            f"train.devices: expected 1, as lcnet tune trains on one device, got "
            f"{config.train.processes} in all. Leave --train.devices out."
        )
    base = out / BASE
    if base.is_file():
        check_same(config, base)
    elif not is_free(out) and any(path.name != ".lock" for path in out.iterdir()):
        raise ConfigError(f"--out {out}: already there, and not a search. Choose another folder.")
    if find_spec("optuna") is None:
        raise ConfigError.missing("optuna", "tune", use="lcnet tune")


def _study(config: Config, out: Path) -> "Study":
    """The trials so far, kept in a database in the folder."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = f"sqlite:///{(out / STUDY).absolute()}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(
            storage=storage, study_name="lcnet", direction="maximize", load_if_exists=True
        )
        # Another seed after each interruption, or the trials at random would come again.
        seed = config.train.seed + len(study.get_trials(deepcopy=False))
        study.sampler = optuna.samplers.TPESampler(
            multivariate=True, n_startup_trials=FIRST_TRIALS, seed=seed % 2**32
        )
    study.pruner = optuna.pruners.MedianPruner(FIRST_TRIALS, n_warmup_steps=WARMUP)
    if not (out / BASE).is_file():
        config.save(out / BASE)
    return study


def _with_parts(config: Config, folder: RunFolder) -> Any:
    """The data set, with the same parts for all trials where it has no splits of its own."""
    if folder.splits_file.is_file():
        return replace(config.data, splits=str(folder.splits_file.absolute()))
    return record_parts(config.data, folder.splits_file.absolute())


def _go_on_searching(
    study: "Study",
    config: Config,
    ranges: Mapping[str, Range | Choice],
    out: Path,
    *,
    until: float,
    minutes: float,
    most: int,
) -> None:
    """Train one trial after another until the time is up."""
    tell(
        f"{len(ended(study))} trials so far, searching {', '.join(ranges)}. What each prints is in "
        f"{out / 'trials'}, such as {run_of(out, 0).path.name}.log"
    )
    started, before, failed = time.monotonic(), len(ended(study)), 0
    while time.monotonic() < until and not (most and len(ended(study)) >= most):
        trial = unfinished(study) or study.ask()
        run = run_of(out, trial.number)
        try:
            state = train_trial(
                trial,
                config,
                proposed(trial, ranges),
                run,
                until=until,
                most_seconds=max(60 * minutes * SHARE, SLOWER * _given_seconds(out)),
            )
        except TimeUp:
            tell(f"trial {trial.number} goes on with the same command: it is saved")
            return
        failed = failed + 1 if state.startswith("failed") else 0
        if failed == FAILURES:
            raise ConfigError(
                f"{run}: the last {FAILURES} trials failed; see {run.path.name}.log. Search fewer "
                "settings, with --settings."
            )
        _forget_weights(study, out)
        write_text(out / TABLE, table(study, out))
        rate = (time.monotonic() - started) / (len(ended(study)) - before)
        left = max(0.0, until - time.monotonic())
        tell(
            f"trial {trial.number}: {state}; {words(trial.params)}. Best {study.best_value:.2f} "
            f"(trial {study.best_trial.number}), {left / 60:.1f} min left for about "
            f"{left / rate:.0f} trials"
        )


def _given_seconds(out: Path) -> float:
    """Seconds that the settings given have taken so far; 0 before their first epoch."""
    run = run_of(out, 0)
    return seconds_of(run.history()) if run.history_file.is_file() else 0.0


def _forget_weights(study: "Study", out: Path) -> None:
    """Delete the weights of all ended trials but the first and the best."""
    for trial in ended(study):
        if trial.number not in (0, study.best_trial.number):
            run = run_of(out, trial.number)
            for folder in (run.checkpoints, run.model):
                shutil.rmtree(folder, ignore_errors=True)
