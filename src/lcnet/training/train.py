"""`lcnet train`: from a config to a run folder."""

import shutil
from pathlib import Path

import torch

from lcnet.config import Config, Train
from lcnet.data.changes import tell_changes
from lcnet.errors import CheckpointError, ConfigError, reason_of
from lcnet.evaluating.evaluate import write_metrics
from lcnet.evaluating.measuring import Measured, measure
from lcnet.model_folder import load_model, read_info
from lcnet.progress import tell
from lcnet.published.import_model import Import
from lcnet.reporting.report import report_on
from lcnet.run_folder import RunFolder
from lcnet.training.checkpoints import (
    Progress,
    continuation,
    explained,
    has_checkpoint,
    read_progress,
    remove_unfinished,
)
from lcnet.training.fit import fit
from lcnet.training.processes import is_first, part, pass_turn, together, wait_turn
from lcnet.training.run_folder import (
    check_free,
    clear,
    init_of,
    own_folder,
    record_start,
    tell_resumption,
)
from lcnet.training.start import Start, load_splits, prepare, restored
from lcnet.training.stopping import stopping
from lcnet.training.strategy import check_strategy


@together(lambda config, out, **_: (config.train, out))
def train(
    config: Config, out: Path, *, overwrite: bool = False, init: Path | Import | None = None
) -> Path:
    """Train a model and give back its run folder.

    `init` is a model or run folder or a published checkpoint, or what was read from one, whose
    model is trained on; its own architecture takes the place of `config.model`.

    The folder holds config.yaml, history.csv, metrics.json and report.html (of the validation
    split), model/ (the best by validation mAP), checkpoints/last.ckpt (for `resume`) and logs/
    (TensorBoard). An older run is replaced only if `overwrite`, and only once data and model are
    known to be usable. A run that fails before its first checkpoint leaves nothing.
    Raises ConfigError if `out` may not be written or a setting cannot work here; DataError if the
    data cannot be used.
    """
    _check_machine(config)
    wait_turn()
    check_free(out, overwrite=overwrite)
    with stopping("Start it again.") as stop:
        start = prepare(config, init)
        config = start.config
        with own_folder(out):
            if is_first():
                check_free(out, overwrite=overwrite)
                clear(out)
                record_start(out, config, start.training, start.validation, init=init)
                config.save(out / "config.yaml")  # from here on `resume` knows the run
            stop.advice = continuation(out)
            try:
                fit(out, start, stop)
                return _finish(config, out)
            except Exception:
                if is_first() and not has_checkpoint(out):
                    shutil.rmtree(out)  # it failed before there was anything to keep
                raise


def recipe_of(run: Path) -> Train:
    """How a run is to be trained, or the defaults if it does not say."""
    file = run / "config.yaml"
    return Config.load(file).train if file.is_file() else Train()


@together(lambda run: (recipe_of(run), run))
def resume(run: Path) -> Path:
    """Continue an interrupted run where its last checkpoint was written, as if never stopped.

    A run that was stopped before its first checkpoint starts from the beginning, with the same
    result; one that was stopped after its last epoch is measured. What is unlike when it started,
    versions and data, is told. A best model that is damaged is put aside, and the best of the
    epochs to come takes its place. Raises CheckpointError if the folder has no config.yaml or its
    checkpoints are damaged, ConfigError if the run still goes on.
    """
    if not (run / "config.yaml").is_file():
        raise CheckpointError(
            f"{run / 'config.yaml'}: not there (expected the folder of a run). "
            f"Start it anew with: lcnet train --out {run}"
        )
    with stopping(continuation(run)) as stop, own_folder(run):
        wait_turn()
        if is_first():
            if (run / "history.csv").is_file():
                RunFolder(
                    run
                ).history()  # which says so if it is damaged, before anything is written
            remove_unfinished(run)
        config, progress = Config.load(run / "config.yaml"), read_progress(run, tell)
        if progress and (progress.has_stopped_early or progress.epoch >= config.train.epochs):
            pass_turn()
            if (run / "metrics.json").is_file() and (run / "report.html").is_file():
                tell(f"{run}: already finished")
                return run
            return _finish(config, run)
        _check_machine(config)
        if is_first():
            tell_resumption(run, progress)
        if progress is None:
            start = prepare(config, init_of(run))
        else:
            start = _start_again(run, config, progress)
        fit(run, start, stop, progress)
        return _finish(config, run)


def _start_again(run: Path, config: Config, progress: Progress) -> Start:
    """What a run goes on with, at its last checkpoint."""
    _check_processes(progress, config.train)
    info = progress.info or read_info(run)
    splits = load_splits(config, info.labels)
    lost = ""
    if is_first():
        for split in splits:
            tell_changes(run, config.data, split)
        lost = "lost" if progress.has_best and _put_aside_if_damaged(run / "model") else ""
    has_lost_best = bool(pass_turn(lost))
    # A better model than the one that was calibrated starts uncalibrated.
    return Start(
        config, restored(progress, info), info.uncalibrated(), *splits, has_lost_best=has_lost_best
    )


def _put_aside_if_damaged(best: Path) -> bool:
    """Whether the best model so far cannot be loaded; what there is of it is moved aside."""
    try:
        load_model(best)
    except CheckpointError as error:
        kept = ""
        if best.is_dir():
            aside = best.with_name("model.damaged")
            shutil.rmtree(aside, ignore_errors=True)
            best.rename(aside)
            kept = f" It is kept as {aside.name}."
        reason = str(error).partition(". ")[0]
        tell(
            f"warning: {best}: the best model so far cannot be used ({reason}).{kept} "
            "The best of the epochs to come takes its place."
        )
        return True
    return False


def _check_machine(config: Config) -> None:
    check_strategy(config.train)
    if config.train.precision == "fp16" and not torch.cuda.is_available():
        raise ConfigError(
            "train.precision: fp16 needs an accelerator and there is none. "
            "Set --train.precision bf16 or fp32."
        )


def _check_processes(progress: Progress, recipe: Train) -> None:
    """Raises ConfigError if a broken-off epoch was shared by another number of processes."""
    if progress.batches and progress.processes != recipe.processes:
        raise ConfigError(
            f"train.devices: expected {progress.processes} processes in all, as when the run "
            f"stopped in {progress.describe()}, got {recipe.processes}. Set it as it was."
        )


def _finish(config: Config, run: Path) -> Path:
    """Measure a trained model and write its report, in the first process alone."""
    others = not is_first()
    part()
    if others:
        return run
    tell(_best_of(run))
    tell(f"run folder: {run}")
    with explained(run):
        measured = measure(run, split=config.data.val, use_cache=True, quiet=True)
        write_metrics(run / "metrics.json", measured)
    _report(run, measured)
    return run


def _best_of(run: Path) -> str:
    """The best validation mAP and its epoch, as far as history.csv knows it."""
    rows = RunFolder(run).history()
    if not rows:
        raise CheckpointError(
            f"{run / 'history.csv'}: expected a row per epoch, got none. Put it back."
        )
    best = rows[-1]["best_mAP"]
    epochs = [int(row["epoch"]) + 1 for row in rows if row["val_mAP"] == best]
    return f"best validation mAP {best:.1f}" + (f", epoch {epochs[-1]}" if epochs else "")


def _report(run: Path, measured: Measured) -> None:
    """Write report.html; a run that is trained and measured does not fail for the want of it."""
    try:
        report_on(run, measured, run / "report.html")
        tell(f"report: {run / 'report.html'}")
    except Exception as error:
        tell(
            f"warning: no report.html ({type(error).__name__}: {reason_of(error)}). "
            f"Try again with: lcnet report {run} --split {measured.samples.name}"
        )
