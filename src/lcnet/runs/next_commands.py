"""What one does next with a run that was trained, in commands."""

from collections.abc import Iterator

from lcnet.errors import CheckpointError
from lcnet.run_folder import RunFolder


def next_commands(run: RunFolder) -> Iterator[str]:
    """The next steps, a line each."""
    config = run.config()
    if config.data.test:
        yield f"next: lcnet evaluate {run} measures the test split"
    yield f"{'then' if config.data.test else 'next'}: lcnet predict {run} PICTURES labels pictures"
    if (epochs := _epochs(run)) and epochs < config.train.epochs and not config.train.early_stop:
        left = config.train.epochs - epochs
        yield f"the other {left} epoch{'s' * (left != 1)}: lcnet train --resume {run}"


def _epochs(run: RunFolder) -> int:
    """The epochs that were trained; 0 if the history cannot be read."""
    try:
        return int(run.history()[-1]["epoch"])
    except (CheckpointError, IndexError):
        return 0
