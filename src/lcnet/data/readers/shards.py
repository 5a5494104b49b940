"""Reads shards: tar files as webdataset writes them, or Parquet files, with pictures and labels.

A split is a folder of shards. What is in them is found in one pass and kept beside them.
"""

import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    PICTURE_SUFFIXES,
    POSITIVE,
    UNKNOWN,
    Sample,
    Split,
    StoredSamples,
)
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
class _Found:
    """A picture in a shard, and the names of its labels."""

    name: str
    start: int
    """In a tar file where its bytes start, in a Parquet file the row group."""
    size: int
    """How many bytes there are, or the row in the group."""
    present: tuple[str, ...]
    unknown: tuple[str, ...] = ()


def read_shards(
    root: Path, split: str, labels: Sequence[str] | None = None, *, separator: str = "|"
) -> Split:
    """The pictures in the files `root/{split}/*.tar` or `*.parquet`, in the order of their names.

    In a tar file a picture and its labels have one name but for the suffix: `0001.jpg` with
    `0001.json` (a list of the names of its labels, or `{"labels": [...], "unknown": [...]}`),
    `0001.txt` (names joined by `separator`) or `0001.cls` (places in labels.txt, from 0). In a
    Parquet file `image` is a column of encoded pictures and `labels` one of names or places, as
    lists or joined; `unknown` is optional. A label that is not named is absent.

    Without `labels` they are the lines of `root/labels.txt`, or the sorted names found. The first
    pass over the shards is kept as `index.npz` beside them and made anew when one has changed.
    Raises DataError for a shard that is damaged and a picture without labels.
    """
    check_root(root, f"a folder {split}/ of {TAR} or {PARQUET} files")
    folder = root / split
    files = sorted(path for path in _in(folder) if path.suffix.lower() in (TAR, PARQUET))
    if not files:
        raise missing_split(folder / f"*{TAR}", split, (path.name for path in _in(root)))
    names = _names(root)
    index = _kept(folder, files, names) or _indexed(folder, files, names, separator)
    found = tuple(str(name) for name in index["labels"])
    order = check_labels(found if labels is None else list(labels), split)
    targets = index["targets"]
    if order != found:
        for name in found:
            check_known(name, order, f"{split}/")
        targets = np.full((len(index["targets"]), len(order)), NEGATIVE, np.int8)
        targets[:, [order.index(name) for name in found]] = index["targets"]
    return Split(order, _Stored(files, index, targets, split), split)


class _Stored(StoredSamples):
    """The samples of the shards, each made when it is asked for."""

    def __init__(
        self, files: list[Path], index: dict[str, Any], targets: NDArray[np.int8], split: str
    ) -> None:
        self.files, self.split = files, split
        self.shards, self.starts, self.sizes = index["shards"], index["starts"], index["sizes"]
        self.names = index["names"]
        self.targets = targets
        self.runs = np.bincount(self.shards, minlength=len(files))

    def sample(self, place: int) -> Sample:
        """The sample at a place."""
        file = self.files[self.shards[place]]
        start, size, name = int(self.starts[place]), int(self.sizes[place]), str(self.names[place])
        is_tar = file.suffix.lower() == TAR
        return Sample(
            file / name,
            tuple(self.targets[place].tolist()),
            f"{self.split}/{file.name}",
            Slice(file, start, size) if is_tar else ParquetRow(file, start, size),
        )


def _in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _names(root: Path) -> tuple[str, ...]:
    """The label names that labels.txt lists; none if it is not there."""
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
    """What the index follows from."""
    stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return json.dumps([1, stats, names])


def _kept(folder: Path, files: list[Path], names: tuple[str, ...]) -> dict[str, Any] | None:
    """The index that is kept, if it is of these very files."""
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
    """The index, made by a pass over all shards and kept where that is allowed."""
    found, shards = [], []
    for number, file in enumerate(files):
        reader = _in_tar if file.suffix.lower() == TAR else _in_parquet
        own = list(reader(file, names, separator))
        if not own:
            raise DataError(f"{file}: expected pictures with labels, got none. Leave it out.")
        found += own
        shards += [number] * len(own)
    order = names or tuple(sorted({name for one in found for name in one.present + one.unknown}))
    places = {name: place for place, name in enumerate(order)}
    targets = np.full((len(found), len(order)), NEGATIVE, np.int8)
    for row, one in enumerate(found):
        for mark, marked in ((UNKNOWN, one.unknown), (POSITIVE, one.present)):
            for name in marked:
                if name not in places:
                    check_known(name, order, f"{files[shards[row]]}/{one.name}")
                targets[row, places[name]] = mark
    index: dict[str, Any] = {
        "state": np.array(_state(files, names)),
        "labels": np.array(order),
        "targets": targets,
        "shards": np.array(shards, np.int32),
        "starts": np.array([one.start for one in found], np.int64),
        "sizes": np.array([one.size for one in found], np.int64),
        "names": np.array([one.name for one in found]),
    }
    try:
        with written_whole(folder / INDEX) as unfinished, unfinished.open("wb") as opened:
            np.savez(opened, **index)
    except OSError:
        pass  # a folder that may only be read is read anew each time
    return index


# What is in a shard


def _in_tar(file: Path, names: tuple[str, ...], separator: str) -> Iterator[_Found]:
    """The pictures of a tar file, whose members of one name stand behind each other."""
    key, picture, labels = "", None, None
    try:
        with tarfile.open(file, "r:") as tar:
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined] # it keeps every header otherwise
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
            f"{file}: not a whole, uncompressed tar file ({reason_of(error)}). Pack it anew."
        ) from None


def _joined(
    file: Path,
    picture: tuple[str, int, int] | None,
    labels: tuple[tuple[str, ...], tuple[str, ...]] | None,
) -> Iterator[_Found]:
    if picture is None:
        return
    if labels is None:
        raise DataError(
            f"{file}/{picture[0]}: expected its labels behind it, as a member of the same name with"
            f" {', '.join(LABEL_SUFFIXES)}, got none. Pack them together."
        )
    yield _Found(*picture, *labels)


def _labels(
    content: bytes,
    suffix: str,
    names: tuple[str, ...],
    separator: str,
    where: str,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the present and of the unknown labels."""
    try:
        text = content.decode("utf-8-sig").strip()
        if suffix == ".txt":
            return _as_names(text, names, separator), ()
        if suffix == ".cls":
            places = [int(word) for word in text.replace(",", " ").split()]
            return _as_names(places, names, separator), ()
        said = json.loads(text)
        if isinstance(said, dict):
            unknown = said.get("unknown") or []
            return (
                _as_names(said["labels"], names, separator),
                _as_names(unknown, names, separator),
            )
        return _as_names(said, names, separator), ()
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise unreadable(
            where, "the labels of a picture (docs/reference/formats.md)", error
        ) from None


def _as_names(said: Any, names: tuple[str, ...], separator: str) -> tuple[str, ...]:
    """Label names from names, joined names or places; raises ValueError for anything else."""
    if said is None:
        return ()
    if isinstance(said, str):
        return tuple(name.strip() for name in said.split(separator) if name.strip())
    if isinstance(said, list) and all(isinstance(one, str) for one in said):
        return tuple(said)
    if isinstance(said, list) and all(type(one) is int for one in said):
        if not all(0 <= place < len(names) for place in said):
            raise ValueError(f"places {said}, of which {NAMES} in data.root has {len(names)}")
        return tuple(names[place] for place in said)
    raise ValueError(f"{str(said)[:60]!r} in place of a list of names")


def _in_parquet(file: Path, names: tuple[str, ...], separator: str) -> Iterator[_Found]:
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
                for place, present in enumerate(columns["labels"]):
                    unknown = columns["unknown"][place] if "unknown" in columns else None
                    try:
                        marked = tuple(
                            _as_names(said, names, separator) for said in (present, unknown)
                        )
                    except ValueError as error:
                        raise unreadable(f"{file}/{row}", "its labels", error) from None
                    yield _Found(str(row), group, place, *marked)
                    row += 1
    except (pyarrow.ArrowException, OSError) as error:
        raise damaged(file, error) from None


def _check_group(file: Path, group: Any, pictures: str) -> None:
    """Raises DataError for a row group whose pictures would not fit into memory well."""
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
