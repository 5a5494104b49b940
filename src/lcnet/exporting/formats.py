"""The files that a model is exported to: how each is written, and how its runtime loads it."""

import importlib.util
import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from lcnet.errors import CheckpointError, ConfigError
from lcnet.model.classifier import Classifier
from lcnet.model.exportable import Exportable
from lcnet.model_folder import ModelInfo
from lcnet.predicting.exported import IMAGES, KEY, LOGITS, understand
from lcnet.predicting.onnx_model import SUFFIX, OnnxModel

Scorer = Callable[[Tensor], Tensor]
"""Images (B 3 size size, normalised, float32) to logits (B L)."""
MOST_BYTES = 2**31 - 2**20
"""Of weights in one ONNX file, which holds no more than 2 GiB in all."""


@dataclass(frozen=True)
class Format:
    """A kind of file."""

    runtime: str
    """The package that runs it."""
    suffixes: tuple[str, ...]
    """Of its files, the one to name first."""
    packages: tuple[tuple[str, str], ...]
    """What writing and loading needs beside torch, and which extra brings it."""
    write: Callable[..., None]
    """Writes a program and its description (`exported.describe`) to the files."""
    load: Callable[..., tuple[Scorer, ModelInfo]]
    """The model in the files, and what they say of it."""

    def check(self) -> None:
        """Raises ConfigError if a package is not installed."""
        for package, extra in self.packages:
            if importlib.util.find_spec(package) is None:
                raise ConfigError.missing(package, extra)

    @property
    def runs_with(self) -> str:
        """The runtime and its version, in words."""
        return f"{self.runtime} {version(self.runtime)}"


def trace(model: Classifier, image_size: int) -> ExportedProgram:
    """The model as a program for any number of images of one size; the model is changed.

    Raises CheckpointError if torch.export cannot follow it.
    """
    batch = torch.export.Dim("batch")
    example = torch.zeros(2, 3, image_size, image_size)
    try:
        return torch.export.export(
            Exportable(model, image_size).eval(), (example,), dynamic_shapes=({0: batch},)
        )
    except Exception as error:  # whatever the backbone's code does that cannot be traced
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(
            f"export: torch.export cannot follow this model ({type(error).__name__}: {reason}). "
            "Its backbone does what a fixed graph cannot; train with another."
        ) from error


# ONNX


def write_onnx(program: ExportedProgram, description: str, file: Path) -> None:
    """Write an ONNX file that holds its weights.

    Raises ConfigError if they are more than such a file can hold.
    """
    size = sum(tensor.nbytes for tensor in program.state_dict.values())
    if size > MOST_BYTES:
        raise ConfigError(
            f"--format onnx: expected at most 2 GiB of weights, which is all that one file can "
            f"hold, got {size / 2**30:.1f} GiB. Use --format torch."
        )
    for library in ("onnxscript", "onnx_ir"):  # they warn of what they leave as it is
        logging.getLogger(library).setLevel(logging.ERROR)
    made = torch.onnx.export(
        program, (), dynamo=True, verbose=False, input_names=[IMAGES], output_names=[LOGITS]
    )
    assert made is not None
    model = made.model_proto
    model.metadata_props.add(key=KEY, value=description)
    file.write_bytes(model.SerializeToString())


def load_onnx(file: Path) -> tuple[Scorer, ModelInfo]:
    """The model in an ONNX file; raises CheckpointError as `OnnxModel` does."""
    model = OnnxModel(file)
    return model, model.info


# torch.export


def write_torch(program: ExportedProgram, description: str, file: Path) -> None:
    """Write a file of torch.export."""
    with file.open("wb") as opened:  # by a path torch would want a name that ends in .pt2
        torch.export.save(program, opened, extra_files={KEY: description})


def load_torch(file: Path) -> tuple[Scorer, ModelInfo]:
    """The model in a file of torch.export."""
    said: dict[str, Any] = {KEY: ""}
    with file.open("rb") as opened:
        program = torch.export.load(opened, extra_files=said)
    return program.module(), understand(said[KEY], file)


# OpenVINO


def write_openvino(program: ExportedProgram, description: str, file: Path, weights: Path) -> None:
    """Write OpenVINO's two files, the graph and its weights in float32, made from ONNX."""
    import openvino

    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        source, made = Path(folder) / "model.onnx", Path(folder) / "model.xml"
        write_onnx(program, description, source)
        model = openvino.Core().read_model(source)
        _keep_sums_alone(model)
        model.set_rt_info(description, KEY)
        openvino.save_model(made, model, compress_to_fp16=False)
        made.replace(file)
        made.with_suffix(".bin").replace(weights)


def _keep_sums_alone(model: Any) -> None:
    """Put a squeeze behind each sum, which changes nothing but what OpenVINO joins with it.

    OpenVINO 2026.4 computes a sum over tokens or features and the product or sum after it in one,
    and then wrong for all but one image: (x * w).sum(-1) + b for x (5 7 24) was off by 2.
    """
    import openvino
    from openvino import opset13 as operations

    sums = {"ReduceSum": operations.reduce_sum, "ReduceMean": operations.reduce_mean}
    for one in model.get_ordered_ops():
        if one.get_type_name() in sums and not one.get_attributes()["keep_dims"]:
            values, axes = (source.get_source_output() for source in one.inputs())
            kept = sums[one.get_type_name()](values, axes, keep_dims=True)
            openvino.utils.replace_node(one, operations.squeeze(kept, axes))


def load_openvino(file: Path, weights: Path) -> tuple[Scorer, ModelInfo]:
    """The model in OpenVINO's two files."""
    import openvino

    core = openvino.Core()
    model = core.read_model(file, weights)
    # Some processors would calculate in bfloat16 without being asked.
    options = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    compiled = core.compile_model(model, "CPU", options)
    described = model.get_rt_info([KEY]).value if model.has_rt_info([KEY]) else None

    def score(images: Tensor) -> Tensor:
        return torch.from_numpy(compiled(images.numpy())[LOGITS].copy())

    return score, understand(described, file)


FORMATS = {
    "onnx": Format(
        "onnxruntime",
        (SUFFIX,),
        (("onnx", "export"), ("onnxscript", "export"), ("onnxruntime", "export")),
        write_onnx,
        load_onnx,
    ),
    "torch": Format("torch", (".pt2",), (), write_torch, load_torch),
    "openvino": Format(
        "openvino",
        (".xml", ".bin"),
        (("onnx", "export"), ("onnxscript", "export"), ("openvino", "openvino")),
        write_openvino,
        load_openvino,
    ),
}
