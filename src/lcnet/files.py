"""Files that are whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(file: Path, *, previous: Path | None = None) -> Iterator[Path]:
    """A path to write to, which takes the place of `file` once all is written without an error.

    The folder is made if it is not there. After an error nothing is left and an older file stays.
    What was written is on the disk before it takes that place, so that a loss of power leaves the
    older file or the new one. With `previous` the older file is kept under that name.
    Others may read it as they may any new file, also where a library keeps its files private.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f"{file.name}.part")
    unfinished.touch()
    usual = unfinished.stat().st_mode
    try:
        yield unfinished
        unfinished.chmod(usual)
        _to_disk(unfinished)
        if previous is not None and file.exists():
            file.replace(previous)
        unfinished.replace(file)
        _to_disk(file.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    """Wait until a file's content, or a folder's names, are on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # there a folder cannot be opened
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def is_free(path: Path) -> bool:
    """Whether there is nothing at `path`, or an empty folder."""
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


def write_text(file: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all.

    What is no Unicode is escaped: a file of the user's may have any bytes for its name.
    """
    with written_whole(file) as unfinished:
        unfinished.write_text(text, encoding="utf-8", errors="backslashreplace")
