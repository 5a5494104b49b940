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

from lcnet.data.dataset import PICTURE_SUFFIXES
from lcnet.errors import ConfigError, DataError, reason_of

LIST, TAR, PARQUET = ".txt", ".tar", ".parquet"
ROWS_AT_ONCE = 64
"""Rows of a Parquet file whose pictures are in memory together."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Slice:
    """A picture's bytes inside a larger file."""

    file: Path
    start: int
    size: int

    def read(self) -> bytes:
        """The bytes; raises OSError if the file is gone."""
        with self.file.open("rb") as opened:
            opened.seek(self.start)
            return opened.read(self.size)


@dataclass(frozen=True)
class Picture:
    """A picture by a name that no other of the job has, and where its pixels are."""

    name: str
    """Its path, as `writable` has it; `SHARD.tar/MEMBER` in a tar file and `FILE.parquet/ROW`, from
    row 0, in a Parquet file."""
    content: Path | Slice | bytes | Image.Image


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
        return self._found(names_only=False)

    def names(self) -> Iterator[str]:
        """Their names alone, for which no picture is read; raises as the pictures do."""
        return (picture.name for picture in self._found(names_only=True))

    def _found(self, *, names_only: bool) -> Iterator[Picture]:
        seen: set[str] = set()
        for path in self.paths:
            found = False
            for picture in _pictures_of(path, names_only=names_only):
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


def _pictures_of(path: str, *, names_only: bool) -> Iterator[Picture]:
    place = Path(path)
    if place.is_dir():
        yield from _in_folder(place)
    elif place.is_file() and place.suffix.lower() == LIST:
        yield from _in_list(place)
    elif place.is_file():
        yield from _in_file(place, names_only=names_only)
    else:
        # Path.glob takes no absolute patterns.
        for name in sorted(map(Path, glob.glob(path, recursive=True))):  # noqa: PTH207
            if name.is_file():
                yield from _in_file(name, names_only=names_only)


def _in_file(file: Path, *, names_only: bool) -> Iterator[Picture]:
    if file.suffix.lower() == TAR:
        yield from _in_tar(file)
    elif file.suffix.lower() == PARQUET:
        yield from _in_parquet(file, names_only=names_only)
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
        elif file.suffix.lower() in PICTURE_SUFFIXES and not entry.is_dir():
            yield Picture(writable(str(file)), file)


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
    except tarfile.TarError as error:
        raise DataError(
            f"{file}: not a whole, uncompressed tar file ({reason_of(error)}). Copy or pack it "
            "anew; what is done already stays."
        ) from None


def _in_parquet(file: Path, *, names_only: bool) -> Iterator[Picture]:
    """The pictures in a table, some rows at a time."""
    parquet = pyarrow_parquet()
    import pyarrow

    try:
        with parquet.ParquetFile(file) as table:
            column = picture_column(file, table.schema_arrow)
            if names_only:
                names = (writable(f"{file}/{row}") for row in range(table.metadata.num_rows))
                yield from (Picture(name, b"") for name in names)
                return
            row = 0
            for batch in table.iter_batches(ROWS_AT_ONCE, columns=[column]):
                for value in batch.column(0).to_pylist():
                    content = value.get("bytes") if isinstance(value, dict) else value
                    yield Picture(writable(f"{file}/{row}"), content or b"")
                    row += 1
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(
            f"{file}: not a readable Parquet file ({reason_of(error)}). Copy or write it anew; "
            "what is done already stays."
        ) from None


def picture_column(file: Path, schema: Any) -> str:
    """The column with encoded pictures: bytes, or a struct that has them as `bytes`."""
    from pyarrow import types

    def is_bytes(kind: Any) -> bool:
        return types.is_binary(kind) or types.is_large_binary(kind)

    fitting = []
    for field in schema:
        inner = types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0
        if is_bytes(field.type.field("bytes").type if inner else field.type):
            fitting.append(field.name)
    if len(fitting) == 1 or "image" in fitting:
        return "image" if "image" in fitting else fitting[0]
    raise DataError(
        f"{file}: expected encoded pictures in a column `image` or in the only one of bytes, got "
        f"{', '.join(schema.names)}. Rename the column."
    )


def pyarrow_parquet() -> Any:
    """`pyarrow.parquet`; raises ConfigError if it is not installed."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise ConfigError(
            "pyarrow is not installed, which Parquet files need. "
            "Install it: pip install 'lcnet[parquet]'"
        ) from None
    return pyarrow.parquet
