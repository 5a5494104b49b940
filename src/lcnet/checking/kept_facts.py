"""Keeps the facts of pictures in a file: a killed check goes on, and the next one is quick."""

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple
from hashlib import blake2b
from pathlib import Path
from typing import Any

import PIL

from lcnet.checking.picture_facts import LOOK_PX, PictureFacts, picture_facts, read_facts
from lcnet.errors import DataError

FORMAT = 1
"""Of what is kept; facts of another format are read anew."""
SECONDS = 2.0
"""What is lost at most if the process is killed."""
WAIT = 60.0
"""Seconds for which another process may hold the file."""
TABLE = (
    "create table if not exists facts (key blob primary key, stamp text, fault text, reason text, "
    "width integer, height integer, low integer, high integer, pixels blob, look blob, "
    "stored integer, bands integer, kind text, frames integer) without rowid"
)

Files = Sequence[Path]
"""The files of a picture: its own, and those of further channels."""


class KeptFacts:
    """A file with the facts of pictures. They hold as long as path, size and time are the same.

    `kept_facts` opens it. Only pictures without a fault are kept, since a fault can pass.
    """

    def __init__(self, database: sqlite3.Connection, how: str) -> None:
        self._database = database
        self._how = how
        self._written = time.monotonic()
        self.served = 0
        """How many pictures' facts were taken from the file."""

    def stamp(self, files: Files) -> str:
        """Sizes and times of the files; empty if one is missing."""
        try:
            found = [file.stat() for file in files]
        except (OSError, ValueError):
            return ""
        return json.dumps([(one.st_size, one.st_mtime_ns) for one in found])

    def has(self, files: Files, stamp: str) -> bool:
        """Whether the facts of a picture with this stamp are kept."""
        found = self._row("stamp", files)
        return bool(stamp) and found is not None and found[0] == stamp

    def facts(self, files: Files) -> PictureFacts | None:
        """The facts that are kept; None if there are none, or if they are damaged."""
        row = self._row("*", files)
        if row is None:
            return None
        fault, reason, width, height, low, high, pixels, look, stored, bands, kind, frames = row[2:]
        numbers = (width, height, low, high, stored, bands, frames)
        is_whole = all(type(one) is int for one in numbers) and isinstance(kind, str)
        is_whole = is_whole and isinstance(pixels, bytes) and isinstance(look, bytes)
        if fault or not is_whole or len(look) != LOOK_PX**2:
            return None
        self.served += 1
        return PictureFacts(
            reason=str(reason),
            size=(width, height),
            range=(low, high),
            pixels=pixels,
            look=look,
            stored=stored,
            bands=bands,
            kind=kind,
            frames=frames,
        )

    def add(self, files: Files, stamp: str, facts: PictureFacts) -> None:
        """Keep the facts of a picture that had this stamp before it was read."""
        if facts.fault or not stamp:
            return
        fault, reason, size, span, *rest = astuple(facts)
        row = (self._key(files), stamp, fault, reason, *size, *span, *rest)
        places = ", ".join("?" * len(row))
        self._database.execute(f"insert or replace into facts values ({places})", row)
        if time.monotonic() - self._written > SECONDS:
            self._database.commit()
            self._written = time.monotonic()

    def _row(self, columns: str, files: Files) -> tuple[Any, ...] | None:
        query = f"select {columns} from facts where key = ?"
        found: tuple[Any, ...] | None
        found = self._database.execute(query, (self._key(files),)).fetchone()
        return found

    def _key(self, files: Files) -> bytes:
        names = "\0".join(str(file.absolute()) for file in files)
        text = f"{self._how}\0{names}".encode("utf-8", "surrogatepass")
        return blake2b(text, digest_size=16).digest()


@contextmanager
def kept_facts(file: Path, pixel_range: tuple[float, float] | None = None) -> Iterator[KeptFacts]:
    """The facts in a file, which is made if it does not exist.

    Facts that were found with another range of pixels or another decoder do not count. Raises
    DataError if the file is something else, or cannot be written.
    """
    how = json.dumps([FORMAT, PIL.__version__, pixel_range])
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(file, timeout=WAIT)) as database:
            database.execute("pragma trusted_schema = off")
            database.execute("pragma synchronous = normal")
            database.execute(TABLE)
            try:
                yield KeptFacts(database, how)
            finally:
                database.commit()
    except (sqlite3.Error, FileExistsError, NotADirectoryError, PermissionError) as error:
        raise DataError(
            f"{file}: cannot keep what was read of the pictures there ({error}). Remove the file "
            "if it is of another kind, or name another with --facts."
        ) from None


def read_kept(
    pictures: Sequence[Files],
    workers: int,
    pixel_range: tuple[float, float] | None,
    kept: KeptFacts | None,
) -> Iterator[PictureFacts]:
    """Each picture's facts, in order: those that are kept, others as `read_facts` reads them."""
    stamps = [kept.stamp(files) if kept else "" for files in pictures]
    stored = [
        kept is not None and kept.has(files, stamp)
        for files, stamp in zip(pictures, stamps, strict=True)
    ]
    unread = [files for files, known in zip(pictures, stored, strict=True) if not known]
    read = read_facts(
        [files[0] for files in unread], workers, pixel_range, [files[1:] for files in unread]
    )
    for files, stamp, known in zip(pictures, stamps, stored, strict=True):
        facts = kept.facts(files) if kept and known else None
        if facts is None:
            facts = picture_facts(files[0], pixel_range, files[1:]) if known else next(read)
            if kept:
                kept.add(files, stamp, facts)
        yield facts
