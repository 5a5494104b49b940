"""Signs of life: a process that hangs gives none, is killed, and so noticed by the launcher."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

BEAT_S = 5
"""Seconds between two signs of life of a process."""
SILENT_BEATS = 7
"""Signs of life that are missing when a process is killed."""


@contextmanager
def giving_signs(folder: Path) -> Iterator[None]:
    """Touch a file in the folder again and again, while the block runs."""
    sign, over = folder / str(os.getpid()), threading.Event()

    def give() -> None:
        sign.touch()
        while not over.wait(BEAT_S):
            sign.touch()
        sign.unlink(missing_ok=True)

    threading.Thread(target=give, daemon=True).start()
    try:
        yield
    finally:
        over.set()


@contextmanager
def watched() -> Iterator[Path]:
    """A folder for signs of life; a process that stops giving them is killed."""
    over = threading.Event()
    with TemporaryDirectory(prefix="lcnet-") as folder:
        threading.Thread(target=_watch, args=(Path(folder), over), daemon=True).start()
        try:
            yield Path(folder)
        finally:
            over.set()


def _watch(folder: Path, over: threading.Event) -> None:
    silent: dict[Path, tuple[float, int]] = {}
    while not over.wait(BEAT_S):
        for sign in folder.iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):
                last, beats = silent.get(sign, (0.0, 0))
                now = sign.stat().st_mtime
                silent[sign] = now, beats + 1 if now == last else 0
                if silent[sign][1] >= SILENT_BEATS:
                    os.kill(int(sign.name), signal.SIGKILL)
