"""Where the pictures of a prediction come from: files, folders, globs, lists, tar and Parquet."""

import glob
import os
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from PIL import Image

from lcnet.data.containers import (
    PARQUET,
    TAR,
    ParquetRow,
    Slice,
    contents_of,
    damaged,
    picture_column,
    pyarrow_parquet,
)
from lcnet.data.opening import PICTURE_SUFFIXES
from lcnet.errors import ConfigError, DataError, quoted, reason_of

if TYPE_CHECKING:  # it brings torch, and a wrong path must be refused before that is imported
    from lcnet.data.array_pictures import Array

LIST = ".txt"
MOST_PIECES = 8
"""Pieces into which a shell cuts a name with spaces, when a mistake is looked for."""
ROWS_AT_ONCE = 64
"""Rows of a Parquet file that are in memory at a time."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Picture:
    """A picture: its name, unique in the job, and where its pixels are."""

    name: str
    """Its path, made `writable`; `SHARD.tar/MEMBER` inside a tar file; `FILE.parquet/ROW`, counted
    from 0, inside a Parquet file."""
    content: "Path | Slice | ParquetRow | bytes | Image.Image | Array | DataError"
    """A `DataError` says why there is none."""
    known: Mapping[str, bool] = field(default_factory=dict)
    """Labels that are known to be present (True) or absent (False)."""


@dataclass(frozen=True)
class Shard:
    """The share of the pictures that one process takes: every `count`-th, from the `number`-th."""

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """The shard that `--shard` names, such as 2/8; all pictures if it is empty."""
        number, _, count = (text or "1/1").partition("/")
        if number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count):
            return cls(int(number), int(count))
        raise ConfigError(f"--shard: expected i/n such as 2/8, with i from 1 to n, got {text!r}.")

    def of(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items of this shard, in order."""
        return islice(items, self.number - 1, None, self.count)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


class PictureSources:
    """The pictures that paths name, each once, in the order given; every pass looks again.

    A path is a picture, a folder (searched through for pictures), a glob, a text file (`.txt`) with
    one path per line, a tar file (`.tar`) with pictures as webdataset writes it, or a Parquet file
    (`.parquet`) with encoded pictures in a column. Only names are kept in memory.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = tuple(paths)
        self.passed_over: Counter[str] = Counter()
        """How many files of folders and tar files the last pass left out, by suffix."""
        self.lists: Counter[str] = Counter()
        """How many pictures the lists among the paths named in the last pass."""

    def _torn(self, path: str) -> str:
        """The name with spaces that a shell has cut at them, so that `path` is a piece; or empty.

        `new pics/1.jpg` without quotes are the paths new and pics/1.jpg.
        """
        place = self.paths.index(path)
        for first in range(place, max(place - MOST_PIECES, -1), -1):
            for last in range(max(place, first + 1), min(first + MOST_PIECES, len(self.paths))):
                if Path(whole := " ".join(self.paths[first : last + 1])).exists():
                    return whole
        return ""

    @property
    def are_files(self) -> bool:
        """Whether every picture is a file of its own."""
        return not any(path.lower().endswith((TAR, PARQUET)) for path in self.paths)

    def __iter__(self) -> Iterator[Picture]:
        """The pictures; raises DataError if a path has none or a tar or Parquet file is damaged."""
        return self._pictures(light=False)

    def names(self) -> Iterator[str]:
        """The names alone, without reading any picture; raises the same errors."""
        return (picture.name for picture in self.light())

    def light(self) -> Iterator[Picture]:
        """The same pictures without reading any: those in Parquet files are `ParquetRow`s."""
        return self._pictures(light=True)

    def _pictures(self, *, light: bool) -> Iterator[Picture]:
        seen: set[str] = set()
        self.passed_over.clear()
        self.lists.clear()
        for path in dict.fromkeys(self.paths):
            is_empty, is_list = True, _is_list(Path(path))
            for picture in _pictures_of(path, self.passed_over, light=light):
                is_empty = False
                if is_list:
                    self.lists[path] += 1
                if picture.name not in seen:
                    seen.add(picture.name)
                    yield picture
            if is_empty:
                raise self._no_picture(path)

    def require(self) -> None:
        """Look for the first picture of each path; raises DataError as iterating does."""
        for path in dict.fromkeys(self.paths):
            if not any(True for _ in _pictures_of(path, Counter(), light=True)):
                raise self._no_picture(path)

    def _no_picture(self, path: str) -> DataError:
        if torn := self._torn(path):
            return DataError(
                f"{path}: no such picture or folder, but there is {torn!r}. Quote names with "
                f"spaces: {quoted(torn)}"
            )
        return DataError(
            f"{path}: no picture there (expected a picture, a folder or glob of pictures, "
            f"or a {LIST}, {TAR} or {PARQUET} file of them; picture files end in "
            f"{', '.join(sorted(PICTURE_SUFFIXES))}). Correct the path."
        )


def find_images(paths: Iterable[str]) -> list[Path]:
    """The picture files that paths name, as `PictureSources` finds them.

    Raises DataError if a path has none, or they are inside a tar or Parquet file.
    """
    sources = PictureSources(list(paths))
    images = []
    for picture in sources:
        if not isinstance(picture.content, Path):
            raise DataError(
                f"{picture.name}: expected separate picture files, got one inside another file. "
                "Unpack it."
            )
        images.append(picture.content)
    return images


def writable(text: str) -> str:
    """The text with invalid Unicode escaped, since a file name may be any bytes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _pictures_of(path: str, passed: Counter[str], *, light: bool) -> Iterator[Picture]:
    named = Path(path)
    if named.is_dir():
        yield from _in_folder(named, passed)
    elif _is_list(named):
        yield from _in_list(named)
    elif named.is_file():
        yield from _in_file(named, passed, light=light)
    else:
        # Path.glob takes no absolute patterns.
        for file in sorted(map(Path, glob.glob(path, recursive=True))):  # noqa: PTH207
            if file.is_file():
                yield from _in_file(file, passed, light=light)


def _is_list(file: Path) -> bool:
    """Whether it is a text file, which is read as paths of pictures."""
    return file.suffix.lower() == LIST and file.is_file()


def _in_file(file: Path, passed: Counter[str], *, light: bool) -> Iterator[Picture]:
    if file.suffix.lower() == TAR:
        yield from _in_tar(file, passed)
    elif file.suffix.lower() == PARQUET:
        yield from _in_parquet(file, light=light)
    else:
        yield Picture(writable(str(file)), file)


def _in_folder(folder: Path, passed: Counter[str]) -> Iterator[Picture]:
    """The pictures in a folder and below, sorted by name; lists one folder at a time."""
    with os.scandir(folder) as opened:
        entries = sorted(opened, key=lambda entry: entry.name)
    for entry in entries:
        file = folder / entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _in_folder(file, passed)
        elif file.suffix.lower() not in PICTURE_SUFFIXES:
            if entry.name[0] != ".":
                passed[file.suffix.lower()] += 1
        elif _may_be_read(entry):
            yield Picture(writable(str(file)), file)


def _may_be_read(entry: os.DirEntry[str]) -> bool:
    """True for files and dangling links (reported later); false for pipes and folders.

    Opening a pipe would wait for ever until somebody writes into it.
    """
    try:
        return entry.is_file() or not Path(entry).exists()
    except OSError:  # a link to itself
        return True


def _in_list(file: Path) -> Iterator[Picture]:
    try:
        with file.open(encoding="utf-8-sig") as lines:
            for line in lines:
                if line.strip():
                    file_name = Path(line.strip())
                    yield Picture(str(file_name), file_name)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file}: expected a text file in UTF-8 with one path per line, got other bytes "
            f"({error.reason}). Save it as UTF-8."
        ) from None


def _in_tar(file: Path, passed: Counter[str]) -> Iterator[Picture]:
    """The pictures in an uncompressed tar file. Only headers are read, so skipping is cheap."""
    try:
        with tarfile.open(file, "r:") as tar:
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined] # it keeps every header otherwise
                suffix = Path(member.name).suffix.lower()
                if member.isreg() and suffix not in PICTURE_SUFFIXES:
                    passed[suffix] += 1
                elif member.isreg():
                    content = Slice(file, member.offset_data, member.size)
                    yield Picture(writable(f"{file}/{member.name}"), content)
    # tarfile raises all of these for headers with impossible sizes or nested headers.
    except (tarfile.TarError, ValueError, OverflowError, MemoryError, RecursionError) as error:
        raise DataError(
            f"{file}: not a whole, uncompressed tar file ({reason_of(error)}). Copy or pack it "
            "again; finished rows stay."
        ) from None


def _in_parquet(file: Path, *, light: bool) -> Iterator[Picture]:
    """The pictures in a table, some rows at a time."""
    parquet = pyarrow_parquet()
    import pyarrow

    try:
        with parquet.ParquetFile(file) as table:
            column = picture_column(file, table.schema_arrow)
            if light:
                yield from _rows(file, table)
                return
            row = 0
            for batch in table.iter_batches(ROWS_AT_ONCE, columns=[column]):
                for content in contents_of(batch.column(0)):
                    yield Picture(writable(f"{file}/{row}"), content)
                    row += 1
    except (pyarrow.ArrowException, OSError) as error:
        raise damaged(file, error) from None


def _rows(file: Path, table: Any) -> Iterator[Picture]:
    """The pictures in a table, without reading any: only the footer is read."""
    row = 0
    for group in range(table.metadata.num_row_groups):
        for row_in_group in range(table.metadata.row_group(group).num_rows):
            yield Picture(writable(f"{file}/{row}"), ParquetRow(file, group, row_in_group))
            row += 1
