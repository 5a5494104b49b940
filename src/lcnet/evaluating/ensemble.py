"""`lcnet ensemble`: several trained models as one."""

from collections.abc import Sequence
from pathlib import Path

from lcnet.files import AnyPath


def ensemble(models: Sequence[AnyPath], *, out: Path, overwrite: bool = False) -> Path:
    """Make one model of several: its logits are the mean of theirs.

    The folder is a model folder as any other, for every verb. It is as slow as all its models
    together. They need the same labels, in any order, and the same preprocessing; heads, backbones
    and settings may differ. The new model is not calibrated.

    Args:
        models: Run folders, model folders or hf://user/name, two or more.
        out: Folder to create.
        overwrite: Replace the ensemble in --out.

    Returns:
        The folder.

    Raises:
        ConfigError: if the models have other labels or see other pictures, or `out` is not free.
        CheckpointError: if a model cannot be read.
    """
    from lcnet.evaluating.ensemble_folder import write_ensemble

    return write_ensemble(models, Path(out), overwrite=overwrite)
