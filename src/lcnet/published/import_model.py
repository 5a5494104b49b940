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
        checkpoint: Published checkpoint of LCNet, ML-Decoder, ASL or Query2Label, the folder that
            contains LCNet's model_best.pth.tar, or hf://user/name (then only --out is allowed).
        out: Model folder to make.
        labels: Text file with one label name per line, or names separated by commas.
        correlation: .npy file from which LCNet's graph starts: a matrix with a row and a column per
            label.
        crop_level: Crop-Forwarding level; what the checkpoint says, or a usual value, if not given.
        view_size: Side of a view in pixels; what the checkpoint says, or a usual value, if not
            given.
        heads: Attention heads of the decoder; what the checkpoint says, or a usual value, if not
            given.
        data: Data set that the model was trained on. It gives the label names and correlations.

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
