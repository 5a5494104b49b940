"""The run folder: what stands where, and how it is read. No other file knows these names.

run/
├── config.yaml            every setting, as `lcnet train --config` reads it
├── run.json               command, seed, versions, device, data; when it went on, when it finished
├── fingerprints.json.gz   what the data was, so that a change is noticed
├── history.csv            a row per epoch
├── checkpoints/           last.ckpt, which a run continues from, and previous.ckpt
├── logs/                  TensorBoard
├── model/                 the best model by validation mAP
├── metrics.json           the last evaluation
├── calibration.json       what the fitted thresholds are worth
└── report.html            all of it to look at
"""

import csv
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lcnet.config import Config
from lcnet.errors import CheckpointError, ConfigError, reason_of

WAIT_S = 3.0
"""Seconds that a loader process may still hold the lock of a run that was killed."""


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run. Making one touches nothing on the disk."""

    path: Path

    def __fspath__(self) -> str:
        """Its path, so that `Path(run)` and `open` take it."""
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    # Paths

    @property
    def config_file(self) -> Path:
        """Every setting. A folder with this file is a run."""
        return self.path / "config.yaml"

    @property
    def record_file(self) -> Path:
        """How the run was made."""
        return self.path / "run.json"

    @property
    def fingerprints_file(self) -> Path:
        """What its data was."""
        return self.path / "fingerprints.json.gz"

    @property
    def history_file(self) -> Path:
        """A row per epoch."""
        return self.path / "history.csv"

    @property
    def metrics_file(self) -> Path:
        """The last evaluation."""
        return self.path / "metrics.json"

    @property
    def calibration_file(self) -> Path:
        """What the fitted thresholds are worth."""
        return self.path / "calibration.json"

    @property
    def test_predictions_file(self) -> Path:
        """What `lcnet compare` keeps of the best model on the test split."""
        return self.path / "test.npz"

    @property
    def report_file(self) -> Path:
        """The page of the run."""
        return self.path / "report.html"

    @property
    def model(self) -> Path:
        """The folder of its best model."""
        return self.path / "model"

    @property
    def damaged_model(self) -> Path:
        """Where a best model that cannot be read is put aside."""
        return self.path / "model.damaged"

    @property
    def checkpoints(self) -> Path:
        """The folder of its checkpoints."""
        return self.path / "checkpoints"

    @property
    def last_checkpoint(self) -> Path:
        """What the run continues from."""
        return self.checkpoints / "last.ckpt"

    @property
    def previous_checkpoint(self) -> Path:
        """The checkpoint before the last one."""
        return self.checkpoints / "previous.ckpt"

    @property
    def logs(self) -> Path:
        """The folder that TensorBoard reads."""
        return self.path / "logs"

    @property
    def lock_file(self) -> Path:
        """Held by the process that writes to the folder."""
        return self.path / ".lock"

    # State

    @property
    def is_run(self) -> bool:
        """Whether there is a run here that can be continued or read."""
        return self.config_file.is_file()

    @property
    def has_checkpoint(self) -> bool:
        """Whether the run has come to its first checkpoint."""
        return self.last_checkpoint.is_file()

    @property
    def is_finished(self) -> bool:
        """Whether the run was trained to its end, and measured.

        run.json says so. A run of an older lcnet, whose run.json has no such entry, is finished if
        it has both metrics and a report.
        """
        if not self.metrics_file.is_file():
            return False
        record = self.record()
        return bool(record["finished"]) if "finished" in record else self.report_file.is_file()

    @property
    def continuation(self) -> str:
        """What a user does to continue the run, as a sentence."""
        return f"Continue with: lcnet train --resume {self.path}"

    # Content

    def config(self) -> Config:
        """Its settings. Raises ConfigError if they cannot be read."""
        return Config.load(self.config_file)

    def history(self) -> list[dict[str, float]]:
        """A row per finished epoch, by column name; nan where a value is missing.

        Raises CheckpointError if the file is missing, damaged or another.
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
        except (OSError, ValueError, TypeError, csv.Error) as error:
            raise CheckpointError(
                f"{path}: not the history of a run ({reason_of(error)}). Put it back, or delete it."
            ) from None
        return read

    def record(self) -> dict[str, Any]:
        """What run.json says; empty if it is missing or cannot be read."""
        try:
            record = json.loads(self.record_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}

    # Ownership

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs out of the folder, which is made if it is not there.

        The system drops the lock when the process ends, however it ends, so no lock is ever stale.
        Raises ConfigError if another run holds it.
        """
        from filelock import FileLock, Timeout  # `lcnet --help` does without

        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.lock_file)
        try:
            lock.acquire(timeout=WAIT_S)
        except Timeout:
            raise ConfigError(
                f"{self.path}: another run writes to this folder. Wait for its end, or choose "
                "another."
            ) from None
        try:
            yield
        finally:
            lock.release()

    def check_free(self, *, overwrite: bool) -> None:
        """Raises ConfigError unless the folder is free, or a run that may be replaced."""
        if self._is_unused():
            return
        if not overwrite:
            raise ConfigError(
                f"--out {self.path}: already there. Choose another folder, replace it with "
                f"--overwrite, or continue it with: lcnet train --resume {self.path}"
            )
        if not self.is_run:
            raise ConfigError(
                f"--out {self.path}: --overwrite replaces run folders only, and this one has no "
                f"{self.config_file.name}. Choose another folder."
            )

    def _is_unused(self) -> bool:
        """Whether nothing is there, or only what a run leaves that is killed as it begins."""
        if not self.path.exists():
            return True
        first = (self.lock_file, self.record_file, self.fingerprints_file)
        return self.path.is_dir() and all(
            path in first or path.suffix == ".part" for path in self.path.iterdir()
        )

    def clear(self) -> None:
        """Remove all but the lock. What makes the folder a run goes last."""
        for path in sorted(self.path.iterdir(), key=lambda path: path == self.config_file):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path != self.lock_file:
                path.unlink()

    def remove_unfinished(self) -> None:
        """Remove what a killed run was writing."""
        for folder in (self.path, self.model, self.checkpoints):
            for file in folder.glob("*.part"):
                file.unlink()
