"""Which pictures a model was trained on, and for folds which of its models was not.

A model agrees with the labels that it learned from, also where they are wrong. So labels are best
corrected by a model that has not seen them.
"""

from collections.abc import Sequence
from pathlib import Path

from lcnet.errors import ConfigError, DataError
from lcnet.evaluating.trained_on import picture_files
from lcnet.files import AnyPath
from lcnet.hub import is_shared
from lcnet.predicting.predictor import Predictor
from lcnet.run_folder import RunFolder

BETTER = (
    "Better: lcnet train DATA --folds 5, and this page with that run; each picture is then judged "
    "by a model that has not seen it."
)


def unseen_by(
    model: AnyPath, paths: Sequence[Path], *, batch_size: int
) -> tuple[dict[int, Predictor], str]:
    """For each picture of a fold, by its number, the model of folds that was not trained on it.

    Also a line for the page: how the pictures are judged, or that the model has seen them; empty if
    it has seen none. Raises CheckpointError if a fold's model cannot be read.
    """
    run = None if is_shared(model) else RunFolder(Path(model))
    numbers = {path: number for number, path in enumerate(paths)}
    try:
        if run is not None and run.has_folds:
            return _by_folds(run, numbers, batch_size)
        if run is not None and (data := run.data()) is not None:
            seen = len(numbers.keys() & picture_files(data, data.train))
            return {}, _caution(seen, len(paths)) if seen else ""
    except (ConfigError, DataError):
        pass  # the data set has moved, and the model can be used all the same
    return {}, (
        "If the model was trained on these pictures, it agrees with their given labels more than "
        f"it should. {BETTER}"
    )


def _by_folds(
    run: RunFolder, numbers: dict[Path, int], batch_size: int
) -> tuple[dict[int, Predictor], str]:
    unseen: dict[int, Predictor] = {}
    for fold in run.folds():
        data = fold.config().data
        if held_out := numbers.keys() & picture_files(data, data.val):
            member = Predictor(fold.path, batch_size=batch_size, precision="auto")
            unseen |= {numbers[path]: member for path in held_out}
    if not unseen:
        return {}, ""
    return unseen, (
        f"{len(unseen):,} of the {len(numbers):,} pictures were trained on; each is judged by the "
        "fold's model that has not seen it."
    )


def _caution(seen: int, total: int) -> str:
    of = f"all {total:,}" if seen == total else f"{seen:,} of the {total:,}"
    return (
        f"The model was trained on {of} pictures, so it agrees with their given labels more than "
        f"it should, also with wrong ones. {BETTER}"
    )
