"""The files of a data set's folder that no split lists."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from lcnet.checking.findings import CheckedSplit, Finding, finding
from lcnet.config import Data
from lcnet.data.decoding import PICTURE_SUFFIXES
from lcnet.data.dividing import file_of

MOST_FILES = 2_000_000
"""Files looked at; a folder with more is not counted to its end."""
LABEL_FILES = {
    "coco": frozenset({".json"}),
    "voc": frozenset({".xml", ".txt"}),
    "folder": frozenset[str](),
}
"""Suffixes of files with labels by format."""
ANY_LABEL_FILES = frozenset(
    {".csv", ".tsv", ".txt", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".gz", ".parquet", ".xlsx"}
)
"""The same for other formats."""
READ_ME = frozenset({"README", "LICENSE", "LICENCE", "MAKEFILE"})
MASKS = frozenset({"SegmentationClass", "SegmentationObject"})
"""Folders of VOC with pictures that are labels."""
MADE_HERE = frozenset({"digits", "rope"})
"""Formats whose folder holds more than pictures by design."""


def passed_over(splits: Sequence[CheckedSplit], data: Data, *, is_whole: bool) -> Iterator[Finding]:
    """A finding for the pictures that no split lists, and one for files that are no pictures.

    Hidden files, files with labels and files such as README are not counted, and pictures only if
    the splits were read as a whole (`is_whole`).
    """
    if data.format in MADE_HERE:
        return
    listed = {
        os.path.normpath(path)
        for checked in splits
        for one in checked.split.samples
        for path in (one.path, *one.channel_files)
    }
    labels = LABEL_FILES.get(data.format, ANY_LABEL_FILES)
    pictures, others = Counter[str](), Counter[str]()
    example = ""
    root = _whole_of(data)
    for folder, name in islice(_files(root), MOST_FILES):
        stem, dot, ending = name.rpartition(".")
        suffix = f".{ending.lower()}" if dot else ""
        place = f"{folder}/{name}" if folder else name
        if suffix in labels or (stem or name).upper() in READ_ME or place in listed:
            continue
        if suffix in PICTURE_SUFFIXES:
            pictures[suffix] += 1
            example = example or place
        else:
            others[suffix] += 1
    if pictures and is_whole and data.images == "all":
        detail = f"pictures in no split: {_listed(pictures)}, such as {example}"
        yield finding("passed-over", str(root), detail)
    if others:
        yield finding("passed-over", str(root), f"no pictures that lcnet reads: {_listed(others)}")


def _whole_of(data: Data) -> Path:
    """The folder of the data set: of folders of labels without splits, not the one above it."""
    splits = {file_of(name) for name in (data.train, data.val, data.test) if name}
    is_one = data.format == "folder" and len(splits) == 1
    return Path(data.root, splits.pop()) if is_one else Path(data.root)


def _files(root: Path) -> Iterator[tuple[str, str]]:
    """The folder and the name of each file in a folder and below, without hidden ones.

    As in a normal path, nothing stands for the current folder, neither "." nor "./".
    """
    for parent, folders, files in os.walk(os.path.normpath(root)):
        folders[:] = sorted(name for name in folders if name[0] != "." and name not in MASKS)
        inside = "" if parent == "." else parent.removeprefix("./")
        for name in sorted(files):
            if name[0] != ".":
                yield inside, name


def _listed(counts: Counter[str]) -> str:
    shown = [f"{count:,} {suffix or 'without a suffix'}" for suffix, count in counts.most_common(8)]
    return ", ".join(shown) + ", ..." * (len(counts) > 8)
