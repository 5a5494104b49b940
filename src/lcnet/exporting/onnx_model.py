"""A model that `lcnet export` wrote as ONNX, run by onnxruntime."""

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lcnet.compute import Precision
from lcnet.errors import CheckpointError, ConfigError, reason_of
from lcnet.model.evidence import as_given
from lcnet.model_folder.exported import IMAGES, KEY, KNOWN, LOGITS, understand, weights_in
from lcnet.model_folder.renewing import outdated

SUFFIX = ".onnx"


class OnnxModel:
    """An exported model: images to logits. `info` is the description in the file."""

    precision: Precision = "fp32"
    explains = False
    failure = ""
    """Why compilation failed: never, since an exported file is not compiled here."""

    def __init__(self, file: Path, *, device: str = "cpu") -> None:
        """Open a file; `device` is cpu, or cuda with the package onnxruntime-gpu.

        It computes with as many threads as torch. Raises CheckpointError if the file is missing, is
        no ONNX file or is not from `lcnet export`, and ConfigError if onnxruntime is not installed
        or lacks the device.
        """
        try:
            import onnxruntime
        except ImportError:
            raise ConfigError.missing("onnxruntime", "export") from None
        provider = f"{device.partition(':')[0].upper()}ExecutionProvider"
        if provider not in onnxruntime.get_available_providers():
            raise ConfigError(
                f"device: expected one that this onnxruntime knows, got {device!r}. Use cpu, or "
                "install onnxruntime-gpu."
            )
        if not file.is_file():
            raise CheckpointError(f"{file}: no such file. Make one with: lcnet export RUN")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3  # a user can do nothing about its warnings
        try:
            # As bytes, so that the file may have any name.
            self.session: Any = onnxruntime.InferenceSession(
                file.read_bytes(), options, providers=[provider]
            )
        except Exception as error:  # onnxruntime has a dozen types that share nothing
            raise CheckpointError(
                f"{file}: not an ONNX file that onnxruntime can run ({reason_of(error)[:200]}). "
                "Export it again with: lcnet export RUN"
            ) from None
        described = self.session.get_modelmeta().custom_metadata_map.get(KEY)
        self.info = understand(described, file)
        self.takes_known = any(
            each.name == KNOWN for each in self.session.get_overridable_initializers()
        )
        """Whether known labels move the others; else they are given back and that is all."""
        if why := outdated(file, self.info, weights_in(described)):
            print(f"warning: {why}", file=sys.stderr)

    def __call__(self, images: Tensor, known: Tensor | None = None) -> Tensor:
        """The logits (B L, float32, on the CPU) of normalised images (B C size size).

        `known` (B L) is as in `Classifier.forward`.
        """
        inputs = {IMAGES: images.cpu().numpy()}
        if known is not None and self.takes_known:
            inputs[KNOWN] = known.float().cpu().numpy()
        logits = torch.from_numpy(self.session.run([LOGITS], inputs)[0])
        return logits if known is None else as_given(logits, known.cpu())

    def __str__(self) -> str:
        return "onnxruntime, as exported"
