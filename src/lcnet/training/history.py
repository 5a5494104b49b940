"""history.csv: a row for each epoch of a run."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lcnet.config import BestBy
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


def columns(best_by: BestBy) -> tuple[str, ...]:
    """The columns of a run's history; what else than mAP picks the best model has two of its own.

    `val_` columns are of the epoch's model, `best_` columns of the model that is kept.
    """
    own = () if best_by == "mAP" else (f"val_{best_by}", f"best_{best_by}")
    place = FIELDS.index("lr")
    return (*FIELDS[:place], *own, *FIELDS[place:])


def row_of(
    state: State, engine: Engine, scores: Mapping[str, float], best_by: BestBy
) -> dict[str, Any]:
    """The row of the epoch that has just been validated; all processes must call this.

    `scores` are by name: mAP, and what `best_by` names.
    """
    epoch = state.epoch
    sums, counts = zip(*engine.from_all((float(epoch.loss), float(epoch.images))), strict=True)
    mean_loss = sum(sums) / sum(counts) if sum(counts) else float("nan")
    row = {
        "epoch": state.epochs + 1,
        "train_loss": f"{mean_loss:.6f}",
        **_validated(state, state.epochs + 1, scores),
        "lr": f"{learning_rate(state.optimizer):.3g}",
        "seconds": f"{epoch.trained_s + epoch.validated_s:.1f}",
        "images_per_s": f"{sum(engine.from_all(images_per_second(epoch))):.1f}",
        "data_wait": f"{epoch.waiting:.3f}",
        "skipped": epoch.skipped,
        "broken": len(state.broken),
    }
    return {name: row[name] for name in columns(best_by)}


def row_of_start(state: State, scores: Mapping[str, float], best_by: BestBy) -> dict[str, Any]:
    """Row 0: how good the model is that the run starts from; `scores` as in `row_of`."""
    return dict.fromkeys(columns(best_by), "") | {"epoch": 0, **_validated(state, 0, scores)}


def _validated(state: State, epoch: int, scores: Mapping[str, float]) -> dict[str, str]:
    """The scores of an epoch that was judged, and those of the model that is kept."""
    texts = {
        name: f"{value:.6f}" if name == "loss" else f"{value:.3f}" for name, value in scores.items()
    }
    is_best = state.best_epoch == epoch
    kept = texts if is_best else {name: state.history[-1][f"best_{name}"] for name in texts}
    return {f"val_{name}": text for name, text in texts.items()} | {
        f"best_{name}": text for name, text in kept.items()
    }


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
    writer = csv.DictWriter(text, list(rows[-1]) if rows else FIELDS)
    writer.writeheader()
    writer.writerows(rows)
    write_text(run.history_file, text.getvalue())


def print_row(row: dict[str, Any], epochs: int, *, is_best: bool) -> None:
    """Print a row as a line, and a warning if steps were skipped."""
    number = f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}"
    best = "  best" if is_best else ""
    scores = "  ".join(
        f"val {name.removeprefix('val_')} {_shown(name, text)}"
        for name, text in row.items()
        if name.startswith("val_")
    )
    if not row["seconds"]:
        tell(f"{number}  {scores}  before training{best}")
        return
    tell(f"{number}  loss {row['train_loss']}  {scores}  {row['seconds']:>5} s{best}")
    if row["skipped"]:
        tell(f"warning: {row['skipped']} steps skipped: loss or gradient not finite")


def _shown(name: str, text: str) -> str:
    return text if name == "val_loss" else f"{float(text):5.1f}"
