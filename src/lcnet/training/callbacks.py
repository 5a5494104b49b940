"""What happens around the steps: the best model, waiting for pictures, the history."""

import csv
import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, RichProgressBar

from lcnet.checkpoint import ModelInfo, save_model
from lcnet.errors import CheckpointError, reason_of
from lcnet.files import write_text
from lcnet.metrics import verify
from lcnet.training.learner import Learner
from lcnet.training.processes import everyones
from lcnet.training.skipping import StepWatch
from lcnet.training.strategy import lies_in_parts, whole_weights


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
                save_model(self.folder, learner.model, self.info, weights)

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


class History(Callback):
    """Writes a row per epoch to history.csv and tells the user the same in a line."""

    FIELDS = (
        "epoch",
        "train_loss",
        "val_mAP",
        "best_mAP",
        "lr",
        "seconds",
        "data_wait",
        "skipped",
        "broken",
    )

    def __init__(
        self,
        file: Path,
        keep_best: KeepBest,
        watch: StepWatch,
        data_wait: DataWait,
        broken: Callable[[], Sequence[Path]],
        tell: Callable[[str], None],
    ) -> None:
        """Take the file, what it is filled from, and who tells the user.

        `broken` gives the pictures that could not be read so far.
        """
        self.file = file
        self.keep_best = keep_best
        self.watch = watch
        self.data_wait = data_wait
        self.broken = broken
        self.tell = tell
        self.start = self.before = 0.0
        self.rows: list[dict[str, Any]] = []
        self._broken: set[str] = set()

    def on_train_start(self, trainer: Trainer, learner: LightningModule) -> None:
        """Begin the file, or drop the rows of epochs that a resumed run does again."""
        self.start = time.monotonic()
        if not trainer.is_global_zero:
            return
        if self.file.is_file():
            with self.file.open(newline="", encoding="utf-8") as file:
                self.rows = [dict(row) for row in csv.DictReader(file) if self._done(row, trainer)]
        self._write()

    def on_train_epoch_start(self, trainer: Trainer, learner: LightningModule) -> None:
        """Start the clock."""
        self.start, self.before = time.monotonic(), 0.0

    def on_train_epoch_end(self, trainer: Trainer, learner: LightningModule) -> None:
        """Write the row of this epoch."""
        metrics, epoch = trainer.callback_metrics, trainer.current_epoch
        mean_loss, broken = self.watch.mean_loss(), self._count_broken()
        if not trainer.is_global_zero:
            return
        row = {
            "epoch": epoch,
            "train_loss": f"{mean_loss:.6f}",
            "val_mAP": f"{metrics['val/mAP'].item():.3f}",
            "best_mAP": f"{self.keep_best.best:.3f}",
            "lr": f"{trainer.optimizers[0].param_groups[0]['lr']:.3g}",
            "seconds": f"{self._seconds():.1f}",
            "data_wait": f"{self.data_wait.share:.3f}",
            "skipped": self.watch.skipped,
            "broken": broken,
        }
        self.rows.append(row)
        self._write()
        best = "  best" if self.keep_best.best_epoch == epoch else ""
        self.tell(
            f"epoch {epoch + 1:>{len(str(trainer.max_epochs))}}/{trainer.max_epochs}  "
            f"loss {row['train_loss']}  val mAP {metrics['val/mAP'].item():5.1f}  "
            f"{row['seconds']:>5} s{best}"
        )
        if self.watch.skipped:
            self.tell(f"warning: {self.watch.skipped} steps skipped, not finite")

    def state_dict(self) -> dict[str, Any]:
        """The seconds of the epoch so far, and the broken pictures."""
        return {"seconds": self._seconds(), "broken": sorted(self._broken)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.before, self._broken = state_dict["seconds"], set(state_dict["broken"])

    def _count_broken(self) -> int:
        """How many pictures no process could read so far; new ones are told."""
        found = everyones([str(file) for file in self.broken()])
        new = sorted({file for own in found for file in own} - self._broken)
        self._broken.update(new)
        if new:
            self.tell(
                f"warning: {len(new)} pictures could not be read and are left out: "
                f"{', '.join(new[:3])}{', ...' * (len(new) > 3)}"
            )
        return len(self._broken)

    def _seconds(self) -> float:
        return self.before + time.monotonic() - self.start

    def _write(self) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self.FIELDS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.file, text.getvalue())

    @staticmethod
    def _done(row: dict[str, str], trainer: Trainer) -> bool:
        return row["epoch"].isdigit() and int(row["epoch"]) < trainer.current_epoch


def read_history(run: Path) -> list[dict[str, float]]:
    """The rows that `History` wrote for a run, an epoch each; nan where one lacks a value.

    Raises CheckpointError if the file is another or damaged.
    """
    path = run / "history.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            read = [{name: float(value or "nan") for name, value in row.items()} for row in rows]
        if missing := {"epoch", "train_loss", "val_mAP", "best_mAP"} - set(rows.fieldnames or ()):
            raise ValueError(f"no column {min(missing)}")
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise CheckpointError(
            f"{path}: not the history of a run ({reason_of(error)}). Put it back, or delete it."
        ) from None
    return read
