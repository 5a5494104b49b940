"""What a model costs per picture: parameters, views, operations, and time on this machine."""

import copy
import platform
import statistics
import time
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from lcnet.compute import usual_device
from lcnet.model.classifier import Classifier
from lcnet.model.fast import FastClassifier

FEWEST, MOST, SECONDS = 3, 20, 3.0
"""How many passes are timed, after one that is not: the fewest, the most, and for how long."""


@dataclass(frozen=True)
class Cost:
    """What a model costs per picture; `measure_cost` makes it."""

    parameters: int
    views: int
    """How many views, each of `view_size`, the backbone sees per picture."""
    view_size: int
    """Side of a view in pixels; of the largest, if the models of an ensemble differ."""
    operations: int
    """Floating point operations per picture; a multiplication with an addition counts as two."""
    milliseconds: float
    """A picture's pass through the model alone, in float32; the median of several passes."""
    machine: str
    """Where the milliseconds were measured."""


def measure_cost(model: Classifier, image_size: int, channels: int = 3) -> Cost:
    """What one picture of `image_size` pixels square costs, measured with random pixels here.

    The time is that of the model's fastest form in float32, uncompiled, one picture at a time.
    Reading and resizing the picture is not in it. A model that looks at needed views alone is
    measured with all of them, since which are needed depends on the picture.
    """
    device = usual_device()
    if any(single.needed is not None for single in model.singles()):
        model = copy.deepcopy(model)
        for single in model.singles():
            single.needed = None
    picture = torch.zeros(1, channels, image_size, image_size)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(picture)
    fast = FastClassifier(model.to(device))
    picture = torch.randn_like(picture).to(device)
    fast(picture)
    times: list[float] = []
    while len(times) < FEWEST or (len(times) < MOST and sum(times) < SECONDS):
        started = time.perf_counter()
        fast(picture).cpu()  # .cpu() waits until the device is done
        times.append(time.perf_counter() - started)
    singles = model.singles()
    return Cost(
        parameters=sum(weight.numel() for weight in model.parameters()),
        views=sum(single.crops.views * _ways(single) for single in singles),
        view_size=max(single.crops.view_size for single in singles),
        operations=counter.get_total_flops(),
        milliseconds=1_000 * statistics.median(times),
        machine=_machine(device),
    )


def _ways(model: Classifier) -> int:
    """In how many ways a model sees a picture: once, and as test-time augmentation adds."""
    return 1 + len(model.test_time.ways if model.test_time else ())


def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    threads = torch.get_num_threads()
    return f"{platform.machine()}, threads: {threads}, torch {torch.__version__}"
