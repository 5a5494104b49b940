"""Writing files so that each is either complete or absent."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

AnyPath = Path | str | os.PathLike[str]
"""A path as a caller may give it; a `RunFolder` is one too."""


@contextmanager
def written_whole(file: Path, *, previous: Path | None = None) -> Iterator[Path]:
    """A path to write to; it replaces `file` when the block ends without an error.

    The folder is made if it does not exist. After an error the new file is removed and the older
    one stays. With `previous` the older file is kept under that name.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f"{file.name}.part")
    unfinished.touch()
    usual = unfinished.stat().st_mode
    try:
        yield unfinished
        unfinished.chmod(usual)  # some libraries write files that only their owner can read
        _to_disk(unfinished)  # before the renaming: a loss of power leaves the old or the new file
        if previous is not None and file.exists():
            file.replace(previous)
        unfinished.replace(file)
        _to_disk(file.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open a folder
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def is_free(path: Path) -> bool:
    """Whether `path` does not exist or is an empty folder."""
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


def write_text(file: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all.

    Characters that are not valid Unicode are escaped: a file name may contain any bytes.
    """
    with written_whole(file) as unfinished:
        unfinished.write_text(text, encoding="utf-8", errors="backslashreplace")
