"""From a float32 ONNX file to one that computes with 8-bit integers."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from lcnet.model_folder.exported import IMAGES

QUANTIZED = ("Conv", "MatMul", "Gemm")
"""Operations done in 8 bits: they take nearly all of the time. The rest stays exact."""


def quantize(source: Path, target: Path, batches: Iterator[Tensor]) -> None:
    """Write the ONNX file with weights and activations in 8 bits (static, QDQ).

    Weights have a scale per output channel. An activation's scale follows from its smallest and its
    largest value on the calibration images (Jacob et al. 2018, arXiv 1712.05877, sections 2 and 3).

    Args:
        source: the float32 file.
        target: the file to write.
        batches: the calibration images, B 3 size size.
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Images(CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, Any] | None:
            images = next(batches, None)
            return None if images is None else {IMAGES: images.numpy()}

    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            target,
            Images(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            op_types_to_quantize=list(QUANTIZED),
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            # A product of two activations, as in attention, stays exact.
            extra_options={"MatMulConstBOnly": True},
        )
