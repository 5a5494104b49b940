"""What one does next with a run that was trained, in commands."""

import shlex
from collections.abc import Iterator
from pathlib import Path

from lcnet.errors import CheckpointError
from lcnet.run_folder import RunFolder


def next_commands(run: RunFolder) -> Iterator[str]:
    """Measuring test pictures where there are some, predicting, and the epochs that are left."""
    config, name = run.config(), quoted(run.path)
    if config.data.test:
        yield f"lcnet evaluate {name}"
    yield predicting(run.path)
    if (epochs := _epochs(run)) and epochs < config.train.epochs and not config.train.early_stop:
        left = config.train.epochs - epochs
        yield f"lcnet train --resume {name}  # the other {left} epoch{'s' * (left != 1)}"


def predicting(model: Path) -> str:
    """The command that labels pictures with a model."""
    return f"lcnet predict {quoted(model)} PICTURES --out predictions.jsonl"


def serving(model: str | Path) -> str:
    """The command that shows what a model says, picture by picture."""
    return f"lcnet serve {quoted(model)}"


def quoted(path: str | Path) -> str:
    """A path as a shell takes it."""
    return shlex.quote(str(path))


def _epochs(run: RunFolder) -> int:
    """The epochs that were trained; 0 if the history cannot be read."""
    try:
        return int(run.history()[-1]["epoch"])
    except (CheckpointError, IndexError):
        return 0
