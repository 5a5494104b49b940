"""The logits of a model of folds for each picture, from the member that has not seen it."""

from functools import partial, reduce
from pathlib import Path

import numpy as np

from lcnet.data.folds import joined
from lcnet.evaluating.measuring import Scored, score
from lcnet.model_folder import read_info
from lcnet.run_folder import RunFolder

NAME = "the training and validation pictures, each by the model that has not seen it"


def score_out_of_fold(
    run: Path,
    *,
    root: str = "",
    batch_size: int | None = None,
    ways: tuple[str, ...] | None = None,
    use_cache: bool = False,
    quiet: bool = False,
) -> Scored:
    """The logits of all pictures of the folds. Arguments and errors are those of `score`."""
    info = read_info(run)
    parts = [
        score(
            fold.path,
            split=fold.config().data.val,
            root=root,
            batch_size=batch_size,
            use_cache=use_cache,
            ways=info.test_time if ways is None else ways,
            quiet=quiet,
        )
        for fold in RunFolder(run).folds()
    ]
    return Scored(
        run=run,
        info=info if ways is None else info.seen_by(ways),
        data=parts[0].data,
        samples=reduce(partial(joined, name=NAME), [part.samples for part in parts]),
        logits=np.concatenate([part.logits for part in parts]),
        targets=np.concatenate([part.targets for part in parts]),
        unread=tuple(path for part in parts for path in part.unread),
        out_of_fold=True,
    )
