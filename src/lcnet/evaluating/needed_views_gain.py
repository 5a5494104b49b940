"""What looking at needed views alone costs and saves: the mAP with all of them, and the time."""

from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from torch import Tensor

from lcnet.compute import usual_device
from lcnet.data.dataset import evenly
from lcnet.data.loading import eval_loader
from lcnet.data.pictures import eval_pictures
from lcnet.data.transforms import Normalize
from lcnet.evaluating.measuring import Measured
from lcnet.model.fast import FastClassifier
from lcnet.model_folder import load_model

PICTURES, ROUNDS = 64, 5
"""Pictures whose time is measured together, and how often; the median of the ratios counts."""


def views_gain_text(run: Path, needed: Measured, every: Measured) -> str:
    """A line such as `needed views: mAP 61.3 -> 61.2 (-0.1) against all, 2.1 times as fast`."""
    before, after = every.verification.mAP, needed.verification.mAP
    return (
        f"needed views: mAP {before:.2f} -> {after:.2f} ({after - before:+.2f}) against all, "
        f"{times_as_fast(run, needed):.2f} times as fast"
    )


def times_as_fast(run: Path, measured: Measured) -> float:
    """How many times as many pictures a second pass with needed views as with all, in torch.

    Of pictures of the split that was measured, since pictures need different views.
    """
    device, info = usual_device(), measured.info
    chosen = measured.samples.chosen(evenly(len(measured.samples), PICTURES))
    pictures = eval_pictures(chosen, measured.data, info.preprocessing, quiet=True)
    loader = eval_loader(pictures, batch_size=PICTURES, workers=0)
    images = Normalize(info.preprocessing).to(device)(next(iter(loader))[0])
    forms = []
    for all_views in (True, False):
        model = load_model(run)
        if all_views:
            model.needed = None
        forms.append(FastClassifier(model.to(device)))
    ratios = []
    for number in range(ROUNDS + 1):  # they take turns, so that both meet the same load
        every, needed = (_seconds(form, images) for form in forms)
        if number:
            ratios.append(every / needed)
    return median(ratios)


def _seconds(form: FastClassifier, images: Tensor) -> float:
    started = perf_counter()
    with torch.inference_mode():
        form(images).cpu()  # .cpu() waits until the device is done
    return perf_counter() - started
