"""Files that are whole or not there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(file: Path) -> Iterator[Path]:
    """A path to write to, which takes the place of `file` once all is written without an error.

    The folder is made if it is not there. After an error nothing is left and an older file stays.
    Others may read it as they may any new file, also where a library keeps its files private.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f"{file.name}.part")
    unfinished.touch()
    usual = unfinished.stat().st_mode
    try:
        yield unfinished
        unfinished.chmod(usual)
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def is_free(path: Path) -> bool:
    """Whether there is nothing at `path`, or an empty folder."""
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


def write_text(file: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all.

    What is no Unicode is escaped: a file of the user's may have any bytes for its name.
    """
    with written_whole(file) as unfinished:
        unfinished.write_text(text, encoding="utf-8", errors="backslashreplace")
