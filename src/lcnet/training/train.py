"""`lcnet train`: train a model, or continue a run."""

import os
from pathlib import Path

from lcnet.config import Config
from lcnet.run_folder import RunFolder


def train(
    config: Config,
    out: Path | str,
    *,
    overwrite: bool = False,
    init: Path | str | None = None,
) -> RunFolder:
    """Train a model, or continue a run.

    The run folder is made when data and model are known to be usable. A run that fails before its
    first checkpoint leaves nothing.

    Args:
        config: Model, data and recipe.
        out: Run folder to make.
        overwrite: Replace the run in --out.
        init: Model or run folder, hf://user/name or published checkpoint to train on from. The
            model keeps its architecture.

    Returns:
        The run folder, with the best model by validation mAP in it.

    Raises:
        ConfigError: if `out` may not be written or a setting cannot work here.
        DataError: if the data cannot be used.
        CheckpointError: if `init` cannot be read.
        TrainingError: if the run cannot go on.
    """
    _quiet_torch()
    from lcnet.training.run import begin

    return begin(config, RunFolder(Path(out)), overwrite=overwrite, init=init)


def resume(run: Path | str) -> RunFolder:
    """Continue an interrupted run where its last checkpoint was written, as if never stopped.

    A run that was stopped before its first checkpoint starts from the beginning, with the same
    result. One that was stopped after its last epoch is measured. A finished one is left as it is.
    Versions and data that differ from the run's start are printed. A damaged best model is put
    aside, and the best of the epochs to come takes its place.

    Args:
        run: Run folder to continue, as it was set up.

    Returns:
        The run folder.

    Raises:
        CheckpointError: if the folder is no run or its checkpoints are damaged.
        ConfigError: if another process still trains the run.
    """
    _quiet_torch()
    from lcnet.training.run import go_on

    return go_on(RunFolder(Path(run)))


def _quiet_torch() -> None:
    """Keep torch from printing pages when another process dies: lcnet says it in one line.

    torch looks at this when it is imported.
    """
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
