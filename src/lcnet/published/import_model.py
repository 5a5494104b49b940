"""`lcnet import`: turn a published checkpoint into a model folder."""

from pathlib import Path
from typing import TYPE_CHECKING

from lcnet.config import Data

if TYPE_CHECKING:
    from lcnet.published.imported import Import


def import_model(
    checkpoint: Path | str,
    out: Path | str,
    *,
    labels: str = "",
    correlation: Path | None = None,
    crop_level: int | None = None,
    view_size: int | None = None,
    heads: int | None = None,
    data: Data | None = None,
) -> "Import":
    """Turn a published checkpoint into a model folder.

    No code in the checkpoint is run. What was read, dropped and assumed is printed.

    Args:
        checkpoint: Published checkpoint of LCNet, ML-Decoder, ASL or Query2Label, the folder of
            LCNet's model_best.pth.tar, or hf://user/name.
        out: Model folder to make.
        labels: Text file with one label name per line, or names separated by commas.
        correlation: .npy file with the L x L label correlations that LCNet's graph starts from.
        crop_level: Crop-Forwarding level.
        view_size: Side of a view in pixels.
        heads: Attention heads of the decoder.
        data: Data set that the model was trained on; gives label names and label correlations.

    Returns:
        The model, its description, and the printed lines.

    Raises:
        CheckpointError: if the checkpoint cannot be used.
        ConfigError: if `out` is taken or an option does not fit. Nothing is written then.
    """
    from lcnet.published.choices import ImportChoices
    from lcnet.published.importing import import_checkpoint

    choices = ImportChoices(
        labels=labels,
        correlation=correlation,
        crop_level=crop_level,
        view_size=view_size,
        heads=heads,
        data=data,
    )
    return import_checkpoint(Path(checkpoint), Path(out), choices)
