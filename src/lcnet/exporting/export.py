"""`lcnet export`: one file for another runtime, with the proof that it is the same model."""

from pathlib import Path
from typing import Annotated, Literal

from lcnet.bounds import AtLeast, bounded
from lcnet.config import Data
from lcnet.files import AnyPath
from lcnet.hub import require_out


@bounded
def export(
    model: AnyPath,
    *,
    format: Literal["onnx", "torch", "openvino"] = "onnx",
    out: Path | None = None,
    tolerance: Annotated[float, AtLeast(0)] = 1e-3,
    pictures: str = "",
    limit: Annotated[int, AtLeast(1)] = 500,
    quantize: Literal["", "int8"] = "",
    calibration_pictures: Annotated[int, AtLeast(1)] = 200,
    most_loss: Annotated[float, AtLeast(0)] = 1.0,
    root: str = "",
    data: Data | None = None,
) -> Path:
    """Write a model for another runtime, and check the file.

    The file is loaded again and compared with the model on real pictures. If it differs, no file is
    left.

    Args:
        model: Run or model folder, or hf://user/name.
        format: Runtime of the file: onnxruntime, torch.export or OpenVINO.
        out: File to write; model.onnx, model.pt2 or model.xml in MODEL if not given; hf://
            needs it.
        tolerance: Largest allowed difference from the model's logits, before --quantize.
        pictures: What to check with: a split, a picture, a folder or a glob; the validation or test
            split if not given, or scenes that lcnet draws itself if neither can be read.
        limit: Pictures to check with, at most.
        quantize: int8 computes in 8 bits, with scales from training pictures (onnx only).
        calibration_pictures: Training pictures that give --quantize its scales.
        most_loss: Points of mAP that --quantize may cost.
        root: New folder of the data set, if it has moved; overrides --data.root.
        data: Data set to check with; the run's if not given. These flags do not change single
            settings of the run's data set: they describe a whole one, and --data.format must be
            among them.

    Returns:
        The file.

    Raises:
        CheckpointError: if the model cannot be read, or the file differs from it by more than
            allowed.
        ConfigError: if a package is missing or an option is wrong.
        DataError: if the named pictures cannot be read.
    """
    require_out(model, out, "--out FILE")
    from lcnet.exporting.proven_file import ExportChoices, export_model

    choices = ExportChoices(
        tolerance=tolerance,
        quantize=quantize,
        most_loss=most_loss,
        calibration_pictures=calibration_pictures,
        pictures=pictures,
        limit=limit,
        root=root,
        data=data,
    )
    return export_model(model, format, out, choices)
