"""history.csv: a row for each epoch of a run."""

import csv
import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from lcnet.files import write_text
from lcnet.training.callbacks import DataWait, KeepBest
from lcnet.training.processes import from_all_processes
from lcnet.training.skipping import StepWatch


class History(Callback):
    """Writes a row per epoch to history.csv, and prints the same as a line."""

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
        """Write to `file` and print with `tell`; the other callbacks provide the values.

        `broken` returns the pictures that could not be read so far.
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
        """Begin the file; on resuming, drop the rows of epochs that are trained again."""
        self.start = time.monotonic()
        if not trainer.is_global_zero:
            return
        if self.file.is_file():
            with self.file.open(newline="", encoding="utf-8") as file:
                self.rows = [
                    dict(row) for row in csv.DictReader(file) if self._is_done(row, trainer)
                ]
        self._write()

    def on_train_epoch_start(self, trainer: Trainer, learner: LightningModule) -> None:
        """Start the clock."""
        self.start, self.before = time.monotonic(), 0.0

    def on_train_epoch_end(self, trainer: Trainer, learner: LightningModule) -> None:
        """Write and print the row of this epoch."""
        metrics, epoch = trainer.callback_metrics, trainer.current_epoch
        # All processes must ask for these two, since they gather from all.
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
            self.tell(f"warning: {self.watch.skipped} steps skipped: loss or gradient not finite")

    def state_dict(self) -> dict[str, Any]:
        """The seconds of the epoch so far, and the broken pictures."""
        return {"seconds": self._seconds(), "broken": sorted(self._broken)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.before, self._broken = state_dict["seconds"], set(state_dict["broken"])

    def _count_broken(self) -> int:
        """The number of pictures that some process could not read so far; warns of new ones."""
        of_all = from_all_processes([str(file) for file in self.broken()])
        new = sorted({file for files in of_all for file in files} - self._broken)
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
    def _is_done(row: dict[str, str], trainer: Trainer) -> bool:
        return row["epoch"].isdigit() and int(row["epoch"]) < trainer.current_epoch
