"""Reads shards: tar files as webdataset writes them, or Parquet files, with pictures and labels.

A split is a folder of shards. One pass over them makes an index, which is kept beside them.
"""

import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lcnet.data.containers import (
    PARQUET,
    TAR,
    ParquetRow,
    Slice,
    damaged,
    picture_column,
    pyarrow_parquet,
)
from lcnet.data.dataset import (
    NEGATIVE,
    POSITIVE,
    UNKNOWN,
    Sample,
    Split,
    Streamed,
)
from lcnet.data.decoding import PICTURE_SUFFIXES
from lcnet.data.readers.checks import (
    check_known,
    check_labels,
    check_root,
    missing_split,
    unreadable,
)
from lcnet.errors import DataError, reason_of
from lcnet.files import written_whole

NAMES = "labels.txt"
INDEX = "index.npz"
LABEL_SUFFIXES = (".json", ".cls", ".txt")
GROUP_BYTES = 2**28
"""A row group with more bytes of pictures than this is refused."""


@dataclass(frozen=True)
class _Entry:
    """A picture in a shard, and the names of its labels."""

    name: str
    start: int
    """In a tar file, the offset of its bytes; in a Parquet file, the row group."""
    size: int
    """In a tar file, the number of its bytes; in a Parquet file, the row in the group."""
    present: tuple[str, ...]
    unknown: tuple[str, ...] = ()


def read_shards(
    root: Path, split: str, labels: Sequence[str] | None = None, *, separator: str = "|"
) -> Split:
    """The pictures in the files `root/{split}/*.tar` or `*.parquet`, in the order of their names.

    In a tar file a picture and its labels share a name apart from the suffix: `0001.jpg` with
    `0001.json` (a list of the names of its labels, or `{"labels": [...], "unknown": [...]}`),
    `0001.txt` (names joined by `separator`) or `0001.cls` (indices into labels.txt, from 0). In a
    Parquet file `image` is a column of encoded pictures, and `labels` a column of names or indices,
    as lists or as joined text; `unknown` is optional. A label that is not named is absent.

    Without `labels`, the labels are the lines of `root/labels.txt`, or the sorted names in the
    shards. The index of the shards is kept as `index.npz` beside them and made again when a shard
    has changed. Raises DataError for a damaged shard, and for a picture without labels.
    """
    check_root(root, f"a folder {split}/ of {TAR} or {PARQUET} files")
    folder = root / split
    files = sorted(path for path in _in(folder) if path.suffix.lower() in (TAR, PARQUET))
    if not files:
        raise missing_split(folder / f"*{TAR}", split, (path.name for path in _in(root)))
    names = _names(root)
    index = _kept(folder, files, names) or _indexed(folder, files, names, separator)
    indexed = tuple(str(name) for name in index["labels"])
    order = check_labels(indexed if labels is None else list(labels), split)
    targets = index["targets"]
    if order != indexed:
        for name in indexed:
            check_known(name, order, f"{split}/")
        targets = np.full((len(index["targets"]), len(order)), NEGATIVE, np.int8)
        targets[:, [order.index(name) for name in indexed]] = index["targets"]
    return Split(order, _Stored(files, index, split), targets, split)


class _Stored(Streamed):
    """The samples of the shards; each is made when it is asked for."""

    def __init__(self, files: list[Path], index: dict[str, Any], split: str) -> None:
        self.files, self.split = files, split
        self.shards, self.starts, self.sizes = index["shards"], index["starts"], index["sizes"]
        self.names = index["names"]
        self.runs = np.bincount(self.shards, minlength=len(files))

    def __len__(self) -> int:
        return len(self.names)

    def sample(self, index: int) -> Sample:
        """The sample at an index from 0 to N - 1."""
        file = self.files[self.shards[index]]
        start, size, name = int(self.starts[index]), int(self.sizes[index]), str(self.names[index])
        is_tar = file.suffix.lower() == TAR
        return Sample(
            file / name,
            f"{self.split}/{file.name}",
            Slice(file, start, size) if is_tar else ParquetRow(file, start, size),
        )


def _in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _names(root: Path) -> tuple[str, ...]:
    """The label names in labels.txt; empty without that file."""
    file = root / NAMES
    if not file.is_file():
        return ()
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(str(file), "a label name a line, in UTF-8", error) from None
    return check_labels([line.strip() for line in lines if line.strip()], NAMES)


# The index


def _state(files: Sequence[Path], names: tuple[str, ...]) -> str:
    """The shards' sizes and times, and the label names: the index is valid while these stay."""
    stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return json.dumps([1, stats, names])


def _kept(folder: Path, files: list[Path], names: tuple[str, ...]) -> dict[str, Any] | None:
    """The stored index; None if there is none, or if the shards have changed since."""
    try:
        with np.load(folder / INDEX, allow_pickle=False) as stored:
            if str(stored["state"]) == _state(files, names):
                return dict(stored)
    except (OSError, ValueError, KeyError):
        pass
    return None


def _indexed(
    folder: Path, files: list[Path], names: tuple[str, ...], separator: str
) -> dict[str, Any]:
    """The index, made by a pass over all shards, and stored if the folder can be written."""
    entries: list[_Entry] = []
    shards: list[int] = []
    for number, file in enumerate(files):
        reader = _in_tar if file.suffix.lower() == TAR else _in_parquet
        own = list(reader(file, names, separator))
        if not own:
            raise DataError(f"{file}: expected pictures with labels, got none. Leave it out.")
        entries += own
        shards += [number] * len(own)
    order = names or tuple(
        sorted({name for entry in entries for name in entry.present + entry.unknown})
    )
    columns = {name: column for column, name in enumerate(order)}
    targets = np.full((len(entries), len(order)), NEGATIVE, np.int8)
    for row, entry in enumerate(entries):
        for mark, marked in ((UNKNOWN, entry.unknown), (POSITIVE, entry.present)):
            for name in marked:
                if name not in columns:
                    check_known(name, order, f"{files[shards[row]]}/{entry.name}")
                targets[row, columns[name]] = mark
    index: dict[str, Any] = {
        "state": np.array(_state(files, names)),
        "labels": np.array(order),
        "targets": targets,
        "shards": np.array(shards, np.int32),
        "starts": np.array([entry.start for entry in entries], np.int64),
        "sizes": np.array([entry.size for entry in entries], np.int64),
        "names": np.array([entry.name for entry in entries]),
    }
    try:
        with written_whole(folder / INDEX) as unfinished, unfinished.open("wb") as opened:
            np.savez(opened, **index)
    except OSError:
        pass  # a read-only folder: its shards are read again each time
    return index


# What is in a shard


def _in_tar(file: Path, names: tuple[str, ...], separator: str) -> Iterator[_Entry]:
    """The pictures of a tar file; members that share a name must follow each other."""
    key, picture, labels = "", None, None
    try:
        with tarfile.open(file, "r:") as tar:
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined] # tarfile would keep every header in memory
                path = Path(member.name)
                suffix = path.suffix.lower()
                if not member.isreg() or path.name.startswith("."):
                    continue
                if (own := member.name.removesuffix(path.suffix)) != key:
                    yield from _joined(file, picture, labels)
                    key, picture, labels = own, None, None
                if suffix in PICTURE_SUFFIXES and picture is None:
                    picture = (member.name, member.offset_data, member.size)
                elif suffix in LABEL_SUFFIXES and labels is None:
                    content = tar.extractfile(member)
                    assert content is not None
                    where = f"{file}/{member.name}"
                    labels = _labels(content.read(), suffix, names, separator, where)
            yield from _joined(file, picture, labels)
    except tarfile.TarError as error:
        raise DataError(
            f"{file}: not a whole, uncompressed tar file ({reason_of(error)}). Pack it again."
        ) from None


def _joined(
    file: Path,
    picture: tuple[str, int, int] | None,
    labels: tuple[tuple[str, ...], tuple[str, ...]] | None,
) -> Iterator[_Entry]:
    if picture is None:
        return
    if labels is None:
        raise DataError(
            f"{file}/{picture[0]}: expected its labels next to it, as a member of the same name "
            f"with {', '.join(LABEL_SUFFIXES)}, got none. Pack them together."
        )
    yield _Entry(*picture, *labels)


def _labels(
    content: bytes,
    suffix: str,
    names: tuple[str, ...],
    separator: str,
    where: str,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the present labels, and of the unknown labels."""
    try:
        text = content.decode("utf-8-sig").strip()
        if suffix == ".txt":
            return _as_names(text, names, separator), ()
        if suffix == ".cls":
            indices = [int(word) for word in text.replace(",", " ").split()]
            return _as_names(indices, names, separator), ()
        stored = json.loads(text)
        if isinstance(stored, dict):
            unknown = stored.get("unknown") or []
            return (
                _as_names(stored["labels"], names, separator),
                _as_names(unknown, names, separator),
            )
        return _as_names(stored, names, separator), ()
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise unreadable(
            where, "the labels of a picture (docs/reference/formats.md)", error
        ) from None


def _as_names(stored: Any, names: tuple[str, ...], separator: str) -> tuple[str, ...]:
    """Label names from names, joined names or indices; raises ValueError for anything else."""
    if stored is None:
        return ()
    if isinstance(stored, str):
        return tuple(name.strip() for name in stored.split(separator) if name.strip())
    if isinstance(stored, list) and all(isinstance(item, str) for item in stored):
        return tuple(stored)
    if isinstance(stored, list) and all(type(item) is int for item in stored):
        if not all(0 <= index < len(names) for index in stored):
            raise ValueError(f"indices {stored}, but {NAMES} in data.root has {len(names)} names")
        return tuple(names[index] for index in stored)
    raise ValueError(f"{str(stored)[:60]!r} instead of a list of names")


def _in_parquet(file: Path, names: tuple[str, ...], separator: str) -> Iterator[_Entry]:
    """The rows of a Parquet file; its pictures are not read."""
    parquet = pyarrow_parquet()
    import pyarrow

    try:
        with parquet.ParquetFile(file) as table:
            pictures = picture_column(file, table.schema_arrow)
            if "labels" not in table.schema_arrow.names:
                raise DataError(
                    f"{file}: expected a column `labels`, got "
                    f"{', '.join(table.schema_arrow.names)}. Rename the column."
                )
            wanted = [name for name in ("labels", "unknown") if name in table.schema_arrow.names]
            row = 0
            for group in range(table.metadata.num_row_groups):
                _check_group(file, table.metadata.row_group(group), pictures)
                columns = table.read_row_group(group, columns=wanted).to_pydict()
                for number, present in enumerate(columns["labels"]):
                    unknown = columns["unknown"][number] if "unknown" in columns else None
                    try:
                        marked = tuple(
                            _as_names(stored, names, separator) for stored in (present, unknown)
                        )
                    except ValueError as error:
                        raise unreadable(f"{file}/{row}", "its labels", error) from None
                    yield _Entry(str(row), group, number, *marked)
                    row += 1
    except (pyarrow.ArrowException, OSError) as error:
        raise damaged(file, error) from None


def _check_group(file: Path, group: Any, pictures: str) -> None:
    """Raises DataError for a row group with too many bytes of pictures to keep in memory."""
    columns = [group.column(number) for number in range(group.num_columns)]
    size = sum(
        column.total_uncompressed_size
        for column in columns
        if column.path_in_schema.split(".")[0] == pictures
    )
    if size > GROUP_BYTES:
        raise DataError(
            f"{file}: expected row groups of at most {GROUP_BYTES / 1e6:.0f} MB of pictures, got "
            f"{size / 1e6:.0f} MB. Write it with a smaller row_group_size, such as 100."
        )
