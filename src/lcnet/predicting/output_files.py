"""A folder of predictions for big jobs: complete files of rows, so a stopped job can continue.

DIR/
├── manifest.json              model, format, labels, precision and number of shards
├── part-1of1-00000.jsonl      --rows_per_file rows; the next has 00001
└── .1of1.lock                 held by the process that writes the shard
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lcnet.data.sources import Shard
from lcnet.errors import ConfigError, DataError, LCNetError
from lcnet.files import write_text, written_whole
from lcnet.predicting.prediction import Prediction
from lcnet.predicting.row_formats import FORMATS, read_rows

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Job:
    """What all files of a folder have in common; a folder accepts no other job."""

    model: str
    """The model's fingerprint."""
    format: str
    """jsonl, csv or parquet."""
    labels: Sequence[str]
    """The label names of which rows can have probabilities, in their order."""
    precision: str
    """The arithmetic that the model computes in: fp32 or bf16."""
    shards: int
    """How many shards the pictures are split into."""
    top: int = 0
    """How many labels a row has, its most probable ones; 0 for all."""
    known: str = ""
    """Digest of what is known of the pictures; empty if nothing is."""

    def to_dict(self) -> dict[str, Any]:
        """The content of manifest.json."""
        return {
            "model": self.model,
            "format": self.format,
            "precision": self.precision,
            "shards": self.shards,
            "top": self.top,
            "labels": list(self.labels),
            "known": self.known,
        }


@dataclass
class Finished:
    """What the files of a shard already hold."""

    images: set[str] = field(default_factory=set)
    """The names of the pictures that have a row."""
    failed: int = 0
    """How many of them could not be read."""


class PredictionFiles:
    """The files of one shard in a job's folder; make them with `open_shard`."""

    def __init__(self, folder: Path, job: Job, shard: Shard, rows_per_file: int) -> None:
        self.folder, self.job, self.rows_per_file = folder, job, rows_per_file
        self.stem = f"part-{shard.number}of{shard.count}"

    def finished(self) -> Finished:
        """The pictures that have a row; raises DataError if a file is damaged."""
        finished = Finished()
        for file in self._files():
            for image, was_read in read_rows(file):
                if image in finished.images:
                    raise DataError(
                        f"{file}: {image} has a second row here, so a file was copied or changed. "
                        "Delete this file; its pictures are predicted again."
                    )
                finished.images.add(image)
                finished.failed += not was_read
        return finished

    def write(self, predictions: Iterable[Prediction]) -> Iterator[Prediction]:
        """Write each prediction and pass it on; a file appears once it has all its rows.

        When the user stops the job, or an input turns out to be damaged, the rows so far become a
        file.
        """
        waiting = iter(predictions)
        numbers = [int(file.stem.rpartition("-")[2]) for file in self._files()]
        for number in count(max(numbers, default=-1) + 1):
            stopped: BaseException | None = None
            first = next(waiting, None)
            if first is None:
                return
            file = self.folder / f"{self.stem}-{number:05}.{self.job.format}"
            with written_whole(file) as unfinished:
                rows = FORMATS[self.job.format](unfinished, self.job.labels, self.job.top)
                try:
                    rows.write(first)
                    yield first
                    for _ in range(self.rows_per_file - 1):
                        try:
                            following = next(waiting, None)
                        except (KeyboardInterrupt, LCNetError) as error:
                            stopped = error
                            break
                        if following is None:
                            break
                        rows.write(following)
                        yield following
                finally:
                    rows.close()
            if stopped is not None:
                raise stopped

    def remove_unfinished(self) -> None:
        """Remove what a killed process left of its last file."""
        for file in self.folder.glob(f"{self.stem}-*.part"):
            file.unlink()

    def _files(self) -> list[Path]:
        name = re.compile(rf"{self.stem}-\d+\.{self.job.format}")
        return sorted(file for file in self.folder.iterdir() if name.fullmatch(file.name))


@contextmanager
def open_shard(
    folder: Path, job: Job, shard: Shard, *, rows_per_file: int
) -> Iterator[PredictionFiles]:
    """The files of a shard, which no other process can write until the end.

    Makes the folder and its manifest if they are missing. Raises ConfigError if the folder has
    another job, or another process writes this shard.
    """
    if rows_per_file < 1:
        raise ConfigError(f"--rows_per_file: expected at least 1, got {rows_per_file}.")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(
            f"--out {folder}: expected a folder with --format, got a file. Name another."
        )
    # Look for files first: a shard that starts at the same time may write the manifest meanwhile.
    if folder.is_dir() and _has_files(folder) and not (folder / MANIFEST).is_file():
        raise ConfigError(
            f"--out {folder}: expected a new folder or one of an earlier lcnet predict --format, "
            f"got one with other files and no {MANIFEST}. Name another."
        )
    FORMATS[job.format].refuse(job.labels, job.top)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f".{shard.number}of{shard.count}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise ConfigError(
            f"--out {folder}: another process writes shard {shard} there. Wait for it, or stop it."
        ) from None
    try:
        with FileLock(folder / ".manifest.lock"):
            _agree(folder, job)
        files = PredictionFiles(folder, job, shard, rows_per_file)
        files.remove_unfinished()
        yield files
    finally:
        lock.release()


def _agree(folder: Path, job: Job) -> None:
    """Write the folder's manifest, or raise ConfigError if it is of another job."""
    file, wanted = folder / MANIFEST, job.to_dict()
    if not file.is_file():
        write_text(file, json.dumps(wanted, indent=1, ensure_ascii=False) + "\n")
        return
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        # An older lcnet wrote all labels, knew nothing of the pictures, and said neither.
        stored = {"top": 0, "known": "", **stored}
        old = {name: stored[name] for name in wanted}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataError(
            f"{file}: damaged, so the model of the rows is unknown. Name a new folder."
        ) from None
    for name, value in wanted.items():
        if old[name] != value:
            raise ConfigError(
                f"--out {folder}: holds a job with {name} {_short(old[name])}, got "
                f"{_short(value)}. Use the same as before, or name a new folder."
            )


def _short(value: object) -> str:
    """A manifest's value for a message; of a long one, such as a fingerprint, the start."""
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}..."


def _has_files(folder: Path) -> bool:
    """Whether there is more than locks and a manifest, complete or not."""
    return any(not entry.name.startswith((".", MANIFEST)) for entry in folder.iterdir())
