"""The checkpoint that a run continues from: how it is written, read, and stays undamaged."""

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from lcnet.config import Train
from lcnet.data.pair_counts import PairCounts
from lcnet.errors import CheckpointError, ConfigError, LCNetError, TrainingError, quoted, reason_of
from lcnet.files import written_whole
from lcnet.model_folder import ModelInfo
from lcnet.run_folder import RunFolder

FORMAT = 2
"""The checkpoint's layout. Before 2 it was that of Lightning's Trainer."""

CHANGEABLE = (
    "epochs",
    "devices",
    "nodes",
    "restarts",
    "timeout_s",
    "early_stop",
    "calibrate",
    "class_means",
    "nan_limit",
    "save_minutes",
    "compile",
    "loggers",
    "cache_features",
)
"""Settings that may differ when a run goes on."""


def write_checkpoint(run: RunFolder, state: dict[str, Any], info: ModelInfo, recipe: Train) -> None:
    """Write last.ckpt, read it back, and only then replace the older one by it.

    The older one becomes previous.ckpt. Raises TrainingError if the new one cannot be written; the
    older one then stays as it is.
    """
    file = run.last_checkpoint
    content = {
        "format": FORMAT,
        "info": info.to_dict(),
        "pairs": _pair_counts(info),
        "recipe": asdict(recipe),
        **state,
    }
    try:
        with written_whole(file, previous=run.previous_checkpoint) as unfinished:
            # With Python's own file, since torch's writer hides that the disk is full.
            with unfinished.open("wb") as stream:
                torch.save(content, stream)
            check_whole(unfinished)
    except (OSError, RuntimeError, CheckpointError) as error:
        kept = "The checkpoint before it is undamaged. " if file.exists() else ""
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        raise TrainingError(
            f"{file}: could not be written ({reason_of(cause)}). {kept}Make room on the disk. "
            f"{_next(run)}"
        ) from error


def _pair_counts(info: ModelInfo) -> dict[str, torch.Tensor]:
    """The training labels' counts of pairs, which are not in the info's plain values."""
    arrays = info.statistics.pairs.to_arrays() if info.statistics else {}
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def check_whole(file: Path) -> None:
    """Raises CheckpointError unless every part of the file has its right checksum."""
    try:
        with zipfile.ZipFile(file) as parts:
            damaged = parts.testzip()
    except Exception as error:  # a damaged zip fails in half a dozen types
        raise CheckpointError(f"{file}: not a checkpoint ({type(error).__name__}).") from error
    if damaged is not None:
        raise CheckpointError(f"{file}: not a checkpoint (damaged in {damaged}).")


@dataclass(frozen=True)
class Progress:
    """A checkpoint, and how far the run had got."""

    file: Path
    state: dict[str, Any]
    """The content, as `State.content` returned it."""

    @property
    def epoch(self) -> int:
        """Number of epochs that are done."""
        done: int = self.state["epochs"]
        return done

    @property
    def planned_epochs(self) -> int:
        """Number of epochs that the run was to have when it was saved."""
        epochs: int = self.state["recipe"]["epochs"]
        return epochs

    @property
    def batches(self) -> int:
        """Batches already trained in the unfinished epoch; 0 between epochs."""
        done: int = self.state["epoch"]["batches"]
        return done

    @property
    def processes(self) -> int:
        """Number of processes that share the run."""
        return len(self.state["epoch"]["sums"])

    @property
    def has_best(self) -> bool:
        """Whether the model has been validated, and so model/ was written."""
        return bool(self.state["best_epoch"] >= 0)

    def is_at_end(self, epochs: int) -> bool:
        """Whether a training of `epochs` epochs is over."""
        return bool(self.state["stopped_early"]) or self.epoch >= epochs

    def goes_on(self) -> None:
        """Forget that the training ended early, since it is to be extended."""
        self.state.update(stopped_early=False, epochs_without_better=0)

    @cached_property
    def info(self) -> ModelInfo:
        """The model's description."""
        stored = self.state.get("pairs")  # older ones have them in the info
        arrays = {name: tensor.numpy() for name, tensor in (stored or {}).items()}
        return ModelInfo.from_dict(
            self.state["info"], PairCounts.from_arrays(arrays) if arrays else None
        )

    def check_recipe(self, recipe: Train) -> None:
        """Raises ConfigError if a setting was changed that the state depends on."""
        was = self.state["recipe"]
        for name, value in asdict(recipe).items():
            if name not in CHANGEABLE and was.get(name, value) != value:
                raise ConfigError(
                    f"train.{name}: expected {was[name]}, as when the run was saved, got {value}. "
                    "Put it back into the run's config.yaml, or start a new run with --init."
                )

    def describe(self) -> str:
        """How far the run had got, in words."""
        return describe_position(self.epoch, self.batches)


def describe_position(epoch: int, batches: int) -> str:
    """How far a run has got after `epoch` epochs and `batches` batches, in words."""
    return f"epoch {epoch + 1}, batch {batches}" if batches else f"the end of epoch {epoch}"


def read_progress(run: RunFolder, tell: Callable[[str], None]) -> Progress | None:
    """The last undamaged checkpoint of a run; None if the run has none yet.

    A damaged last.ckpt is warned of and replaced by previous.ckpt. Raises CheckpointError if that
    is damaged too, or does not exist.
    """
    last, previous = run.last_checkpoint, run.previous_checkpoint
    if not last.is_file() and previous.is_file():
        previous.replace(last)  # the run was killed between the two renamings
    if not last.is_file():
        return None
    try:
        return _read(last, run)
    except OlderCheckpoint:
        raise
    except CheckpointError as error:
        if not previous.is_file():
            raise CheckpointError(f"{error} Start the run again with --overwrite.") from None
        progress = _read(previous, run)
        tell(f"warning: {error} Continuing from the one before, {progress.describe()}.")
        previous.replace(last)
        return Progress(last, progress.state)


class OlderCheckpoint(CheckpointError):
    """A checkpoint that an lcnet with another training loop has written."""


def _read(file: Path, run: RunFolder) -> Progress:
    check_whole(file)
    try:
        state = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        is_older = "loops" in state and "format" not in state
        progress = Progress(file, {} if is_older else state)
        if not is_older:
            assert state["format"] == FORMAT and progress.info.labels and progress.processes
            assert isinstance(state["weights"], dict) and isinstance(state["recipe"], dict)
            _ = progress.describe(), progress.has_best, progress.is_at_end(progress.planned_epochs)
    except Exception as error:  # a damaged pickle or dict fails in a dozen types
        raise CheckpointError(f"{file}: not a checkpoint ({type(error).__name__}).") from error
    if is_older:
        raise OlderCheckpoint(
            f"{file}: written by an older lcnet with another training loop, so this run cannot be "
            f"continued. Train its best model on with: lcnet train --init {quoted(run)} "
            "--out ANOTHER, or finish it with the lcnet that began it."
        )
    return progress


@contextmanager
def explained(run: RunFolder) -> Iterator[None]:
    """Add what to do next to the errors of a training; the block is the training.

    Raises TrainingError in place of errors of the disk and of processes that load pictures.
    """
    try:
        yield
    except TrainingError:
        raise
    except LCNetError as error:
        if not run.has_checkpoint:
            raise
        then = f"Then continue with: lcnet train --resume {quoted(run)}"
        raise type(error)(f"{error} {then}") from error
    except (OSError, SafetensorError) as error:
        raise TrainingError(f"{run}: {reason_of(error)}. {_next(run)}") from error
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise TrainingError(
            f"a process that loads pictures died ({reason_of(error)}), often for lack of memory. "
            f"If so, lower data.workers in {run.config_file}. {_next(run)}"
        ) from error


def _next(run: RunFolder) -> str:
    return run.continuation if run.has_checkpoint else "Then start the run again."
