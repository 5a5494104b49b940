"""A training run from begin to end: it starts or continues, then measures and reports."""

import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from lcnet.config import Config, Train
from lcnet.data.changes import tell_changes
from lcnet.data.dataset import Split
from lcnet.data.readers import record_parts
from lcnet.errors import CheckpointError, ConfigError, TimeUp, fault_of, quoted, reason_of
from lcnet.evaluating.after_training import fitted_by_itself
from lcnet.evaluating.fitting_class_means import fit_class_means
from lcnet.evaluating.measuring import Measured, judge, mean_ap_text, score
from lcnet.evaluating.metrics_file import keep_metrics
from lcnet.files import AnyPath
from lcnet.model_folder import for_data, load_model, local_model
from lcnet.progress import tell
from lcnet.published.imported import Import
from lcnet.reporting.gather_report import keep_report
from lcnet.run_folder import RunFolder, best_epoch
from lcnet.runs.fit import fit
from lcnet.runs.record import has_init, init_of, record_finish, record_resumption, record_start
from lcnet.runs.start import (
    Start,
    load_splits,
    prepare,
    restored,
    with_batch_size,
    with_pixel_range,
    with_precision,
)
from lcnet.runs.training_on import ALL
from lcnet.training.checkpoints import OlderCheckpoint, Progress, explained, read_progress
from lcnet.training.engine import Engine, engine_for
from lcnet.training.launching import launched
from lcnet.training.loggers import loggers_for
from lcnet.training.stopping import Stop, stopping
from lcnet.training.watching import NOBODY, Watch


def begin(
    config: Config,
    run: RunFolder,
    *,
    overwrite: bool,
    init: AnyPath | Import | None,
    given: Collection[str] = (),
    watch: Watch = NOBODY,
    splits: tuple[Split, Split] | None = None,
    settle: Callable[[Start], Start] | None = None,
) -> RunFolder:
    """The folder of a run that was trained; arguments and errors are those of `train.train`.

    `init` can also be a model that was read before; its architecture replaces `config.model`, but
    for the settings in `given`. A run that fails before its first checkpoint leaves nothing.
    `splits` are those of `config.data`, if they were read before; `settle` has the last word on
    what the run starts with.
    """
    init = init if init is None or isinstance(init, Import) else local_model(init)
    work = partial(
        _begin,
        config,
        run,
        overwrite=overwrite,
        init=init,
        given=given,
        watch=watch,
        splits=splits,
        settle=settle,
    )
    return launched(config.train, run, work, partial(_go_on, run, None, watch))


def go_on(run: RunFolder, epochs: int | None = None, *, watch: Watch = NOBODY) -> RunFolder:
    """Continue a run at its last checkpoint, as `train.resume` says."""
    if not run.is_run:
        raise CheckpointError(
            f"{run.config_file}: expected the folder of a run, got none. "
            f"Start a run with: lcnet train --out {quoted(run)}"
        )
    work = partial(_go_on, run, epochs, watch)
    return launched(run.config().train, run, work, work)


def _begin(
    config: Config,
    run: RunFolder,
    *,
    overwrite: bool,
    init: Path | Import | None,
    given: Collection[str],
    watch: Watch,
    splits: tuple[Split, Split] | None,
    settle: Callable[[Start], Start] | None,
) -> RunFolder:
    """Begin a run in this process, which may be one of several."""
    is_auto, config = config.train.precision == "auto", with_precision(config)
    with _engine(config, run, watch) as (engine, stop):
        if is_auto:
            tell(f"precision {config.train.precision}")
        with engine.fabric.rank_zero_first():
            if engine.is_first:
                run.check_free(overwrite=overwrite)  # here too: reading the data can take minutes
            start = prepare(config, init, given=given, splits=splits)
        start = with_pixel_range(with_batch_size(start, engine), engine)
        if settle is not None:
            start = settle(start)
        config = start.config
        with _locked(run, engine):
            if engine.is_first:
                run.check_free(overwrite=overwrite)
                run.clear(keep=config.data.splits, init=init)
                config = replace(config, data=record_parts(config.data, run.splits_file))
                record_start(run, config, start.training, start.validation, init=init)
                config.save(run.config_file)  # from here on `resume` knows the run
            stop.advice = run.continuation
            try:
                try:
                    fit(run, start, engine, stop, watch)
                except TimeUp as up:
                    if not watch.finishes:
                        raise
                    stop.is_patient = False
                    tell(f"{fault_of(up)}: the best epoch so far is taken")
                return _finish(config, run, engine)
            except Exception:
                # It failed before there was anything to keep, but for the head it starts from.
                if engine.is_first and not run.has_checkpoint:
                    if run.starts_from_head(init):
                        run.clear(init=init)
                    else:
                        shutil.rmtree(run.path)
                raise


def _go_on(run: RunFolder, epochs: int | None, watch: Watch) -> RunFolder:
    """Continue a run in this process, which may be one of several."""
    with _engine(run.config(), run, watch) as (engine, stop), _locked(run, engine):
        stop.advice = run.continuation
        with engine.fabric.rank_zero_first():
            if engine.is_first:
                if run.history_file.is_file():
                    run.history()  # raises if it is damaged, before anything is written
                run.remove_unfinished()
            config = run.config()
            try:
                progress = read_progress(run, tell)
            except OlderCheckpoint:
                if not run.is_finished or epochs is not None:
                    raise
                tell(f"{run}: already finished")
                return run
        if epochs is not None or (progress and progress.planned_epochs != config.train.epochs):
            config = _with_epochs(run, config, epochs, progress)
            if engine.is_first:
                config.save(run.config_file)
        if progress and progress.is_at_end(config.train.epochs):
            if run.is_finished:
                tell(f"{run}: already finished")
                return run
            return _finish(config, run, engine)
        if engine.is_first:
            record_resumption(run, progress)
        with engine.fabric.rank_zero_first():
            if progress is None:
                start = prepare(config, init_of(run), given=ALL)
            else:
                start = _start_again(run, config, progress, is_first=engine.is_first)
        if progress is None:
            start = with_pixel_range(start, engine)
        has_lost_best = engine.fabric.broadcast(start.has_lost_best)
        start = replace(with_batch_size(start, engine), has_lost_best=has_lost_best)
        fit(run, start, engine, stop, watch, progress)
        return _finish(config, run, engine)


@contextmanager
def _engine(config: Config, run: RunFolder, watch: Watch) -> Iterator[tuple[Engine, Stop]]:
    """The engine of a run, while signals and the end of its time can stop the run."""
    loggers = loggers_for(config.train.logger_names, run)
    with (
        stopping("Start it again.", watch.until) as stop,
        engine_for(config.train, loggers) as engine,
    ):
        yield engine, stop


@contextmanager
def _locked(run: RunFolder, engine: Engine) -> Iterator[None]:
    """Hold the run's lock in its first process, for all of them."""
    with run.locked() if engine.is_first else nullcontext():
        yield


def _with_epochs(
    run: RunFolder, config: Config, epochs: int | None, progress: Progress | None
) -> Config:
    """The config with another number of epochs: `epochs`, or that in the run's edited config.

    A training that ended early then goes on. Raises ConfigError if the epochs are done already. An
    edited number may be what is done, which ends the run there.
    """
    done = progress.epoch if progress else 0
    least = done if epochs is None else done + 1
    wanted = config.train.epochs if epochs is None else epochs
    if wanted < least:
        source = f" in {run.config_file}" if epochs is None else ""
        raise ConfigError(
            f"train.epochs: expected {'at least' if epochs is None else 'more than'} {done}, which "
            f"this run has trained, got {wanted}{source}. Set {done + 1} or more with: "
            f"lcnet train --resume {quoted(run)} --train.epochs {done + 1}"
        )
    if progress and wanted > done:
        progress.goes_on()
    return replace(config, train=replace(config.train, epochs=wanted))


def _start_again(run: RunFolder, config: Config, progress: Progress, *, is_first: bool) -> Start:
    """Data and model of a run, as they were at its last checkpoint."""
    progress.check_recipe(config.train)
    _check_processes(progress, config.train)
    info, is_lost = for_data(progress.info, config.data), False
    splits = load_splits(config, info.labels, again=True)
    if is_first:
        for split in splits:
            tell_changes(run.fingerprints_file, config.data, split)
        is_lost = progress.has_best and _put_aside_if_damaged(run)
    # The calibration belongs to the best model so far; a better one must be calibrated again.
    return Start(
        config,
        restored(progress, info),
        info.uncalibrated(),
        *splits,
        is_trained=has_init(run),
        has_lost_best=is_lost,
    )


def _put_aside_if_damaged(run: RunFolder) -> bool:
    """Whether the best model so far cannot be loaded; if so, its folder is moved aside."""
    try:
        load_model(run.model)
    except CheckpointError as error:
        kept = ""
        if run.model.is_dir():
            shutil.rmtree(run.damaged_model, ignore_errors=True)
            run.model.rename(run.damaged_model)
            kept = f" It is kept as {run.damaged_model.name}."
        tell(
            f"warning: {run.model}: the best model so far cannot be used ({fault_of(error)})."
            f"{kept} The best of the epochs to come takes its place."
        )
        return True
    return False


def _check_processes(progress: Progress, recipe: Train) -> None:
    """Raises ConfigError if an unfinished epoch was begun with another number of processes."""
    # Its pictures were shared among that number; after a whole epoch the number may change.
    if progress.batches and progress.processes != recipe.processes:
        raise ConfigError(
            f"train.devices: expected {progress.processes} processes in all, as when the run "
            f"stopped in {progress.describe()}, got {recipe.processes}. Set that number again."
        )


def _finish(config: Config, run: RunFolder, engine: Engine) -> RunFolder:
    """Measure a trained model and write its report, in the first process alone."""
    engine.end()
    if not engine.is_first:
        return run
    tell(_best_of(run))
    tell(f"run folder: {run}")
    with explained(run):
        if config.train.class_means:
            fit_class_means(run, config)
        scored = score(run.path, split=config.data.val, use_cache=True, quiet=True)
        if config.train.calibrate:
            scored = fitted_by_itself(scored)
        measured = judge(scored)
        tell(_kept(measured))
        keep_metrics(run, measured)
    record_finish(run)
    report_if_possible(run, measured)
    return run


def _best_of(run: RunFolder) -> str:
    """The best score in validation in words, with its epoch if the history has it."""
    rows = run.history()
    if not rows:
        raise CheckpointError(
            f"{run.history_file}: expected a row per epoch, got none. Restore the file from a copy."
        )
    name = run.config().train.best_by
    if f"best_{name}" not in rows[-1]:
        raise CheckpointError(
            f"{run.history_file}: expected a column best_{name}, got none. Restore the file from a "
            "copy."
        )
    best = rows[-1][f"best_{name}"]
    text = f"best validation {name} " + (f"{best:.4g}" if name == "loss" else f"{best:.1f}")
    if name != "mAP":
        text += f", mAP {rows[-1]['best_mAP']:.1f}"
    epoch, precision = best_epoch(rows, name), run.config().train.precision
    text += "" if epoch is None else f", epoch {epoch}"
    return text if precision == "fp32" else f"{text} (in {precision}, as training computes)"


def _kept(measured: Measured) -> str:
    """What the model that is kept reaches in validation, as `lcnet evaluate` measures it.

    That can differ a little from the best epoch's: training computes in its own precision, and
    class means come after it.
    """
    pictures = len(measured.targets)
    of = f"{pictures:,} picture{'s' * (pictures != 1)}"
    reached = mean_ap_text(measured.verification)
    return f"the kept model, as lcnet evaluate measures it: validation {reached} on {of}"


def report_if_possible(run: RunFolder, measured: Measured) -> None:
    """Write the report; if that fails, warn only, since the run is trained and measured."""
    try:
        tell(f"report: {keep_report(run.path, measured, quiet=True)}")
    except Exception as error:
        tell(
            f"warning: no {run.report_file.name} ({type(error).__name__}: {reason_of(error)}). "
            f"Try again with: lcnet report {quoted(run)} --split {quoted(measured.samples.name)}"
        )
