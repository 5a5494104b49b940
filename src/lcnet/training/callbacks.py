"""Callbacks of a training: progress bar, best model, and time spent waiting for data."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping, RichProgressBar

from lcnet.metrics import verify
from lcnet.model_folder import ModelFolder, ModelInfo
from lcnet.training.learner import Learner
from lcnet.training.strategy import has_sharded_weights, whole_weights


class EpochBar(RichProgressBar):
    """A progress bar that disappears after each epoch; `History` prints the line that stays."""

    def __init__(self) -> None:
        super().__init__(leave=False)

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """The logged metrics without the logger's version, which says nothing in a run folder."""
        metrics = super().get_metrics(trainer, pl_module)
        return {name: value for name, value in metrics.items() if name != "v_num"}


class KeepBest(Callback):
    """Scores each validation and writes the model folder whenever the mAP is the best so far.

    It must come before `AveragedWeights` in the list of callbacks: Lightning calls them in order,
    and `AveragedWeights` takes the averaged weights out again.
    """

    def __init__(self, folder: Path, info: ModelInfo, *, anew: bool = False) -> None:
        """Write to `folder`; with `anew`, ignore the best mAP that a checkpoint remembers."""
        self.folder = folder
        self.info = info
        self.anew = anew
        self.best = -1.0
        self.best_epoch = -1

    def on_validation_epoch_end(self, trainer: Trainer, learner: LightningModule) -> None:
        """Score the predictions that the validation steps have collected."""
        assert isinstance(learner, Learner)
        probabilities, targets = learner.verification.compute()
        learner.verification.reset()
        mean_ap = verify(probabilities, targets, self.info.labels).mAP
        learner.log("val/mAP", mean_ap)  # every process has all predictions, so the same value
        if mean_ap >= self.best:  # among equals, the model that was trained longer
            self.best, self.best_epoch = mean_ap, trainer.current_epoch
            # All processes must take part, as each holds some of the weights.
            weights = whole_weights(trainer) if has_sharded_weights(trainer) else None
            if trainer.is_global_zero:
                ModelFolder(self.folder).save(learner.model, self.info, weights)

    def state_dict(self) -> dict[str, Any]:
        """The best mAP so far and its epoch, for a resumed run."""
        return {"best": self.best, "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        if not self.anew:
            self.best, self.best_epoch = state_dict["best"], state_dict["best_epoch"]


class DataWait(Callback):
    """Measures the share of an epoch's training time that is spent waiting for the next batch.

    Logged as `train/data_wait`, 0 to 1. An accelerator may still compute while the process waits,
    so the share is an upper bound of what faster loading can save. The callback must come after
    those that work at the end of a step, whose time would count as waiting.
    """

    MUCH = 0.2
    """Share of the time from which on the hint is printed, once."""
    SECONDS = 1.0
    """Seconds of waiting per epoch below which no hint is printed."""

    def __init__(self, tell: Callable[[str], None], hint: str = "") -> None:
        """Print `hint`, the advice against waiting, with `tell`; an empty hint prints nothing."""
        self.tell = tell
        self.hint = hint
        self.share = 0.0
        self._start = self._mark = self._waited = 0.0

    def on_train_start(self, trainer: Trainer, learner: LightningModule) -> None:
        """Start the clock for an epoch that is resumed midway."""
        self.on_train_epoch_start(trainer, learner)

    def on_train_epoch_start(self, trainer: Trainer, learner: LightningModule) -> None:
        """Start the clock."""
        self._start = self._mark = time.monotonic()
        self._waited = 0.0

    def on_train_batch_start(
        self, trainer: Trainer, learner: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """The batch is here: the time since the last step ended was spent waiting."""
        self._waited += time.monotonic() - self._mark

    def on_train_batch_end(
        self,
        trainer: Trainer,
        learner: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """The step has ended, and waiting begins."""
        self._mark = time.monotonic()
        self.share = self._waited / max(self._mark - self._start, 1e-9)

    def on_train_epoch_end(self, trainer: Trainer, learner: LightningModule) -> None:
        """Log the share, and print the hint once if the share is large."""
        learner.log("train/data_wait", self.share)
        if self.hint and self.share > self.MUCH and self._waited > self.SECONDS:
            share = f"{self.share:.0%} of the training time"
            self.tell(f"{share} is spent waiting for pictures. {self.hint}")
            self.hint = ""


class EarlyStoppingAnew(EarlyStopping):
    """Early stopping that starts its count again on resuming, since the best model was lost."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore nothing."""
