"""Trains many runs, several at a time if asked for, and skips those that are finished."""

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from multiprocessing.connection import wait
from pathlib import Path

import torch

from lcnet.config import Config, by_name, parse_config, with_new_names
from lcnet.config.plain_yaml import read_yaml
from lcnet.errors import CheckpointError, ConfigError
from lcnet.progress import tell
from lcnet.run_folder import RunFolder
from lcnet.runs.train import resume, train


@dataclass(frozen=True)
class Run:
    """A training to do, and its folder."""

    title: str
    config: Config
    folder: RunFolder
    init: RunFolder | None = None
    """The run whose model it starts from; None for a new model."""

    def check(self) -> None:
        """Raises ConfigError if the folder holds a run with other settings."""
        if self.folder.is_run:
            check_same(self.config, self.folder.config_file)

    @property
    def best(self) -> float:
        """The validation mAP of a finished run's best model, 0 to 100."""
        return self.folder.history()[-1]["best_mAP"]


def check_same(config: Config, file: Path) -> None:
    """Raises ConfigError if the settings in a file are others than those of `config`.

    A file of an older lcnet that did not know one of the settings counts as such.
    """
    stored = read_yaml(file) or {}
    parse_config(stored, str(file))
    stored_values = by_name(with_new_names(stored))
    for name, value in by_name(asdict(config)).items():
        stored_value = stored_values.get(name, "not known")
        if stored_value != value:
            raise ConfigError(
                f"{file.parent}: expected a run with {name} {value}, got one where it is "
                f"{stored_value}. Choose another folder, or delete this one."
            )


class RunQueue:
    """Trains runs one after another, or several at a time, and skips those that are finished.

    After each run it prints how many are done and about how long the rest will take. With several
    `jobs`, each run is trained in a process of its own, with its share of the cores; what that
    process prints goes to a log file beside the run's folder.
    """

    def __init__(self, total: int, jobs: int = 1) -> None:
        """Expect `total` runs in all calls of `train` together."""
        self.total, self.jobs = total, jobs
        self.done, self.trained, self.started = 0, 0, time.perf_counter()

    def train(self, runs: Sequence[Run]) -> None:
        """Train the runs that are not finished; interrupted ones continue.

        Raises ConfigError before anything is trained if a folder holds a run with other settings.
        """
        for run in runs:
            run.check()
        for run in runs:
            if run.folder.is_finished:
                self._tell(run)
        unfinished = [run for run in runs if not run.folder.is_finished]
        for run in self._trained(unfinished):
            self.trained += 1
            self._tell(run)

    def _trained(self, runs: Sequence[Run]) -> Iterator[Run]:
        """The runs, each when it is finished."""
        if self.jobs == 1:
            for run in runs:
                _train(run)
                yield run
            return
        with ProcessPoolExecutor(
            self.jobs,
            mp_context=multiprocessing.get_context("spawn"),  # a fork would inherit locked threads
            initializer=_begin,
            initargs=(max(1, (os.cpu_count() or 1) // self.jobs),),
        ) as pool:
            started = {pool.submit(_train_quietly, run): run for run in runs}
            try:
                for future in as_completed(started):
                    future.result()
                    yield started[future]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _tell(self, run: Run) -> None:
        self.done += 1
        left, time_left = self.total - self.done, ""
        if left and self.trained:
            each = (time.perf_counter() - self.started) / self.trained
            time_left = f", about {left * each / 60:.0f} min left"
        tell(
            f"run {self.done} of {self.total}: {run.title}: validation mAP {run.best:.1f}"
            f"{time_left}"
        )


@contextmanager
def printing_beside(folder: RunFolder) -> Iterator[None]:
    """Print into a log file beside a run's folder, after what is in it."""
    log = folder.path.with_name(f"{folder.path.name}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        yield


def _train_quietly(run: Run) -> None:
    with printing_beside(run.folder):
        _train(run)


def _train(run: Run) -> None:
    """Train a run, or continue it if it was begun before."""
    if run.folder.is_run:
        try:
            resume(run.folder.path)
            return
        except CheckpointError as error:
            tell(f"warning: {error} It is started again now.")
    init = run.init.path if run.init else None
    train(run.config, run.folder.path, overwrite=run.folder.path.exists(), init=init)


def _begin(threads: int) -> None:
    """Prepare a process that trains: set its threads, and end it when its parent ends."""
    torch.set_num_threads(threads)
    parent = multiprocessing.parent_process()
    assert parent is not None

    # A parent that is killed cannot end its children itself.
    def end_with_parent() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
