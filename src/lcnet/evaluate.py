"""`lcnet evaluate`: how good a run's model is on a split."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lcnet.checkpoint import ModelInfo, load_model, read_info
from lcnet.config import Config
from lcnet.data.dataset import ImageLabels
from lcnet.data.loading import eval_loader
from lcnet.data.readers import load_split
from lcnet.data.transforms import eval_transform
from lcnet.errors import CheckpointError, ConfigError
from lcnet.files import write_text
from lcnet.metrics import Verification, verify
from lcnet.metrics_state import VerificationState
from lcnet.progress import track


def evaluate(
    run: Path,
    *,
    split: str = "",
    root: str = "",
    threshold: float | None = None,
    out: Path | None = None,
    quiet: bool = False,
) -> Verification:
    """The metrics of a run's best model on a split, by default the test split of its config.

    They are printed unless `quiet` and written to `out`, by default metrics.json in the run folder.
    `root` says where the data is now; `threshold` replaces the model's own.
    Raises CheckpointError if the run cannot be read, DataError if the data cannot.
    """
    if not (run / "config.yaml").is_file():
        raise CheckpointError(
            f"{run}: no config.yaml (expected a run folder). "
            f"Train one with: lcnet train --out {run}"
        )
    config = Config.load(run / "config.yaml")
    name = split or config.data.test
    if not name:
        raise ConfigError(
            "--split: expected a split, and the run's data.test is empty. Set --split."
        )
    if threshold is not None and not 0 <= threshold <= 1:
        raise ConfigError(f"--threshold: expected a probability from 0 to 1, got {threshold}.")
    info, model = read_info(run), load_model(run)
    data = replace(config.data, root=root or config.data.root)
    samples = load_split(data, name, info.labels)
    loader = eval_loader(
        ImageLabels(samples, eval_transform(info.preprocessing)),
        batch_size=config.train.batch_size,
        workers=data.workers,
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)
    state = VerificationState()
    with torch.inference_mode():
        batches = loader if quiet else track(loader, f"Evaluating {name}, batches", len(loader))
        for images, targets in batches:
            state.update(model(images.to(device)), targets)
    verification = verify(
        *state.compute(),
        info.labels,
        threshold=_threshold(info) if threshold is None else threshold,
    )
    metrics = json.dumps({"split": name, **verification.to_dict()}, indent=1, ensure_ascii=False)
    write_text(out or run / "metrics.json", metrics)
    if not quiet:
        _show(verification, name, Console(highlight=False))
    return verification


def _threshold(info: ModelInfo) -> float | np.ndarray:
    """The model's threshold, as one number if all labels have the same."""
    first = info.thresholds[0]
    return first if set(info.thresholds) == {first} else np.array(info.thresholds)


def _show(verification: Verification, split: str, console: Console) -> None:
    """Print the headline, the rates and the AP of each label."""
    left_out = len(verification.without_positive)
    console.print(
        f"[bold]{escape(split)}[/bold]: {verification.images:,} pictures, "
        f"{len(verification.labels)} labels"
        + (f" ({left_out} without a positive, left out of the means)" if left_out else "")
    )
    console.print(f"[bold]mAP {verification.mAP:.2f}[/bold]")
    rates = Table("", *asdict(verification.at_threshold))
    shown = verification.threshold
    at = f"at {shown:g}" if isinstance(shown, float) else "at the labels' thresholds"
    for title, row in (
        (at, verification.at_threshold),
        (f"top {verification.top_k}", verification.at_top),
    ):
        rates.add_row(title, *(f"{value:.1f}" for value in asdict(row).values()))
    console.print(rates)
    labels = Table("label", "AP")
    for label, ap in zip(verification.labels, verification.ap, strict=True):
        labels.add_row(escape(label), "no positive" if ap is None else f"{ap:.1f}")
    console.print(labels)
