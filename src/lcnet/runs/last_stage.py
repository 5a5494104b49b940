"""A run in two parts: its head learns alone, and then the backbone's last stage learns with it.

The first part is a run of its own, in the folder `head` of the run. `--resume` goes on with either.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from lcnet.config import Config
from lcnet.progress import tell
from lcnet.run_folder import RunFolder, best_epoch
from lcnet.runs.run import begin, go_on
from lcnet.training.watching import NOBODY, Watch


@contextmanager
def head_first(run: RunFolder, then: Config, *, overwrite: bool) -> Iterator[RunFolder]:
    """The folder in which the head is to learn alone; by `then` the run goes on afterwards.

    A head that fails before it has begun leaves nothing. Raises ConfigError if the run must not be
    overwritten.
    """
    run.check_free(overwrite=overwrite)
    with run.locked():
        run.clear(keep=then.data.splits)
        then.save(run.last_stage_file)
    try:
        yield run.head
    except Exception:
        if not run.head.is_run:
            shutil.rmtree(run.path)
        raise


def begin_last_stage(config: Config, run: RunFolder, *, watch: Watch = NOBODY) -> RunFolder:
    """Train the last stage with the head that has learned alone, on the same pictures."""
    config = replace(config, data=run.head.config().data)
    begin(config, run, overwrite=True, init=run.head.path, watch=watch)
    rows = run.history()
    if not best_epoch(rows, config.train.best_by):
        tell(f"the last stage made nothing better in validation: the weights are of {run.head}")
    elif config.train.best_by == "mAP":
        before, best = rows[0]["val_mAP"], rows[-1]["best_mAP"]
        tell(f"the last stage has raised the validation mAP from {before:.1f} to {best:.1f}")
    return run


def go_on_with_head(run: RunFolder) -> RunFolder:
    """Train what is left of the head, and then the last stage with it."""
    if not run.head.is_finished:
        go_on(run.head)
    return begin_last_stage(Config.load(run.last_stage_file, of_run=True), run)
