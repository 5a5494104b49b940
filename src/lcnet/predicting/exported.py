"""What an exported file says of itself: the content of model.json, as one text under one key."""

import json
from importlib.metadata import version
from pathlib import Path

from lcnet.errors import CheckpointError
from lcnet.model_folder import FORMAT, UNUSABLE, ModelInfo, why_unusable
from lcnet.schema import check_mapping

KEY = "lcnet"
"""In ONNX a metadata property, in torch.export an extra file, in OpenVINO a runtime information."""
IMAGES, LOGITS = "images", "logits"
"""What the file's input (B 3 size size, float32, normalised) and output (B L) are called."""


def describe(info: ModelInfo) -> str:
    """The text for an exported file: model.json's fields, and `lcnet_version`, as JSON."""
    return json.dumps({**info.to_dict(), "lcnet_version": version("lcnet")}, ensure_ascii=False)


def understand(text: str | None, file: Path) -> ModelInfo:
    """What the text of an exported file says of the model.

    Raises CheckpointError if there is none, or it is not of this format.
    """
    if not text:
        raise CheckpointError(
            f"{file}: expected a file that lcnet export wrote, got one that says nothing of labels "
            "and preprocessing. Export it with: lcnet export RUN"
        )
    try:
        fields = check_mapping(json.loads(text), "all of it")
        if fields["format"] == FORMAT:
            return ModelInfo.from_dict(fields)
        found = f"format {fields['format']!r} of lcnet {fields.get('lcnet_version', 'unknown')}"
    except UNUSABLE as error:
        raise CheckpointError(
            f"{file}: what it says of the model cannot be used ({why_unusable(error)}). "
            "Export it anew."
        ) from None
    raise CheckpointError(
        f"{file}: expected format {FORMAT}, got {found}. Install that lcnet, or export it anew."
    )
