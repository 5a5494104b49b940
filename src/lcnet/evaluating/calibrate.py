"""`lcnet calibrate`: fit thresholds and probabilities to a goal."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from lcnet.bounds import AtLeast, bounded
from lcnet.config import Data
from lcnet.files import AnyPath
from lcnet.hub import require_own

if TYPE_CHECKING:
    from lcnet.metrics.crossfit import Fitted


# Chosen by cross-fitting on the posters: docs/log/thresholds.md.
SHRINKAGE = 1.0


@bounded
def calibrate(
    model: AnyPath,
    *,
    goal: Literal["f1", "precision", "recall"] = "f1",
    at_least: float | None = None,
    method: Literal["platt", "temperature", "none"] = "platt",
    shrinkage: Annotated[float, AtLeast(0)] = SHRINKAGE,
    split: str = "",
    root: str = "",
    data: Data | AnyPath | None = None,
    batch_size: Annotated[int, AtLeast(1)] | None = None,
    rules: Path | None = None,
    tta: str = "",
    evidence: bool = False,
    views: Literal["", "needed", "all"] = "",
    within: Annotated[float, AtLeast(0)] = 0.1,
    most_views: Annotated[float, AtLeast(1)] | None = None,
    quiet: bool = False,
) -> "Fitted":
    """Calibrate the probabilities, and choose each label's threshold for a goal.

    They are fitted on the validation split. They replace older ones in the model folder, and every
    verb uses them. The cross-fitted numbers say what to expect of new pictures.

    Args:
        model: Run folder. Or a model folder, which needs --data flags.
        goal: What each label's threshold aims at. f1: the best F1. precision: the best recall with
            a precision of at least --at_least. recall: the best precision with a recall of at
            least --at_least.
        at_least: Precision or recall to reach, such as 0.9; not for f1.
        method: How probabilities are calibrated. platt: with a slope and a bias per label.
            temperature: with one temperature for all. none: not at all.
        shrinkage: Rare labels get a mix of their own threshold and one common threshold. A label
            with this many positive pictures gets half of each. 0: only its own.
        split: Split to fit on; data.val if not given.
        root: New folder of the data set, if it has moved; overrides --data.root.
        data: Data set to fit on; the run's if not given. These flags do not change single settings
            of the run's data set: they describe a whole one, and --data.format must be among them.
        batch_size: Pictures per batch; the run's if not given.
        rules: YAML file with rules between labels, as --data.rules of lcnet train; they replace
            those of the model. An empty file removes them.
        tta: Test-time augmentation that the model keeps: some of mirror, zoom and shift, such as
            mirror,zoom. The logits are the mean over the picture and these. none removes it.
        evidence: Also fit what known labels say of the others, for lcnet predict --known and
            Predictor's known; images alone are scored as before. lcnet evaluate --known measures
            it.
        views: needed: the model keeps which tiles of Crop-Forwarding a picture needs; the others
            cost no pass of the backbone. all: it looks at all of them again.
        within: With --views needed: points of mAP that may be lost against all views. The fewest
            views that keep to it in validation are taken, or all of them if that saves too little.
        most_views: With --views needed: so many views a picture on average, such as 2.5, in place
            of --within.
        quiet: Print nothing.

    Returns:
        The calibration and thresholds, with their fitted and cross-fitted metrics.

    Raises:
        CheckpointError: if the model cannot be read.
        DataError: if the data cannot be read, or if no label has both present and absent pictures.
        ConfigError: for a model folder without data, or a goal without its --at_least.
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
        rules_file=None if rules is None else Path(rules),
        tta=tta,
        evidence=evidence,
        views=views,
        within=within,
        most_views=most_views,
        quiet=quiet,
    )


def reset_calibration(model: AnyPath) -> None:
    """Set every threshold of a model back to 0.5, and its probabilities to the plain sigmoid.

    Test-time augmentation, evidence and needed views are removed too. Raises CheckpointError if the
    model cannot be read.
    """
    require_own(model)
    from lcnet.evaluating.fitting import reset

    reset(Path(model))


def set_thresholds(model: AnyPath, thresholds: Mapping[str, float], *, quiet: bool = False) -> None:
    """Set the thresholds of some labels by hand; the others and the probabilities stay.

    `thresholds` are probabilities from 0 to 1 by label. The model folder says which labels were set
    by hand, until they are fitted again. Raises CheckpointError if the model cannot be read, and
    ConfigError for a label that it does not have or a value outside 0 to 1.
    """
    require_own(model)
    from lcnet.evaluating.fitting import replace_thresholds

    replace_thresholds(Path(model), thresholds, quiet=quiet)
