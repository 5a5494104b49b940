"""When a job measures which runtime is the fastest for its model."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console

from lcnet.compute import best_precision, usual_device
from lcnet.data.sources import Picture
from lcnet.errors import ConfigError, DataError
from lcnet.exporting.engine_files import OTHERS, can_run, kept_table, require
from lcnet.exporting.engine_race import PICTURES, PICTURES_IN_BF16, measure_engines
from lcnet.exporting.engine_table import Wanted
from lcnet.model_folder import ModelInfo, read_info
from lcnet.predicting.predictor import is_exported, readable

Runtime = Literal["auto", "measure", "torch", "onnxruntime", "openvino"]
"""What `lcnet predict --runtime` takes."""
MEASURE_FROM = 1_000
"""Pictures of a job that may measure by itself, at least."""
WORTH = 120.0
"""Seconds that torch must need for the job, so that measuring, which takes about one minute, is
worth it."""


def measured_runtime(
    model: Path,
    runtime: Runtime,
    pictures: Callable[[], Iterable[Picture]],
    total: int,
    batch_size: int,
) -> Wanted:
    """The runtime that the predictor is to take, after the measuring that it needs.

    A named runtime is compared with torch before its first use. Raises ConfigError if a package is
    missing or the model or device cannot be measured, and DataError without a readable picture.
    """
    wanted: Wanted = "auto" if runtime == "measure" else runtime
    if runtime == "torch":
        return wanted
    is_folder, on_cpu = not is_exported(model), usual_device().type == "cpu"
    if not is_folder or not on_cpu:
        if runtime == "measure":
            what = "the CPU" if is_folder else "a run or model folder"
            got = f"the device {usual_device()}" if is_folder else f"the file {model}"
            raise ConfigError(f"--runtime measure: expected {what}, got {got}. Leave it out.")
        return wanted
    info = read_info(model)
    if runtime in ("onnxruntime", "openvino"):
        require("openvino" if runtime == "openvino" else "onnxruntime")
    if runtime != "measure" and kept_table(model, info) is not None:
        return wanted
    if runtime != "auto":
        _measure(model, info, pictures, batch_size)
    elif total >= MEASURE_FROM and any(map(can_run, OTHERS)):
        _measure(model, info, pictures, batch_size, worth=lambda each: each * total >= WORTH)
    return wanted


def _measure(
    model: Path,
    info: ModelInfo,
    pictures: Callable[[], Iterable[Picture]],
    batch_size: int,
    *,
    worth: Callable[[float], bool] | None = None,
) -> None:
    """Measure on the first pictures; with `worth`, only if that says so of torch's seconds each."""
    if not any(map(can_run, OTHERS)):
        raise ConfigError.missing("onnxruntime", "export", use="--runtime measure")
    has_bf16 = best_precision(torch.device("cpu")) == "bf16"
    images = readable(pictures(), info, PICTURES_IN_BF16 if has_bf16 else PICTURES)
    if not images and worth is None:
        raise DataError("--runtime measure: expected a picture that can be read, got none.")
    if not images:
        return
    table = measure_engines(
        model, info, images, batch_size=batch_size, worth=worth or (lambda _: True)
    )
    if table is not None:
        shown = ", ".join(f"{row.name} {row.milliseconds:.0f} ms a picture" for row in table.rows)
        _console().print(f"measured once for this model and machine: {shown}")


def _console() -> Console:
    return Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
