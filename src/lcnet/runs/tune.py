"""`lcnet tune`: search the settings of the training that give the best validation mAP."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from lcnet.bounds import Above, AtLeast, bounded
from lcnet.config import Config

if TYPE_CHECKING:
    from lcnet.runs.tuning_results import Tuned


@bounded
def tune(
    config: Config,
    out: Path | str,
    *,
    minutes: Annotated[float, Above(0)] = 30.0,
    settings: Sequence[str] = (),
    trials: Annotated[int, AtLeast(0)] = 0,
) -> "Tuned":
    """Search the settings of the training that give the best validation mAP.

    The first trial has the settings that you give; the search goes on around them, with Optuna. A
    trial that is worse than most at the same point of its training is ended early. The same command
    goes on with the search: it has all trials so far, and `minutes` more. Choosing among many
    trials on one validation split flatters the best of them; a test split tells by how much.

    Args:
        config: Settings that the search starts from.
        out: Folder for the trials and results: best.yaml, trials.csv, and trials/ with a run each.
            Only the best and the first keep their models.
        minutes: Minutes to search for, the features of a frozen backbone included. The trial that
            is under way then is saved, and goes on with the next command.
        settings: Names of the settings to search, such as '[train.lr, train.weight_decay]'. All
            others stay as given. Default: all that are known to matter and are in use.
        trials: Most trials in all, the ended ones too; 0 for as many as there is time for.

    Returns:
        The best trial's run, its validation mAP, and that of the settings given.

    Raises:
        ConfigError: if a setting cannot be searched, `out` holds another search, the first trial
            does not end in `minutes`, or optuna is missing.
    """
    from lcnet.runs.tuning import search

    return search(config, Path(out), minutes=minutes, names=tuple(settings), most=trials)
