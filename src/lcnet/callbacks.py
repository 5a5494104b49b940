"""What happens around the steps: averaged weights, the best model, the history."""

import csv
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, RichProgressBar, WeightAveraging
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from lcnet.checkpoint import ModelInfo, save_model
from lcnet.learner import Learner
from lcnet.metrics import verify
from lcnet.strategy import lies_in_parts, whole_weights


def average_weights(decay: float) -> WeightAveraging:
    """A callback that validates and keeps an exponential moving average of the weights.

    The decay after n steps is min(decay, (1 + n) / (10 + n)), so that a short run does not
    average in its random start.
    """

    def average(kept: list[Tensor], current: list[Tensor], steps: Tensor) -> None:
        now = min(decay, (1 + int(steps)) / (10 + int(steps)))
        get_ema_multi_avg_fn(now)(kept, current, steps)

    return WeightAveraging(multi_avg_fn=average)


class EpochBar(RichProgressBar):
    """A progress bar that goes with its epoch; what is to stay is printed by `History`."""

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

    def __init__(self, folder: Path, info: ModelInfo) -> None:
        self.folder = folder
        self.info = info
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
                save_model(self.folder, learner.model, self.info, weights)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to know."""
        return {"best": self.best, "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
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


class History(Callback):
    """Writes a row per epoch to history.csv and tells the user the same in a line."""

    FIELDS = ("epoch", "train_loss", "val_mAP", "best_mAP", "lr", "seconds", "data_wait")

    def __init__(
        self, file: Path, keep_best: KeepBest, data_wait: DataWait, tell: Callable[[str], None]
    ) -> None:
        self.file = file
        self.keep_best = keep_best
        self.data_wait = data_wait
        self.tell = tell
        self.start = 0.0

    def on_train_start(self, trainer: Trainer, learner: LightningModule) -> None:
        """Begin the file, or drop the rows of epochs that a resumed run does again."""
        if not trainer.is_global_zero:
            return
        rows: list[dict[str, str]] = []
        if self.file.is_file():
            with self.file.open(newline="", encoding="utf-8") as file:
                rows = [row for row in csv.DictReader(file) if self._done(row, trainer)]
        with self.file.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.FIELDS)
            writer.writeheader()
            writer.writerows(rows)

    def on_train_epoch_start(self, trainer: Trainer, learner: LightningModule) -> None:
        """Start the clock."""
        self.start = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, learner: LightningModule) -> None:
        """Write the row of this epoch."""
        metrics, epoch = trainer.callback_metrics, trainer.current_epoch
        if not trainer.is_global_zero:
            return
        row = {
            "epoch": epoch,
            "train_loss": f"{metrics['train/loss_epoch'].item():.6f}",
            "val_mAP": f"{metrics['val/mAP'].item():.3f}",
            "best_mAP": f"{self.keep_best.best:.3f}",
            "lr": f"{trainer.optimizers[0].param_groups[0]['lr']:.3g}",
            "seconds": f"{time.monotonic() - self.start:.1f}",
            "data_wait": f"{self.data_wait.share:.3f}",
        }
        with self.file.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self.FIELDS).writerow(row)
        best = "  best" if self.keep_best.best_epoch == epoch else ""
        self.tell(
            f"epoch {epoch + 1:>{len(str(trainer.max_epochs))}}/{trainer.max_epochs}  "
            f"loss {row['train_loss']}  val mAP {metrics['val/mAP'].item():5.1f}  "
            f"{row['seconds']:>5} s{best}"
        )

    @staticmethod
    def _done(row: dict[str, str], trainer: Trainer) -> bool:
        return row["epoch"].isdigit() and int(row["epoch"]) < trainer.current_epoch


def read_history(run: Path) -> list[dict[str, float]]:
    """The rows that `History` wrote for a run, an epoch each; nan where one lacks a value."""
    with (run / "history.csv").open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        return [{name: float(value or "nan") for name, value in row.items()} for row in rows]
