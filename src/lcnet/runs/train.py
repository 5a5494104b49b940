"""`lcnet train`: train a model, or continue a run."""

import os
import time
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal

from lcnet.bounds import Above, bounded
from lcnet.config import Config, Model
from lcnet.errors import ConfigError
from lcnet.files import AnyPath
from lcnet.run_folder import RunFolder


@bounded
def train(
    config: Config,
    out: Path | str | None = None,
    *,
    minutes: Annotated[float, Above(0)] | None = None,
    preset: Literal["fast", "balanced", "best"] | None = None,
    dry_run: bool = False,
    overwrite: bool = False,
    init: AnyPath | None = None,
    folds: int = 0,
    given: Collection[str] | None = None,
) -> RunFolder:
    """Train a model, or continue a run.

    With --minutes or --preset lcnet looks at the data and the machine, plans the training, prints
    the plan with its reasons, and keeps the time. The run folder is made once the data and the
    model have been checked. A run that fails before its first checkpoint leaves nothing.

    Args:
        config: Model, data and recipe.
        out: Run folder to create. With minutes it is runs/NAME if not given, with the name of the
            data set's folder.
        minutes: Time for the whole command. It chooses all settings that you do not give.
        preset: Minutes by name: fast is 5, balanced is 30, best is 120.
        dry_run: Print the plan alone, and make nothing.
        overwrite: Replace the run in --out.
        init: Model to start from: a model or run folder, hf://user/name, or a published
            checkpoint. Its labels are matched with those of the data by name. It keeps its
            settings, unless you give others with --model flags or --config. Sizes, crop level and
            dropout can change; head, width, depth and backbone cannot.
        folds: Divide training and validation pictures together into this many folds, train a model
            for each that does not see it, and make one model of them, the mean of their logits.
            0: one model, validated on data.val.
        given: Names of the settings in config.model that are given for the model in `init`, such
            as `view_size`. Default: all if config.model is not the default, else none. With
            minutes: settings of model and recipe that stay, such as `model.view_size`. Default:
            those that are not the defaults.

    Returns:
        The run folder, with the best model in it, by train.best_by in validation. After a dry run
        it is not there.

    Raises:
        ConfigError: if `out` must not be overwritten, a setting cannot work here, or no training
            fits into the minutes.
        DataError: if the data cannot be used.
        CheckpointError: if `init` cannot be read.
        TrainingError: if the run cannot go on.
    """
    started = time.monotonic()
    _quiet_torch()
    if out is not None and not folds and not dry_run and "LOCAL_RANK" not in os.environ:
        RunFolder(Path(out)).check_free(overwrite=overwrite)  # before torch, which takes seconds
    if minutes is not None or preset is not None:
        _check_plannable(init=init, folds=folds)
        from lcnet.runs.planning.planned_run import minutes_for, train_as_planned

        return train_as_planned(
            config,
            None if out is None else Path(out),
            minutes=minutes_for(preset) if minutes is None else minutes,
            dry_run=dry_run,
            overwrite=overwrite,
            given=given,
            started=started,
        )
    if dry_run:
        raise ConfigError("--dry_run: expected minutes to plan for, got none. Add --minutes 30.")
    if out is None:
        raise ConfigError(
            "--out: expected a folder, got none. Add --out runs/NAME; or --minutes 30, which "
            "chooses the folder and all settings."
        )
    from lcnet.runs.run import begin
    from lcnet.runs.training_on import ALL

    if given is None:
        given = () if config.model == Model() else ALL
    if folds:
        from lcnet.runs.folds import begin_folds

        return begin_folds(
            config, RunFolder(Path(out)), folds, overwrite=overwrite, init=init, given=given
        )
    run = begin(config, RunFolder(Path(out)), overwrite=overwrite, init=init, given=given)
    _tell_next(run)
    return run


def resume(run: AnyPath, *, epochs: int | None = None) -> RunFolder:
    """Continue an interrupted run at its last checkpoint, as if it had not been stopped.

    A run that was stopped before its first checkpoint starts from the beginning, with the same
    result. One that was stopped while its head learned alone goes on with the head, and then with
    the backbone's last stage. A run that was stopped after its last epoch is measured. A finished
    run is left as it is. Versions and data that have changed since the run's start are printed. A
    damaged best model is moved aside, and the best of the epochs to come replaces it.

    Args:
        run: Run folder to continue, or the folder of folds.
        epochs: Number of epochs in all, in place of the run's own. It extends a finished run; the
            learning rate goes on as in a run that had that number from its beginning.

    Returns:
        The run folder.

    Raises:
        CheckpointError: if the folder holds no run, or its checkpoints are damaged.
        ConfigError: if another process is still training the run, or `epochs` are done already.
    """
    _quiet_torch()
    from lcnet.runs.run import go_on

    whole = RunFolder(Path(run)).whole
    if whole.has_folds:
        if epochs is not None:
            raise ConfigError(
                f"--train.epochs: expected no other number for the folds in {run}. Leave it out."
            )
        from lcnet.runs.folds import go_on_with_folds

        return go_on_with_folds(whole)
    if whole.waits_for_head:
        if epochs is not None:
            raise ConfigError(
                f"--train.epochs: expected none while the head of {whole} learns alone. Leave it "
                "out."
            )
        from lcnet.runs.last_stage import go_on_with_head

        continued = go_on_with_head(whole)
    else:
        continued = go_on(whole, epochs)
    _tell_next(continued)
    return continued


def _check_plannable(*, init: AnyPath | None, folds: int) -> None:
    """Raises ConfigError for what a plan does not cover."""
    wrong = "--init" if init is not None else "--folds" if folds else ""
    if wrong:
        raise ConfigError(
            f"{wrong}: expected none with --minutes or --preset, which plan a single new model. "
            "Leave one out."
        )


def _tell_next(run: RunFolder) -> None:
    from lcnet.progress import next_lines, tell
    from lcnet.runs.next_commands import next_commands

    tell(next_lines(next_commands(run)))


def _quiet_torch() -> None:
    """Keep torch from printing pages when another process dies; lcnet prints one line."""
    # torch reads the variable when it is imported, so this runs before the import.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
