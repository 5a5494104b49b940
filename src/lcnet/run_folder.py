"""The run folder: its files, and how they are read. No other file knows their names.

run/
├── config.yaml            every setting, as `lcnet train --config` reads it
├── run.json               command, seed, versions, device, data; when it was resumed and finished
├── head/                  the run of the head alone, if the backbone's last stage learned after it
├── last_stage.yaml        the settings with which it then learns
├── splits.csv             which picture is in which split, if the data set does not say it
├── fingerprints.json.gz   fingerprints of the data, so that a change is noticed
├── history.csv            a row per epoch
├── checkpoints/           last.ckpt, which a run continues from, and previous.ckpt
├── logs/                  TensorBoard
├── model/                 the best model in validation, by train.best_by
├── metrics.json           the last evaluation: of the test pictures, once they were measured
├── metrics-val.json       that of another split, such as val, where metrics.json is of test
├── calibration.json       metrics with the fitted thresholds
└── report.html            a page with all results; report-val.html is of another split, as above
"""

import csv
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, takewhile
from math import isnan
from pathlib import Path
from typing import Any

from lcnet.config import Config, Data
from lcnet.errors import CheckpointError, ConfigError, quoted, reason_of

WAIT_S = 3.0
"""Seconds to wait for the lock: loader processes of a killed run can hold it a little longer."""


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run. Creating the object does not touch the disk."""

    path: Path

    def __fspath__(self) -> str:
        """Its path, so that `Path(run)` and `open` accept it."""
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    # Paths

    @property
    def config_file(self) -> Path:
        """Every setting. A folder with this file counts as a run."""
        return self.path / "config.yaml"

    @property
    def data_file(self) -> Path:
        """The settings of the data set of models that became an ensemble, if all had the same."""
        return self.path / "data.yaml"

    @property
    def folds_file(self) -> Path:
        """Which fold each picture is in, for a folder of folds."""
        return self.path / "folds.csv"

    @property
    def plan_file(self) -> Path:
        """How a folder of folds is trained. A folder with this file is one."""
        return self.path / "folds.json"

    @property
    def head(self) -> "RunFolder":
        """The run in which the head learned alone, before the backbone's last stage did too."""
        return RunFolder(self.path / "head")

    @property
    def last_stage_file(self) -> Path:
        """The settings with which the last stage learns once the head has learned."""
        return self.path / "last_stage.yaml"

    @property
    def record_file(self) -> Path:
        """How the run was made: command, seed, versions, device and data."""
        return self.path / "run.json"

    @property
    def splits_file(self) -> Path:
        """Which part of the data set each picture is in, where the data set has no splits."""
        return self.path / "splits.csv"

    @property
    def fingerprints_file(self) -> Path:
        """Fingerprints of the data, to notice changes."""
        return self.path / "fingerprints.json.gz"

    @property
    def history_file(self) -> Path:
        """A row per epoch."""
        return self.path / "history.csv"

    @property
    def metrics_file(self) -> Path:
        """The last evaluation; once the test split was measured, that of the test split."""
        return self.path / "metrics.json"

    def metrics_of(self, role: str) -> Path:
        """The evaluation of train, val or test, where metrics.json is of another one."""
        return self.path / f"metrics-{role}.json"

    def metrics_files(self) -> list[Path]:
        """metrics.json, then the evaluations of other splits beside it; those that there are."""
        first = [self.metrics_file] if self.metrics_file.is_file() else []
        return first + sorted(self.path.glob("metrics-*.json"))

    def report_files(self) -> list[Path]:
        """report.html, then the reports of other splits beside it; those that there are."""
        first = [self.report_file] if self.report_file.is_file() else []
        return first + sorted(self.path.glob("report-*.html"))

    @property
    def calibration_file(self) -> Path:
        """Metrics with the fitted thresholds."""
        return self.path / "calibration.json"

    @property
    def test_predictions_file(self) -> Path:
        """The best model's predictions on the test split, which `lcnet compare` keeps."""
        return self.path / "test.npz"

    @property
    def report_file(self) -> Path:
        """The HTML report."""
        return self.path / "report.html"

    def comparison_file(self, other: str) -> Path:
        """The page that compares the run with another one of this name."""
        return self.path / f"against_{other.replace('/', '_')}.html"

    @property
    def model(self) -> Path:
        """The folder of the best model."""
        return self.path / "model"

    @property
    def damaged_model(self) -> Path:
        """Where a best model that cannot be read is moved to."""
        return self.path / "model.damaged"

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def last_checkpoint(self) -> Path:
        """The checkpoint that the run continues from."""
        return self.checkpoints / "last.ckpt"

    @property
    def previous_checkpoint(self) -> Path:
        """The checkpoint before the last one."""
        return self.checkpoints / "previous.ckpt"

    @property
    def logs(self) -> Path:
        """The folder that TensorBoard reads."""
        return self.path / "logs"

    def tracker_file(self, service: str) -> Path:
        """The address of the run's page at a service such as wandb."""
        return self.logs / f"{service}.url"

    def tracker_pages(self) -> dict[str, str]:
        """The addresses of the run's pages, by service; only those that start with http."""
        files = sorted(self.logs.glob("*.url"))
        pages = {file.stem: file.read_text(encoding="utf-8").strip() for file in files}
        return {name: page for name, page in pages.items() if page.startswith("http")}

    @property
    def lock_file(self) -> Path:
        """Held by the process that writes to the folder."""
        return self.path / ".lock"

    # State

    @property
    def is_run(self) -> bool:
        """Whether the folder holds a run that can be continued or read."""
        return self.config_file.is_file()

    @property
    def has_folds(self) -> bool:
        """Whether the folder is one of folds, each of which is a run in it."""
        return self.plan_file.is_file()

    @property
    def waits_for_head(self) -> bool:
        """Whether its head has begun to learn alone, and its last stage has not begun yet."""
        return not self.is_run and self.last_stage_file.is_file() and self.head.is_run

    @property
    def whole(self) -> "RunFolder":
        """The run that waits for this one, which is its head; else this one."""
        outer = RunFolder(self.path.parent)
        is_head = outer.head.path == self.path and outer.waits_for_head
        return outer if is_head else self

    def folds(self) -> list["RunFolder"]:
        """The runs of the folds, in order; none for other folders."""
        runs = (RunFolder(self.path / f"fold{number}") for number in count(1))
        return list(takewhile(lambda run: run.is_run, runs)) if self.has_folds else []

    @property
    def has_checkpoint(self) -> bool:
        """Whether the run has written a checkpoint."""
        return self.last_checkpoint.is_file()

    @property
    def is_finished(self) -> bool:
        """Whether the run was trained to its end and measured.

        run.json says so. In an older lcnet's run.json the entry is missing; such a run is finished
        if it has metrics and a report.
        """
        if not self.metrics_file.is_file():
            return False
        record = self.record()
        return bool(record["finished"]) if "finished" in record else self.report_file.is_file()

    @property
    def continuation(self) -> str:
        """How to continue the run, as a sentence for messages."""
        return f"Continue with: lcnet train --resume {quoted(self.whole.path)}"

    # Content

    def config(self) -> Config:
        """The run's settings. Raises ConfigError if they cannot be read."""
        return Config.load(self.config_file, of_run=True)

    def data(self) -> Data | None:
        """The data set of the run, or of the models of an ensemble; None if the folder names none.

        Raises ConfigError if the settings cannot be read.
        """
        if self.is_run:
            return self.config().data
        return Config.load(self.data_file).data if self.data_file.is_file() else None

    def history(self) -> list[dict[str, float]]:
        """A row per finished epoch, by column name; nan where a value is missing.

        `epoch` is the number of epochs trained: 1 for the first, and 0 for a row of the model that
        the run started from. An older lcnet wrote 0 for the first; that is corrected here.

        Raises CheckpointError if the file is missing, damaged or not the history of a run.
        """
        path = self.history_file
        try:
            with path.open(newline="", encoding="utf-8") as file:
                rows = csv.DictReader(file)
                read = [
                    {name: float(value or "nan") for name, value in row.items()} for row in rows
                ]
            needed = {"epoch", "train_loss", "val_mAP", "best_mAP"}
            if missing := needed - set(rows.fieldnames or ()):
                raise ValueError(f"no column {min(missing)}")
            if "images_per_s" not in (rows.fieldnames or ()):
                read = [row | {"epoch": row["epoch"] + 1} for row in read]
        except (OSError, ValueError, TypeError, csv.Error) as error:
            raise CheckpointError(
                f"{path}: not the history of a run ({reason_of(error)}). Put it back, or delete it."
            ) from None
        return read

    def record(self) -> dict[str, Any]:
        """The content of run.json; empty if it is missing or cannot be read."""
        try:
            record = json.loads(self.record_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}

    # Ownership

    @property
    def is_written_to(self) -> bool:
        """Whether another process holds the lock; the folder stays as it is."""
        if not self.lock_file.is_file():
            return False
        from filelock import FileLock, Timeout

        lock = FileLock(self.lock_file)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        except OSError:  # a folder that may only be read
            return False
        lock.release()
        return False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs out of the folder, which is made if it does not exist.

        Raises ConfigError if another run holds the lock.
        """
        from filelock import FileLock, Timeout  # here, so that `lcnet --help` need not import it

        # The system drops the lock when the process ends, even after a kill, so none is ever stale.
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.lock_file)
        try:
            lock.acquire(timeout=WAIT_S)
        except Timeout:
            raise self._is_taken() from None
        try:
            yield
        finally:
            lock.release()

    def _is_taken(self) -> ConfigError:
        return ConfigError(
            f"{self.path}: another run writes to this folder. Wait until it ends, or choose "
            "another folder."
        )

    def check_free(self, *, overwrite: bool) -> None:
        """Raises ConfigError unless the folder is free or holds a run that may be replaced."""
        if self._is_unused():
            return
        if not overwrite:
            raise ConfigError(
                f"--out {self.path}: already there. Choose another folder, replace it with "
                f"--overwrite, or continue it with: lcnet train --resume {quoted(self.path)}"
            )
        if not (self.is_run or self.waits_for_head):
            raise ConfigError(
                f"--out {self.path}: expected a run folder to overwrite, got a folder without "
                f"{self.config_file.name}. Choose another folder."
            )
        if self.waits_for_head and self.head.is_written_to:
            raise self._is_taken()

    def _is_unused(self) -> bool:
        """Whether the folder is missing, or holds only what a run leaves if killed at its start."""
        if not self.path.exists():
            return True
        first = self.lock_file, self.record_file, self.fingerprints_file, self.last_stage_file
        return self.path.is_dir() and all(
            path in first
            or path.suffix == ".part"
            or (path == self.head.path and self.head._is_unused())
            for path in self.path.iterdir()
        )

    def clear(self, *, keep: str = "", init: object = None) -> None:
        """Remove everything but the lock and what the run that replaces this one is made of.

        That is `keep`, if it is the run's own list of splits, and the head, if `init` is a path in
        it.
        """
        kept = [self.lock_file]
        if keep and Path(keep).resolve() == self.splits_file.resolve():
            kept.append(self.splits_file)
        if self.starts_from_head(init):
            kept += [self.head.path, self.last_stage_file]
        # config.yaml goes last: a clear that is interrupted still leaves a run to overwrite.
        for path in sorted(self.path.iterdir(), key=lambda path: path == self.config_file):
            if path in kept:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def starts_from_head(self, init: object) -> bool:
        """Whether the model that the run starts from is a path in its own head."""
        return isinstance(init, Path) and init.resolve().is_relative_to(self.head.path.resolve())

    def of_folds(self) -> list[Path]:
        """What training folds has written here, the plan last; all else is somebody's own."""
        own = (
            *(self.model, self.damaged_model, self.data_file, self.folds_file, self.splits_file),
            *(self.fingerprints_file, self.calibration_file),
            *(*self.metrics_files(), *self.report_files()),
            *(self.test_predictions_file, self.logs),
            *(path for path in self.path.glob("fold*") if path.name[4:].isdecimal()),
            *self.path.glob(self.comparison_file("*").name),
            *self.path.glob("*.part"),
            self.plan_file,
        )
        return [path for path in own if path.exists()]

    def clear_folds(self, *, keep: str = "") -> None:
        """Remove what training folds has written, but `keep` if it is its own list of splits."""
        for path in self.of_folds():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path != self.splits_file or not keep or Path(keep).resolve() != path.resolve():
                path.unlink()

    def remove_unfinished(self) -> None:
        """Remove the unfinished files of a killed run."""
        for folder in (self.path, self.model, self.checkpoints):
            for file in folder.glob("*.part"):
                file.unlink()


def free_folder(folder: Path) -> Path:
    """The folder, or where it exists, the first of NAME-2, NAME-3 and so on that does not."""
    return folder if not folder.exists() else free_beside(folder)


def free_beside(folder: Path) -> Path:
    """The first of NAME-2, NAME-3 and so on beside a folder that does not exist.

    If its own name ends with such a number, they go on from there.
    """
    name, _, number = folder.name.rpartition("-")
    if not name or not number.isdecimal():
        name, number = folder.name or "run", "1"
    named = (folder.with_name(f"{name}-{one}") for one in count(int(number) + 1))
    return next(one for one in named if not one.exists())


def best_epoch(history: Sequence[Mapping[str, float]], name: str) -> int | None:
    """The epoch of the best model by `val_NAME`, the last of equals; None if no row has it."""
    if not history:
        return None
    best = history[-1][f"best_{name}"]
    epochs = [int(row["epoch"]) for row in history if row[f"val_{name}"] == best]
    return epochs[-1] if epochs else None


def last_of(epochs: int) -> int:
    """How many of a course of epochs count as its last: a fifth; all of fewer than five."""
    return epochs // 5 if epochs >= 5 else epochs


def seconds_of(history: Sequence[Mapping[str, float]]) -> float:
    """Seconds that the epochs of a run have taken; epoch 0, before training, has none."""
    return sum(row["seconds"] for row in history if not isnan(row["seconds"]))
