"""`lcnet soup`: average the weights of several runs into one model."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lcnet.runs.souping import Soup


def soup(
    runs: Sequence[Path],
    out: Path | str,
    *,
    root: str = "",
) -> "Soup":
    """Average the weights of several runs into one model, where that measures better.

    The best run by validation mAP comes first. Then each other one, in that order, is taken into
    the average if the average becomes better with it. The model costs as much as that of one run.
    If no average is better than the best single run, that run's model is written, and this is said.
    An average is calibrated on the validation split, as `lcnet calibrate` does.

    Args:
        runs: Finished runs, two or more: of one architecture, labels and data, that started from
            the same weights. These follow from --init, or without it from --train.seed.
        out: Model folder to make.
        root: Where the data set is now, if it has moved.

    Returns:
        The runs in the average, and the validation mAP of the model and of the best single run.

    Raises:
        ConfigError: if `out` is taken, or the runs cannot be averaged. Nothing is written then.
        CheckpointError: if a run or its model cannot be read.
        DataError: if the validation pictures cannot be read.
    """
    from lcnet.runs.souping import average_runs

    return average_runs([Path(run) for run in runs], Path(out), root=root)
