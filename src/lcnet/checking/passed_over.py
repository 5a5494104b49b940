"""The files of a data set's folder that have no labels, or are no pictures."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from lcnet.checking.findings import CheckedSplit, Finding, finding
from lcnet.config import Data
from lcnet.data.decoding import PICTURE_SUFFIXES
from lcnet.data.dividing import file_of, whole_and_part
from lcnet.data.readers import read_split
from lcnet.errors import DataError

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
ENTRIES = frozenset(
    {"coco", "cvat", "datumaro", "fiftyone", "json", "label_studio", "mmpretrain", "voc"}
)
"""Formats of label files without rows."""
MADE_HERE = frozenset({"digits", "rope"})
"""Formats whose folder holds more than pictures by design."""


def passed_over(splits: Sequence[CheckedSplit], data: Data, *, is_whole: bool) -> Iterator[Finding]:
    """Findings for pictures without labels or without a split, and for files that are no pictures.

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
    unlisted, others = list[str](), Counter[str]()
    root = _whole_of(data)
    for folder, name in islice(_files(root), MOST_FILES):
        stem, dot, ending = name.rpartition(".")
        suffix = f".{ending.lower()}" if dot else ""
        place = f"{folder}/{name}" if folder else name
        if suffix in labels or (stem or name).upper() in READ_ME or place in listed:
            continue
        if suffix in PICTURE_SUFFIXES:
            unlisted.append(place)
        else:
            others[suffix] += 1
    if unlisted and is_whole and data.images == "all":
        yield from _without_labels(splits, unlisted, data, str(root))
    if others:
        yield finding("passed-over", str(root), f"no pictures that lcnet reads: {_listed(others)}")


def _without_labels(
    splits: Sequence[CheckedSplit], unlisted: Sequence[str], data: Data, root: str
) -> Iterator[Finding]:
    """A finding for pictures that no label file lists, and one for those listed in no split."""
    files = [file_of(checked.split.name) for checked in splits]
    listed = _in_other_parts(splits, data)
    in_no_split = [place for place in unlisted if place in listed]
    unlabelled = [place for place in unlisted if place not in listed]
    entry = "row" if data.format not in ENTRIES else "entry"
    what = "in no split: "
    if all(Path(data.root, file).is_file() for file in files):
        what = f"no {entry} in {_any_of(dict.fromkeys(files))} for "
    for places, said in ((unlabelled, what), (in_no_split, "listed, but in no split: ")):
        if places:
            count = f"{len(places):,} picture{'s' * (len(places) != 1)}"
            kinds = Counter(f".{place.rpartition('.')[2].lower()}" for place in places)
            detail = f"{said}{count} ({_listed(kinds)}), such as {places[0]}; not trained on"
            yield finding("passed-over", root, detail)


def _any_of(names: Iterable[str]) -> str:
    """Names of which any is meant: `a.csv, b.csv or c.csv`."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def _in_other_parts(splits: Sequence[CheckedSplit], data: Data) -> set[str]:
    """The pictures of label files that have splits as parts, also those in no split."""
    listed = set()
    wholes = {whole_and_part(checked.split.name) for checked in splits}
    for whole in dict.fromkeys(whole for whole, part in wholes if part):
        try:
            samples = read_split(data, whole).samples
        except DataError:
            continue
        paths = (path for one in samples for path in (one.path, *one.channel_files))
        listed |= {os.path.normpath(path) for path in paths}
    return listed


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
