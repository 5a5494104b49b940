"""The description inside an exported file: the fields of model.json as JSON, under one key."""

import json
from importlib.metadata import version
from pathlib import Path

from lcnet.errors import CheckpointError
from lcnet.model_folder import FORMATS, KNOWN_FORMATS, UNUSABLE, ModelInfo, why_unusable
from lcnet.schema import check_mapping

KEY = "lcnet"
"""A metadata property in ONNX, an extra file in torch.export, runtime info in OpenVINO."""
IMAGES, LOGITS, KNOWN = "images", "logits", "known"
"""Names of the file's input (B C size size, float32, normalised), its output (B L), and the second
input (B L, float32: 1, -1 and 0) of a model whose labels tell of each other."""


def describe(info: ModelInfo, weights: str = "") -> str:
    """The text for an exported file: the fields of model.json and two more, as JSON.

    They are `lcnet_version` and `weights`, the digest of the weights that the file is made of.
    """
    more = {"lcnet_version": version("lcnet"), "weights": weights}
    return json.dumps({**info.to_dict(), **more}, ensure_ascii=False)


def weights_in(text: str) -> str:
    """The digest of the weights in a text of `describe`; empty if an older lcnet wrote it."""
    return str(json.loads(text).get("weights", ""))


def understand(text: str | None, file: Path) -> ModelInfo:
    """The model's info from the text of an exported file, which `describe` wrote.

    Raises CheckpointError if there is no text, or it has another format.
    """
    if not text:
        raise CheckpointError(
            f"{file}: expected a file that lcnet export wrote, got one without labels and "
            "preprocessing. Export it with: lcnet export RUN"
        )
    try:
        fields = check_mapping(json.loads(text), "all of it")
        if fields["format"] in FORMATS:
            return ModelInfo.from_dict(fields)
        got = f"format {fields['format']!r} of lcnet {fields.get('lcnet_version', 'unknown')}"
    except UNUSABLE as error:
        raise CheckpointError(
            f"{file}: its description of the model cannot be used ({why_unusable(error)}). "
            "Export it again."
        ) from None
    raise CheckpointError(
        f"{file}: expected format {KNOWN_FORMATS}, got {got}. Install that lcnet, or export it "
        "again."
    )
