"""history.csv: a row for each epoch of a run."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lcnet.files import write_text
from lcnet.progress import tell
from lcnet.run_folder import RunFolder
from lcnet.training.engine import Engine
from lcnet.training.optimizers import learning_rate
from lcnet.training.pace import images_per_second
from lcnet.training.state import State

FIELDS = (
    "epoch",
    "train_loss",
    "val_mAP",
    "best_mAP",
    "lr",
    "seconds",
    "images_per_s",
    "data_wait",
    "skipped",
    "broken",
)


def row_of(state: State, engine: Engine, mean_ap: float) -> dict[str, Any]:
    """The row of the epoch that has just been validated; all processes must call this."""
    epoch = state.epoch
    sums, counts = zip(*engine.from_all((float(epoch.loss), float(epoch.images))), strict=True)
    mean_loss = sum(sums) / sum(counts) if sum(counts) else float("nan")
    return {
        "epoch": state.epochs + 1,
        "train_loss": f"{mean_loss:.6f}",
        "val_mAP": f"{mean_ap:.3f}",
        "best_mAP": f"{state.best:.3f}",
        "lr": f"{learning_rate(state.optimizer):.3g}",
        "seconds": f"{epoch.trained_s + epoch.validated_s:.1f}",
        "images_per_s": f"{sum(engine.from_all(images_per_second(epoch))):.1f}",
        "data_wait": f"{epoch.waiting:.3f}",
        "skipped": epoch.skipped,
        "broken": len(state.broken),
    }


def row_of_start(state: State, mean_ap: float) -> dict[str, Any]:
    """Row 0: how good the model is that the run starts from."""
    row = {"epoch": 0, "val_mAP": f"{mean_ap:.3f}", "best_mAP": f"{state.best:.3f}"}
    return dict.fromkeys(FIELDS, "") | row


def note_broken(state: State, engine: Engine, files: Sequence[Path]) -> None:
    """Add the pictures that some process could not read, and warn of new ones."""
    of_all = engine.from_all([str(file) for file in files])
    new = sorted({file for files in of_all for file in files} - set(state.broken))
    state.broken += new
    if new:
        tell(
            f"warning: {len(new)} pictures could not be read and are left out: "
            f"{', '.join(new[:3])}{', ...' * (len(new) > 3)}"
        )


def write_history(run: RunFolder, rows: list[dict[str, Any]]) -> None:
    """Write history.csv, whole or not at all."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, FIELDS)
    writer.writeheader()
    writer.writerows(rows)
    write_text(run.history_file, text.getvalue())


def print_row(row: dict[str, Any], epochs: int, *, is_best: bool) -> None:
    """Print a row as a line, and a warning if steps were skipped."""
    number = f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}"
    best = "  best" if is_best else ""
    if not row["seconds"]:
        tell(f"{number}  val mAP {float(row['val_mAP']):5.1f}  before training{best}")
        return
    tell(
        f"{number}  loss {row['train_loss']}  val mAP {float(row['val_mAP']):5.1f}  "
        f"{row['seconds']:>5} s{best}"
    )
    if row["skipped"]:
        tell(f"warning: {row['skipped']} steps skipped: loss or gradient not finite")
