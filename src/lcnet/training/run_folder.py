"""A run's folder: whose it is, what it may replace, and what it says of how the run began."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch

from lcnet.config import Config
from lcnet.data.changes import remember
from lcnet.data.dataset import Split
from lcnet.errors import CheckpointError, ConfigError
from lcnet.progress import tell
from lcnet.training.checkpoints import Progress
from lcnet.training.processes import is_first
from lcnet.training.record import add_resumption, read_record, write_record
from lcnet.training.run_lock import LOCK, is_unused, only_run_in

IN_MEMORY = "a model in memory"
"""What run.json says of a start that was not read from a path."""


@contextmanager
def own_folder(run: Path) -> Iterator[None]:
    """The run's lock, which its first process holds for all."""
    with only_run_in(run) if is_first() else nullcontext():
        yield


def check_free(out: Path, *, overwrite: bool) -> None:
    """Raises ConfigError unless `out` is free, or a run that may be replaced."""
    if is_unused(out) or not is_first():
        return
    if not overwrite:
        raise ConfigError(
            f"--out {out}: already there. Choose another folder, replace it with --overwrite, "
            f"or continue it with: lcnet train --resume {out}"
        )
    if not (out / "config.yaml").is_file():
        raise ConfigError(
            f"--out {out}: --overwrite replaces run folders only, and this one has no config.yaml. "
            "Choose another folder."
        )


def clear(out: Path) -> None:
    """Remove what a folder holds but its lock; what makes it a run folder goes last."""
    for path in sorted(out.iterdir(), key=lambda path: path.name == "config.yaml"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def record_start(
    run: Path, config: Config, training: Split, validation: Split, *, init: object
) -> None:
    """Write run.json and the fingerprints of the data; `init` is a path or a model, if any."""
    kind = str(init.resolve()) if isinstance(init, Path) else IN_MEMORY if init else ""
    write_record(
        run,
        device=_device(),
        seed=config.train.seed,
        init=kind,
        data=remember(run, config.data, training, validation),
    )


def init_of(run: Path) -> Path | None:
    """What a run trains on from. Raises CheckpointError if that is gone."""
    init = read_record(run).get("init", "")
    if init == IN_MEMORY:
        raise CheckpointError(
            f"{run}: stopped before its first checkpoint, and the model that it trains on from was "
            "in memory only. Start it anew."
        )
    return Path(init) if init else None


def tell_resumption(run: Path, progress: Progress | None) -> None:
    """Say from where a run goes on, and what is unlike its start."""
    at = progress.describe() if progress else "the beginning, as there is no checkpoint yet"
    tell(f"continuing from {at}")
    if unlike := add_resumption(run, device=_device(), at=at):
        tell(
            f"warning: not as the run was started: {'; '.join(unlike)}. "
            "It may not end with exactly the same weights."
        )


def _device() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
