"""A model that `lcnet export` wrote for OpenVINO."""

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lcnet.compute import Precision
from lcnet.errors import CheckpointError, ConfigError, reason_of
from lcnet.model.evidence import as_given
from lcnet.model_folder.exported import KEY, LOGITS, understand, weights_in
from lcnet.model_folder.openvino_core import openvino_core
from lcnet.model_folder.renewing import outdated

SUFFIX = ".xml"
HINTS: dict[Precision, str] = {"fp32": "f32", "bf16": "bf16"}
"""OpenVINO's names of arithmetic. It is always named: by itself it takes bf16 on some machines."""


class OpenVinoModel:
    """An exported model: images to logits. `info` is the description in the file."""

    precision: Precision = "fp32"
    explains = False
    failure = ""
    """Why compilation failed: never, since an exported file is not compiled here."""

    def __init__(self, file: Path, weights: Path | None = None) -> None:
        """Open a graph and its weights, by default the file of the same name that ends in .bin.

        It computes on the CPU, with as many threads as torch. Raises CheckpointError if a file is
        missing, cannot be read or is not from `lcnet export`, and ConfigError if OpenVINO is not
        installed.
        """
        self.network, described = compiled(file, weights or file.with_suffix(".bin"), "fp32")
        self.info = understand(described, file)
        self.takes_known = len(self.network.inputs) == 2
        """Whether known labels move the others; else they are given back and that is all."""
        if why := outdated(file, self.info, weights_in(described or "")):
            print(f"warning: {why}", file=sys.stderr)

    def __call__(self, images: Tensor, known: Tensor | None = None) -> Tensor:
        """The logits (B L, float32, on the CPU) of normalised images (B C size size).

        `known` (B L) is as in `Classifier.forward`.
        """
        inputs = [images.cpu().contiguous().numpy()]
        if self.takes_known:
            nothing = torch.zeros(len(images), len(self.info.labels))
            inputs.append((nothing if known is None else known.float().cpu()).numpy())
        logits = torch.from_numpy(self.network(inputs)[LOGITS].copy())
        return logits if known is None else as_given(logits, known.cpu())

    def __str__(self) -> str:
        return "openvino, as exported"


def compiled(file: Path, weights: Path, precision: Precision) -> tuple[Any, str | None]:
    """OpenVINO's network in two files, ready to run on the CPU, and the description in it.

    Raises CheckpointError and ConfigError as `OpenVinoModel` does.
    """
    try:
        core = openvino_core()
    except ImportError:
        raise ConfigError.missing("openvino", "openvino") from None
    for part in (file, weights):
        if not part.is_file():
            raise CheckpointError(
                f"{part}: no such file. Make one with: lcnet export RUN --format openvino"
            )
    options = {
        "INFERENCE_PRECISION_HINT": HINTS[precision],
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    try:
        model = core.read_model(file, weights)
        network = core.compile_model(model, "CPU", options)
    except Exception as error:  # OpenVINO raises RuntimeError and types of its own
        raise CheckpointError(
            f"{file}: not a model that OpenVINO can run ({reason_of(error)[:200]}). "
            "Export it again with: lcnet export RUN --format openvino"
        ) from None
    return network, model.get_rt_info([KEY]).value if model.has_rt_info([KEY]) else None
