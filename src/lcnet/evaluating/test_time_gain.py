"""What test-time augmentation gives and costs: the mAP with and without it, and the time."""

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor

from lcnet.compute import usual_device
from lcnet.evaluating.measuring import Measured
from lcnet.model.fast import FastClassifier
from lcnet.model_folder import load_model, read_info

PICTURES, ROUNDS = 8, 3
"""Pictures that pass together, and how often, when the time is measured. The fastest counts."""


def gain_text(run: Path, plain: Measured, changed: Measured) -> str:
    """A line such as `mirror: mAP 61.3 -> 61.7 (+0.4), 2.0 times the time of the model`."""
    ways = changed.info.test_time
    before, after = plain.verification.mAP, changed.verification.mAP
    return (
        f"{', '.join(ways)}: mAP {before:.2f} -> {after:.2f} ({after - before:+.2f}), "
        f"{times_the_time(run, ways):.1f} times the time of the model"
    )


def times_the_time(run: Path, ways: Sequence[str]) -> float:
    """How many times as long the model takes with these ways of `test_time.WAYS` as without."""
    device = usual_device()
    forms = []
    for seen in ((), ways):
        model = load_model(run)
        model.see(seen)
        forms.append(FastClassifier(model.to(device)))
    settings = read_info(run).model
    side = settings.image_size
    images = torch.randn(PICTURES, settings.channels, side, side, device=device)
    fastest = [float("inf")] * len(forms)
    for _ in range(ROUNDS):  # they take turns, so that both meet the same load of the machine
        for number, form in enumerate(forms):
            fastest[number] = min(fastest[number], _seconds(form, images))
    return fastest[1] / fastest[0]


def _seconds(form: FastClassifier, images: Tensor) -> float:
    started = perf_counter()
    form(images).cpu()  # .cpu() waits until the device is done
    return perf_counter() - started
