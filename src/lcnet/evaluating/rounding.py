"""Measures what bfloat16 changes in a model's answers, so that `auto` need not guess."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lcnet.compute import Rounding, best_precision, usual_device
from lcnet.config import Data
from lcnet.data.dataset import Split, evenly
from lcnet.data.loading import eval_loader
from lcnet.data.pictures import eval_pictures
from lcnet.data.transforms import Normalize
from lcnet.metrics import predict_at
from lcnet.metrics.calibration import to_probabilities
from lcnet.model.classifier import Classifier
from lcnet.model.fast import FastClassifier
from lcnet.model_folder import ModelInfo, load_model
from lcnet.progress import track

MOST_PICTURES = 500
"""Pictures that are compared, spread evenly over the split."""


def with_rounding(
    info: ModelInfo, run: Path, samples: Split, data: Data, *, quiet: bool
) -> ModelInfo:
    """The info with what bfloat16 changes on this device; without it where bfloat16 is not fast.

    `run` is the run or model folder with the weights; `info` says how they see pictures.
    """
    device = usual_device()
    if best_precision(device) != "bf16":
        return replace(info, rounding=None)
    model = load_model(run)
    model.see(info.test_time)
    chosen = samples.chosen(evenly(len(samples), MOST_PICTURES))
    exact, rounded = both_precisions(model, chosen, info, data, device, quiet=quiet)
    return replace(info, rounding=compared(exact, rounded, info, device.type, samples.name))


def compared(
    exact: NDArray[np.floating],
    rounded: NDArray[np.floating],
    info: ModelInfo,
    device: str,
    split: str,
) -> Rounding:
    """What changes from the logits in float32 to those in bfloat16 (N x L each)."""
    before, after = (to_probabilities(logits, info.calibration) for logits in (exact, rounded))
    rules = info.rules.on(info.labels) if info.rules else None
    decided = [predict_at(each, np.array(info.thresholds), rules) for each in (before, after)]
    differ = decided[0] != decided[1]
    return Rounding(
        device=device,
        split=split,
        pictures=len(exact),
        largest=float(np.abs(before - after).max(initial=0.0)),
        relabelled=int(differ.any(axis=1).sum()),
    )


def both_precisions(
    model: Classifier,
    samples: Split,
    info: ModelInfo,
    data: Data,
    device: torch.device,
    *,
    quiet: bool,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The logits in float32 and in bfloat16, of the model as `Predictor` runs it."""
    forms = [FastClassifier(model.to(device), precision=each) for each in ("fp32", "bf16")]
    normalize = Normalize(info.preprocessing).to(device)
    pictures = eval_pictures(samples, replace(data, cache_images=""), info.preprocessing)
    loader = eval_loader(pictures, batch_size=8, workers=data.workers)
    logits: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
    for images, _ in track(loader, "Comparing bfloat16, batches", len(loader), quiet=quiet):
        normalized = normalize(images)
        for form, gathered in zip(forms, logits, strict=True):
            gathered.append(form(normalized).float().cpu())
    first, second = (torch.cat(gathered).numpy() for gathered in logits)
    return first, second
