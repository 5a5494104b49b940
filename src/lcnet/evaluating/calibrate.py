"""`lcnet calibrate`: thresholds and probabilities that fit a goal."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from lcnet.bounds import AtLeast, bounded
from lcnet.config import Data
from lcnet.hub import require_own

if TYPE_CHECKING:
    from lcnet.metrics.crossfit import Fitted


@bounded
def calibrate(
    model: Path | str,
    *,
    goal: Literal["f1", "precision", "recall"] = "f1",
    at_least: float | None = None,
    method: Literal["platt", "temperature", "none"] = "platt",
    # Chosen by cross-fitting on the posters: docs/log/thresholds.md.
    shrinkage: Annotated[float, AtLeast(0)] = 1.0,
    split: str = "",
    root: str = "",
    data: Data | None = None,
    batch_size: Annotated[int, AtLeast(1)] | None = None,
    quiet: bool = False,
) -> "Fitted":
    """Fit thresholds and probabilities to a goal.

    They are fitted on the validation split, kept in the model folder in place of older ones, and
    used by every verb. Their cross-fitted estimate says what to expect of new pictures.

    Args:
        model: Run folder, or model folder with --data flags.
        goal: Of each label: the best F1, the best recall with a precision of at least --at_least,
            or the best precision with a recall of at least --at_least.
        at_least: Precision or recall to reach, such as 0.9.
        method: How probabilities are calibrated: with a slope and a bias per label, with one
            temperature, or not at all.
        shrinkage: Present pictures at which a label's own threshold weighs as much as the common
            one. 0 always takes the label's own.
        split: Split to fit to; data.val if not given.
        root: Folder of the data set, if it has moved.
        data: Data set; the run's if not given.
        batch_size: Pictures at a time; as in the run if not given.
        quiet: Print nothing.

    Returns:
        The calibration and thresholds, with what they are worth.

    Raises:
        CheckpointError: if the model cannot be read.
        DataError: if the data cannot be read or no label has a positive.
        ConfigError: for a model folder without data, or a goal that cannot be.
    """
    require_own(model)
    from lcnet.evaluating.fitting import fit_model
    from lcnet.metrics.thresholds import Goal

    return fit_model(
        Path(model),
        goal=Goal(goal, at_least),
        method=method,
        shrinkage=shrinkage,
        split=split,
        root=root,
        data=data,
        batch_size=batch_size,
        quiet=quiet,
    )


def reset_calibration(model: Path | str) -> None:
    """Give a model back its thresholds of 0.5 and its plain probabilities.

    Raises CheckpointError if the model cannot be read.
    """
    require_own(model)
    from lcnet.evaluating.fitting import reset

    reset(Path(model))
