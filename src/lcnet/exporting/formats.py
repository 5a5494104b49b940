"""The formats of an exported model: how each is written, and how its runtime loads it."""

import importlib.util
import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.export import ExportedProgram

from lcnet.errors import CheckpointError, ConfigError
from lcnet.exporting.onnx_model import SUFFIX, OnnxModel
from lcnet.exporting.openvino_model import OpenVinoModel
from lcnet.model.classifier import Classifier
from lcnet.model.exportable import Exportable
from lcnet.model_folder import ModelInfo
from lcnet.model_folder.exported import IMAGES, KEY, KNOWN, LOGITS, understand
from lcnet.model_folder.openvino_core import openvino_core

Scorer = Callable[[Tensor], Tensor]
"""Images (B C size size, normalised, float32) to logits (B L)."""
MOST_BYTES = 2**31 - 2**20
"""Weights in one ONNX file, at most: a whole file holds no more than 2 GiB."""


@dataclass(frozen=True)
class Format:
    """One format."""

    runtime: str
    """The package that runs it."""
    suffixes: tuple[str, ...]
    """The suffixes of its files; the user names the first."""
    packages: tuple[tuple[str, str], ...]
    """Packages that writing and loading need besides torch, each with the extra that brings it."""
    write: Callable[..., None]
    """Writes a program and its description (`exported.describe`) to the files."""
    load: Callable[..., tuple[Scorer, ModelInfo]]
    """Loads the model from the files, and the description in them."""

    def check(self) -> None:
        """Raise ConfigError if a package is not installed."""
        for package, extra in self.packages:
            if importlib.util.find_spec(package) is None:
                raise ConfigError.missing(package, extra)

    @property
    def runs_with(self) -> str:
        """The runtime and its version, in words."""
        return f"{self.runtime} {version(self.runtime)}"


def trace(model: Classifier, image_size: int, channels: int = 3) -> ExportedProgram:
    """The model as a program for any number of images of one size; changes the model.

    If the model has `evidence`, the program takes what is known (B L) as a second input. Raises
    CheckpointError if torch.export cannot follow it.
    """
    examples = [torch.zeros(2, channels, image_size, image_size)]
    if model.evidence is not None:
        examples.append(torch.zeros(2, len(model.evidence.slope)))
    shapes = ({0: torch.export.Dim("batch")},) * len(examples)
    try:
        return torch.export.export(
            Exportable(model, image_size).eval(), tuple(examples), dynamic_shapes=shapes
        )
    except Exception as error:  # whatever the backbone's code does that cannot be traced
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(
            f"export: torch.export cannot follow this model ({type(error).__name__}: {reason}). "
            "Its backbone's code does not fit into a fixed graph; train with another backbone."
        ) from error


# ONNX


def write_onnx(
    program: ExportedProgram, description: str, file: Path, *, optional_known: bool = True
) -> None:
    """Write one ONNX file with the weights inside.

    If the program takes what is known, that input may be left out of a call, unless
    `optional_known` is false. Raises ConfigError if the weights are larger than such a file can
    hold.
    """
    size = sum(tensor.nbytes for tensor in program.state_dict.values())
    if size > MOST_BYTES:
        raise ConfigError(
            f"--format onnx: expected at most 2 GiB of weights, the most that one file can hold, "
            f"got {size / 2**30:.1f} GiB. Use --format torch."
        )
    for library in ("onnxscript", "onnx_ir"):  # they warn about what they leave unchanged
        logging.getLogger(library).setLevel(logging.ERROR)
    inputs = [IMAGES, KNOWN][: _inputs(program)]
    made = torch.onnx.export(
        program, (), dynamo=True, verbose=False, input_names=inputs, output_names=[LOGITS]
    )
    assert made is not None
    model = made.model_proto
    if KNOWN in inputs and optional_known:
        _make_optional(model)
    model.metadata_props.add(key=KEY, value=description)
    file.write_bytes(model.SerializeToString())


def _inputs(program: ExportedProgram) -> int:
    return len(program.graph_signature.user_inputs)


def _make_optional(model: Any) -> None:
    """Give the known labels of an ONNX model a value for calls without them: nothing is known."""
    from onnx import numpy_helper

    known = next(each for each in model.graph.input if each.name == KNOWN)
    rows, columns = known.type.tensor_type.shape.dim
    rows.dim_param, labels = f"{KNOWN}_{rows.dim_param}", columns.dim_value
    model.graph.ClearField("value_info")  # written for as many rows as pictures
    nothing = np.zeros((1, labels), np.float32)  # for any number of pictures
    model.graph.initializer.append(numpy_helper.from_array(nothing, KNOWN))


def load_onnx(file: Path) -> tuple[Scorer, ModelInfo]:
    """The model in an ONNX file; raises CheckpointError as `OnnxModel` does."""
    model = OnnxModel(file)
    return model, model.info


# torch.export


def write_torch(program: ExportedProgram, description: str, file: Path) -> None:
    """Write a file of torch.export."""
    with file.open("wb") as opened:  # given a path, torch requires a name that ends in .pt2
        torch.export.save(program, opened, extra_files={KEY: description})


def load_torch(file: Path) -> tuple[Scorer, ModelInfo]:
    """The model in a file of torch.export."""
    texts: dict[str, Any] = {KEY: ""}
    with file.open("rb") as opened:
        program = torch.export.load(opened, extra_files=texts)
    network, info = program.module(), understand(texts[KEY], file)
    if _inputs(program) == 1:
        return network, info
    return lambda images: network(images, _nothing_known(images, info)), info


def _nothing_known(images: Tensor, info: ModelInfo) -> Tensor:
    return torch.zeros(len(images), len(info.labels))


# OpenVINO


def write_openvino(program: ExportedProgram, description: str, file: Path, weights: Path) -> None:
    """Write OpenVINO's two files, the graph and its weights in float32, made from ONNX."""
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        source = Path(folder) / "model.onnx"
        write_onnx(program, description, source, optional_known=False)  # openvino would drop it
        openvino_from_onnx(source, description, file, weights)


def openvino_from_onnx(source: Path, description: str, file: Path, weights: Path) -> None:
    """Write OpenVINO's two files, made from an ONNX file all of whose inputs must be given."""
    import openvino

    model = openvino_core().read_model(source)
    _keep_sums_unfused(model)
    model.set_rt_info(description, KEY)
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        graph = Path(folder) / "model.xml"
        openvino.save_model(model, graph, compress_to_fp16=False)
        graph.replace(file)
        graph.with_suffix(".bin").replace(weights)


def _keep_sums_unfused(model: Any) -> None:
    """Put a squeeze behind each sum: the result is the same, but OpenVINO fuses nothing with it.

    OpenVINO 2026.4 fuses a sum over tokens or features with the product or sum that follows, and
    then only one image of a batch is right: (x * w).sum(-1) + b for x (5 7 24) was off by 2.
    """
    import openvino
    from openvino import opset13

    sums = {"ReduceSum": opset13.reduce_sum, "ReduceMean": opset13.reduce_mean}
    for node in model.get_ordered_ops():
        if node.get_type_name() in sums and not node.get_attributes()["keep_dims"]:
            values, axes = (source.get_source_output() for source in node.inputs())
            unsqueezed = sums[node.get_type_name()](values, axes, keep_dims=True)
            openvino.utils.replace_node(node, opset13.squeeze(unsqueezed, axes))


def load_openvino(file: Path, weights: Path) -> tuple[Scorer, ModelInfo]:
    """The model in OpenVINO's two files; raises as `OpenVinoModel` does."""
    model = OpenVinoModel(file, weights)
    return model, model.info


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
