"""The checkpoint that a run continues from: when it is written, and how it stays undamaged."""

import signal
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Callback, Checkpoint
from safetensors import SafetensorError

from lcnet.errors import CheckpointError, LCNetError, Stopped, TrainingError, reason_of
from lcnet.files import written_whole
from lcnet.model_folder import ModelInfo
from lcnet.run_folder import RunFolder
from lcnet.training.averaging import AveragedWeights
from lcnet.training.stopping import Stop

INFO = "lcnet_model"
"""Key of the content of model.json in a checkpoint."""
PROCESSES = "lcnet_processes"
"""Key of the number of processes that share the run."""


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint, reads it back, and only then replaces the older one."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint; the older one becomes previous.ckpt.

        Raises TrainingError if it cannot be written; the older one then stays as it is.
        """
        file, run = Path(path), RunFolder(Path(path).parent.parent)
        try:
            with written_whole(file, previous=run.previous_checkpoint) as unfinished:
                # With Python's own file, since torch's writer hides that the disk is full.
                with unfinished.open("wb") as stream:
                    torch.save(checkpoint, stream)
                check_whole(unfinished)
        except (OSError, RuntimeError, CheckpointError) as error:
            kept = "The checkpoint before it is undamaged. " if file.exists() else ""
            raise TrainingError(
                f"{file}: could not be written ({_reason(error)}). {kept}Make room on the disk. "
                f"{_next(run)}"
            ) from error


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
    """The content, as Lightning wrote it."""

    @property
    def epoch(self) -> int:
        """Number of epochs that are done."""
        done: int = self.state["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
        return done

    @property
    def batches(self) -> int:
        """Batches already trained in the unfinished epoch; 0 between epochs."""
        if self._epochs["ready"] == self._epochs["processed"]:
            return 0
        done: int = self.state["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]["ready"]
        return done

    @property
    def _epochs(self) -> dict[str, int]:
        epochs: dict[str, int] = self.state["loops"]["fit_loop"]["epoch_progress"]["current"]
        return epochs

    @property
    def processes(self) -> int:
        """Number of processes that share the run; 1 in a checkpoint of an older lcnet."""
        return int(self.state.get(PROCESSES, 1))

    @property
    def has_stopped_early(self) -> bool:
        """Whether the run ended early, since the validation mAP no longer improved."""
        return any(callback.get("stopped_epoch") for callback in self.state["callbacks"].values())

    @property
    def has_best(self) -> bool:
        """Whether an epoch has been validated, and so model/ was written."""
        return any(
            callback.get("best_epoch", -1) >= 0 for callback in self.state["callbacks"].values()
        )

    @cached_property
    def info(self) -> ModelInfo | None:
        """The model's description; None in a checkpoint of an older lcnet."""
        stored = self.state.get(INFO)
        return ModelInfo.from_dict(stored) if stored else None

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """The model's weights; their average if the run averages them."""
        return {
            name.removeprefix("model."): tensor
            for name, tensor in self.state["state_dict"].items()
            if name.startswith("model.")
        }

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
        return _read(last)
    except CheckpointError as error:
        if not previous.is_file():
            raise CheckpointError(f"{error} Start the run again with --overwrite.") from None
        progress = _read(previous)
        tell(f"warning: {error} Continuing from the one before, {progress.describe()}.")
        previous.replace(last)
        return Progress(last, progress.state)


def _read(file: Path) -> Progress:
    check_whole(file)
    try:
        state = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        progress = Progress(file, state)
        progress.describe()
        assert progress.info is None or progress.info.labels
        assert isinstance(state["callbacks"], dict)
    except Exception as error:  # a damaged pickle or dict fails in a dozen types
        raise CheckpointError(f"{file}: not a checkpoint ({type(error).__name__}).") from error
    return progress


class Saving(Checkpoint):
    """Writes last.ckpt after each epoch, every few minutes within one, and when the run must stop.

    Within an epoch it saves after a step of the optimizer, so no gradients have to be stored.
    Lightning calls it after all other callbacks.
    """

    def __init__(self, file: Path, info: ModelInfo, stop: Stop, *, minutes: float) -> None:
        """Write to `file`; with 0 `minutes` only after epochs."""
        self.file = file
        self.info = info
        self.stop = stop
        self.minutes = minutes
        self._saved = self._steps = 0.0

    def on_train_start(self, trainer: Trainer, learner: LightningModule) -> None:
        """From now on the run looks for signals itself, at points where it can save."""
        self.stop.listen()  # again, since Lightning has set handlers of its own
        self.stop.is_patient = True
        self._saved, self._steps = time.monotonic(), trainer.global_step

    def on_train_batch_end(
        self,
        trainer: Trainer,
        learner: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save if it is time to or if the run must stop, and then stop it."""
        if trainer.global_step == self._steps:
            return  # gradients are still being accumulated
        self._steps = trainer.global_step
        due = self.minutes > 0 and time.monotonic() - self._saved >= 60 * self.minutes
        stops = _anywhere(trainer, self.stop.is_wanted)
        if stops or _anywhere(trainer, due):
            self._save(trainer)
        if stops:
            self._end(trainer, batch_idx + 1)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        learner: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """If the run must stop, save it and end it. The resumed run repeats the validation."""
        if _anywhere(trainer, self.stop.is_wanted):
            callbacks: list[Callback] = vars(trainer)["callbacks"]
            for callback in callbacks:
                if isinstance(callback, AveragedWeights):
                    callback.take_back(learner)
            self._save(trainer)
            self._end(trainer, trainer.fit_loop.batch_idx + 1)

    def on_train_epoch_end(self, trainer: Trainer, learner: LightningModule) -> None:
        """Save, and stop if a signal came."""
        self._save(trainer)
        if _anywhere(trainer, self.stop.is_wanted):
            raise self._now(f"after epoch {trainer.current_epoch + 1}")

    def on_train_end(self, trainer: Trainer, learner: LightningModule) -> None:
        """From here on a signal may stop the run anywhere, as everything is saved."""
        self.stop.is_patient = False
        if _anywhere(trainer, self.stop.is_wanted):
            raise self._now("after the last epoch")

    def on_save_checkpoint(
        self, trainer: Trainer, learner: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the model's description, and correct Lightning's own record of the progress."""
        checkpoint[INFO] = self.info.to_dict()
        checkpoint[PROCESSES] = trainer.world_size
        loops = checkpoint["loops"]["fit_loop"]
        if loops["epoch_progress"]["current"]["processed"] == trainer.current_epoch:
            resume_with_validation(loops)

    def _save(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self.file)
        self._saved = time.monotonic()

    def _end(self, trainer: Trainer, batches: int) -> None:
        where = describe_position(trainer.current_epoch, batches)
        raise self._now(f"in {where}, which is saved")

    def _now(self, where: str) -> Stopped:
        if self.stop.signal is None:  # the signal went to another process
            self.stop.signal = signal.SIGTERM
        return self.stop.now(where)


def resume_with_validation(loops: dict[str, Any]) -> None:
    """Make a checkpoint, written after an epoch's training, resume with the epoch's validation.

    Lightning would count such an epoch as validated. So its progress is changed to that of a
    validation that stopped in its first batch.
    """
    batches = loops["epoch_loop.batch_progress"]
    if not batches["is_last_batch"]:
        return
    for progress in (batches["total"], batches["current"]):
        progress["completed"] = progress["processed"]
    begun = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
    loops["epoch_loop.val_loop.batch_progress"] |= {"total": dict(begun), "current": dict(begun)}


def _anywhere(trainer: Trainer, wanted: bool) -> bool:
    """Whether `wanted` is true in any process; all must save together."""
    if trainer.world_size == 1:
        return wanted
    return trainer.strategy.reduce_boolean_decision(wanted, all=False)


def _reason(error: Exception) -> str:
    return reason_of(error.__cause__ if isinstance(error.__cause__, Exception) else error)


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
        raise type(error)(f"{error} Then continue with: lcnet train --resume {run}") from error
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
