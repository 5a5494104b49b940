"""What one does next with a run that was trained, in commands."""

from collections.abc import Iterator
from pathlib import Path

from lcnet.config import Train
from lcnet.errors import CheckpointError, quoted
from lcnet.run_folder import RunFolder, best_epoch, last_of


def next_commands(run: RunFolder) -> Iterator[str]:
    """Measuring test pictures where there are some, predicting, and the epochs that are left.

    These only where the best epoch is among the last ones, so that more promise something.
    """
    config, name = run.config(), quoted(run.path)
    if config.data.test:
        yield f"lcnet evaluate {name}"
    yield predicting(run.path)
    if (left := _epochs_worth(run, config.train)) and not config.train.early_stop:
        yield f"lcnet train --resume {name}  # the other {left} epoch{'s' * (left != 1)}"


def predicting(model: Path) -> str:
    """The command that labels pictures with a model."""
    return f"lcnet predict {quoted(model)} PICTURES --out predictions.jsonl"


def serving(model: str | Path) -> str:
    """The command that shows what a model says, picture by picture."""
    return f"lcnet serve {quoted(model)}"


def _epochs_worth(run: RunFolder, recipe: Train) -> int:
    """The epochs that are left to train; 0 if the last ones brought nothing.

    0, too, if the history cannot be read.
    """
    try:
        history = run.history()
        done = int(history[-1]["epoch"])
        best = best_epoch(history, recipe.best_by)
    except (CheckpointError, LookupError):
        return 0
    rises = best is not None and best > done - last_of(done)
    return max(0, recipe.epochs - done) if rises else 0
