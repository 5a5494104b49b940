"""A training run from begin to end: it starts or continues, then measures and reports."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from lcnet.config import Config, Train
from lcnet.data.changes import tell_changes
from lcnet.errors import CheckpointError, ConfigError, reason_of
from lcnet.evaluating.measuring import Measured, measure
from lcnet.evaluating.metrics_file import write_metrics
from lcnet.files import AnyPath
from lcnet.model_folder import load_model, local_model, read_info
from lcnet.progress import tell
from lcnet.published.imported import Import
from lcnet.reporting.gather_report import report_on
from lcnet.run_folder import RunFolder
from lcnet.training.checkpoints import Progress, explained, read_progress
from lcnet.training.fit import fit
from lcnet.training.processes import disband, is_first, pass_turn, together, wait_turn
from lcnet.training.record import init_of, record_finish, record_resumption, record_start
from lcnet.training.start import Start, load_splits, prepare, restored
from lcnet.training.stopping import stopping
from lcnet.training.strategy import check_strategy


@together(lambda config, run, **_: (config.train, run))
def begin(
    config: Config, run: RunFolder, *, overwrite: bool, init: AnyPath | Import | None
) -> RunFolder:
    """The folder of a run that was trained; arguments and errors are those of `train.train`.

    `init` can also be a model that was read before; its architecture replaces `config.model`. A run
    that fails before its first checkpoint leaves nothing.
    """
    init = init if init is None or isinstance(init, Import) else local_model(init)
    _check_machine(config)
    wait_turn()
    if is_first():
        run.check_free(overwrite=overwrite)  # here too, before minutes go into reading the data
    with stopping("Start it again.") as stop:
        start = prepare(config, init)
        config = start.config
        with _locked(run):
            if is_first():
                run.check_free(overwrite=overwrite)
                run.clear()
                record_start(run, config, start.training, start.validation, init=init)
                config.save(run.config_file)  # from here on `resume` knows the run
            stop.advice = run.continuation
            try:
                fit(run, start, stop)
                return _finish(config, run)
            except Exception:
                if is_first() and not run.has_checkpoint:
                    shutil.rmtree(run.path)  # it failed before there was anything to keep
                raise


def recipe_of(run: RunFolder) -> Train:
    """The recipe of a run; the defaults if the folder holds no run."""
    return run.config().train if run.is_run else Train()


@together(lambda run: (recipe_of(run), run))
def go_on(run: RunFolder) -> RunFolder:
    """Continue a run at its last checkpoint, as `train.resume` says."""
    if not run.is_run:
        raise CheckpointError(
            f"{run.config_file}: expected the folder of a run, got none. "
            f"Start a run with: lcnet train --out {run}"
        )
    with stopping(run.continuation) as stop, _locked(run):
        wait_turn()
        if is_first():
            if run.history_file.is_file():
                run.history()  # raises if it is damaged, before anything is written
            run.remove_unfinished()
        config, progress = run.config(), read_progress(run, tell)
        if progress and (progress.has_stopped_early or progress.epoch >= config.train.epochs):
            pass_turn()
            if run.is_finished:
                tell(f"{run}: already finished")
                return run
            return _finish(config, run)
        _check_machine(config)
        if is_first():
            record_resumption(run, progress)
        if progress is None:
            start = prepare(config, init_of(run))
        else:
            start = _start_again(run, config, progress)
        fit(run, start, stop, progress)
        return _finish(config, run)


@contextmanager
def _locked(run: RunFolder) -> Iterator[None]:
    """Hold the run's lock in its first process, for all of them."""
    with run.locked() if is_first() else nullcontext():
        yield


def _start_again(run: RunFolder, config: Config, progress: Progress) -> Start:
    """Data and model of a run, as they were at its last checkpoint."""
    _check_processes(progress, config.train)
    info = progress.info or read_info(run.path)
    splits = load_splits(config, info.labels)
    lost = ""
    if is_first():
        for split in splits:
            tell_changes(run.fingerprints_file, config.data, split)
        lost = "lost" if progress.has_best and _put_aside_if_damaged(run) else ""
    has_lost_best = bool(pass_turn(lost))
    # The calibration belongs to the best model so far; a better one must be calibrated again.
    return Start(
        config, restored(progress, info), info.uncalibrated(), *splits, has_lost_best=has_lost_best
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
        reason = str(error).partition(". ")[0]
        tell(
            f"warning: {run.model}: the best model so far cannot be used ({reason}).{kept} "
            "The best of the epochs to come takes its place."
        )
        return True
    return False


def _check_machine(config: Config) -> None:
    check_strategy(config.train)
    if config.train.precision == "fp16" and not torch.cuda.is_available():
        raise ConfigError(
            "train.precision: fp16 needs an accelerator, and this machine has none. "
            "Set --train.precision bf16 or fp32."
        )


def _check_processes(progress: Progress, recipe: Train) -> None:
    """Raises ConfigError if an unfinished epoch was begun with another number of processes."""
    # Its pictures were shared among that number; after a whole epoch the number may change.
    if progress.batches and progress.processes != recipe.processes:
        raise ConfigError(
            f"train.devices: expected {progress.processes} processes in all, as when the run "
            f"stopped in {progress.describe()}, got {recipe.processes}. Set that number again."
        )


def _finish(config: Config, run: RunFolder) -> RunFolder:
    """Measure a trained model and write its report, in the first process alone."""
    disband()
    if not is_first():
        return run
    tell(_best_of(run))
    tell(f"run folder: {run}")
    with explained(run):
        measured = measure(run.path, split=config.data.val, use_cache=True, quiet=True)
        write_metrics(run.metrics_file, measured)
    record_finish(run)
    _report(run, measured)
    return run


def _best_of(run: RunFolder) -> str:
    """The best validation mAP in words, with its epoch if the history has it."""
    rows = run.history()
    if not rows:
        raise CheckpointError(
            f"{run.history_file}: expected a row per epoch, got none. Restore the file from a copy."
        )
    best = rows[-1]["best_mAP"]
    epochs = [int(row["epoch"]) + 1 for row in rows if row["val_mAP"] == best]
    return f"best validation mAP {best:.1f}" + (f", epoch {epochs[-1]}" if epochs else "")


def _report(run: RunFolder, measured: Measured) -> None:
    """Write the report; if that fails, warn only, since the run is trained and measured."""
    try:
        report_on(run.path, measured, run.report_file)
        tell(f"report: {run.report_file}")
    except Exception as error:
        tell(
            f"warning: no {run.report_file.name} ({type(error).__name__}: {reason_of(error)}). "
            f"Try again with: lcnet report {run} --split {measured.samples.name}"
        )
