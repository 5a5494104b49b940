"""A run folder belongs to one process at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lcnet.errors import ConfigError

LOCK = ".lock"
BEGINNING = (LOCK, "run.json", "fingerprints.json.gz")
"""What a run writes before its config.yaml, with which it can be resumed."""
WAIT = 3.0
"""Seconds that a loader process may still hold what its killed run held."""


@contextmanager
def only_run_in(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder, which is made if it is not there.

    The system drops the lock with the process, however it ends, so that none is ever stale.
    Raises ConfigError if another run holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=WAIT)
    except Timeout:
        raise ConfigError(
            f"{folder}: another run writes to this folder. Wait for its end, or choose another."
        ) from None
    try:
        yield
    finally:
        lock.release()


def is_unused(folder: Path) -> bool:
    """Whether there is nothing at `folder`, or what a run left that was killed as it began."""
    if not folder.exists():
        return True
    return folder.is_dir() and all(
        path.name in BEGINNING or path.suffix == ".part" for path in folder.iterdir()
    )
