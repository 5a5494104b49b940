"""Where the pictures of a prediction come from: files, folders, globs, lists, tar and Parquet."""

import glob
import os
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

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
from lcnet.data.dataset import PICTURE_SUFFIXES
from lcnet.errors import ConfigError, DataError, reason_of

LIST = ".txt"
ROWS_AT_ONCE = 64
"""Rows of a Parquet file whose pictures are in memory together."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Picture:
    """A picture by a name that no other of the job has, and where its pixels are."""

    name: str
    """Its path, as `writable` has it; `SHARD.tar/MEMBER` in a tar file and `FILE.parquet/ROW`, from
    row 0, in a Parquet file."""
    content: Path | Slice | ParquetRow | bytes | Image.Image


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
        """Its own items, in their order."""
        return islice(items, self.number - 1, None, self.count)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


class PictureSources:
    """The pictures that paths name, each once and in the order given, found anew at each pass.

    A path is a picture, a folder (searched through for pictures), a glob, a text file (`.txt`) with
    a picture's path a line, a tar file (`.tar`) with pictures as webdataset writes it, or a Parquet
    file (`.parquet`) with encoded pictures in a column. No more than their names is kept.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = tuple(paths)

    @property
    def are_files(self) -> bool:
        """Whether every picture is a file of its own."""
        return not any(path.lower().endswith((TAR, PARQUET)) for path in self.paths)

    def __iter__(self) -> Iterator[Picture]:
        """The pictures; raises DataError if a path gives none, or a file of many is damaged."""
        return self._found(light=False)

    def names(self) -> Iterator[str]:
        """Their names alone, for which no picture is read; raises as the pictures do."""
        return (picture.name for picture in self.light())

    def light(self) -> Iterator[Picture]:
        """The same pictures, for which none is read: those in Parquet files are `ParquetRow`s."""
        return self._found(light=True)

    def _found(self, *, light: bool) -> Iterator[Picture]:
        seen: set[str] = set()
        for path in self.paths:
            found = False
            for picture in _pictures_of(path, light=light):
                found = True
                if picture.name not in seen:
                    seen.add(picture.name)
                    yield picture
            if not found:
                raise DataError(
                    f"{path}: no picture (expected a picture, a folder that holds some, a glob, "
                    f"or a {LIST}, {TAR} or {PARQUET} file of them; "
                    f"{', '.join(sorted(PICTURE_SUFFIXES))}). Correct the path."
                )


def find_images(paths: Iterable[str]) -> list[Path]:
    """The picture files that paths name, as `PictureSources` finds them.

    Raises DataError if a path gives none or its pictures are not files of their own.
    """
    sources = PictureSources(list(paths))
    images = []
    for picture in sources:
        if not isinstance(picture.content, Path):
            raise DataError(
                f"{picture.name}: expected pictures in files of their own, got one inside another "
                "file. Unpack it."
            )
        images.append(picture.content)
    return images


def writable(text: str) -> str:
    """The text with what is no Unicode escaped: a file may have any bytes for its name."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _pictures_of(path: str, *, light: bool) -> Iterator[Picture]:
    place = Path(path)
    if place.is_dir():
        yield from _in_folder(place)
    elif place.is_file() and place.suffix.lower() == LIST:
        yield from _in_list(place)
    elif place.is_file():
        yield from _in_file(place, light=light)
    else:
        # Path.glob takes no absolute patterns.
        for name in sorted(map(Path, glob.glob(path, recursive=True))):  # noqa: PTH207
            if name.is_file():
                yield from _in_file(name, light=light)


def _in_file(file: Path, *, light: bool) -> Iterator[Picture]:
    if file.suffix.lower() == TAR:
        yield from _in_tar(file)
    elif file.suffix.lower() == PARQUET:
        yield from _in_parquet(file, light=light)
    else:
        yield Picture(writable(str(file)), file)


def _in_folder(folder: Path) -> Iterator[Picture]:
    """The pictures in a folder and below, in the order of their paths; one folder is listed."""
    with os.scandir(folder) as opened:
        entries = sorted(opened, key=lambda entry: entry.name)
    for entry in entries:
        file = folder / entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _in_folder(file)
        elif file.suffix.lower() in PICTURE_SUFFIXES and _may_be_read(entry):
            yield Picture(writable(str(file)), file)


def _may_be_read(entry: os.DirEntry[str]) -> bool:
    """Whether it is a file, or a link that leads nowhere, which is told of: no pipe and no folder.

    One would wait for ever for somebody to write into a pipe.
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
            f"{file}: expected a text file in UTF-8 with a picture's path a line ({error.reason}). "
            "Write it anew."
        ) from None


def _in_tar(file: Path) -> Iterator[Picture]:
    """The pictures in an uncompressed tar file; only headers are read, so that any may be left."""
    try:
        with tarfile.open(file, "r:") as tar:
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined] # it keeps every header otherwise
                if member.isreg() and Path(member.name).suffix.lower() in PICTURE_SUFFIXES:
                    place = Slice(file, member.offset_data, member.size)
                    yield Picture(writable(f"{file}/{member.name}"), place)
    # Sizes that no file has, and headers of headers, fail in tarfile as they will.
    except (tarfile.TarError, ValueError, OverflowError, MemoryError, RecursionError) as error:
        raise DataError(
            f"{file}: not a whole, uncompressed tar file ({reason_of(error)}). Copy or pack it "
            "anew; what is done already stays."
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
    """The pictures in a table, of which only the table of contents is read."""
    row = 0
    for group in range(table.metadata.num_row_groups):
        for place in range(table.metadata.row_group(group).num_rows):
            yield Picture(writable(f"{file}/{row}"), ParquetRow(file, group, place))
            row += 1
