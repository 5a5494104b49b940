"""What happens around the steps: the bar, the best model, waiting for pictures."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping, RichProgressBar

from lcnet.metrics import verify
from lcnet.model_folder import ModelFolder, ModelInfo
from lcnet.training.learner import Learner
from lcnet.training.strategy import lies_in_parts, whole_weights


class EpochBar(RichProgressBar):
    """A progress bar that goes with its epoch; what is to stay is printed by `history.History`."""

    def __init__(self) -> None:
        super().__init__(leave=False)

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """The logged metrics without the logger's version, which a run folder has no use for."""
        metrics = super().get_metrics(trainer, pl_module)
        return {name: value for name, value in metrics.items() if name != "v_num"}


class KeepBest(Callback):
    """Scores each validation and writes the model folder whenever the mAP is the best so far.

    It must stand before the weight averaging in the list of callbacks: Lightning calls them in
    order, and the averaged weights are in place only until the averaging's own turn.
    """

    def __init__(self, folder: Path, info: ModelInfo, *, anew: bool = False) -> None:
        """Take the folder and what is known of the model; `anew` forgets the best of before."""
        self.folder = folder
        self.info = info
        self.anew = anew
        self.best = -1.0
        self.best_epoch = -1

    def on_validation_epoch_end(self, trainer: Trainer, learner: LightningModule) -> None:
        """Score what the epoch's validation steps have kept."""
        assert isinstance(learner, Learner)
        probabilities, targets = learner.verification.compute()
        learner.verification.reset()
        mean_ap = verify(probabilities, targets, self.info.labels).mAP
        learner.log("val/mAP", mean_ap)  # the same in all processes
        if mean_ap >= self.best:  # of equals the longer trained one
            self.best, self.best_epoch = mean_ap, trainer.current_epoch
            # Where weights lie in parts, all processes have to hand in theirs.
            weights = whole_weights(trainer) if lies_in_parts(trainer) else None
            if trainer.is_global_zero:
                ModelFolder(self.folder).save(learner.model, self.info, weights)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to know."""
        return {"best": self.best, "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        if not self.anew:
            self.best, self.best_epoch = state_dict["best"], state_dict["best_epoch"]


class DataWait(Callback):
    """Measures which share of an epoch's training time the model waits for its next batch.

    Logged as `train/data_wait`, 0 to 1. With an accelerator that still computes meanwhile, it is
    the most that can be gained. It must stand behind callbacks that work at the end of a step,
    whose time would count as waiting.
    """

    MUCH = 0.2
    """From this share on, and this many seconds an epoch, the user is told once what to do."""
    SECONDS = 1.0

    def __init__(self, tell: Callable[[str], None], hint: str = "") -> None:
        """Take who tells it, and what to do about it; without a hint nothing is told."""
        self.tell = tell
        self.hint = hint
        self.share = 0.0
        self._start = self._mark = self._waited = 0.0

    def on_train_start(self, trainer: Trainer, learner: LightningModule) -> None:
        """Start the clock, for an epoch that is resumed midway."""
        self.on_train_epoch_start(trainer, learner)

    def on_train_epoch_start(self, trainer: Trainer, learner: LightningModule) -> None:
        """Start the clock."""
        self._start = self._mark = time.monotonic()
        self._waited = 0.0

    def on_train_batch_start(
        self, trainer: Trainer, learner: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """The batch is here: what has passed since the last one was done was waiting."""
        self._waited += time.monotonic() - self._mark

    def on_train_batch_end(
        self,
        trainer: Trainer,
        learner: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """The step is done, and waiting begins."""
        self._mark = time.monotonic()
        self.share = self._waited / max(self._mark - self._start, 1e-9)

    def on_train_epoch_end(self, trainer: Trainer, learner: LightningModule) -> None:
        """Log the share, and tell the user once if it is large."""
        learner.log("train/data_wait", self.share)
        if self.hint and self.share > self.MUCH and self._waited > self.SECONDS:
            self.tell(f"{self.share:.0%} of the training time is waiting for pictures. {self.hint}")
            self.hint = ""


class EarlyStoppingAnew(EarlyStopping):
    """Forgets for how long nothing was better, since what it was compared with is lost."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up nothing."""
