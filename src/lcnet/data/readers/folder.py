"""Reads folders: one per split, with a folder of pictures per label inside."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from lcnet.data.dataset import POSITIVE, Sample, Split
from lcnet.data.decoding import PICTURE_SUFFIXES
from lcnet.data.dividing import whole_and_part
from lcnet.data.passed_over import in_words
from lcnet.data.readers.checks import (
    check_known,
    check_labels,
    check_root,
    missing_split,
    targets_of,
)
from lcnet.errors import DataError

FEW = 10
"""A reading is unclear if at least one in so many shared names is of the other kind."""


def read_folder(root: Path, split: str, labels: Sequence[str] | None = None) -> Split:
    """The pictures `root/{split}/LABEL/name`, sorted by name.

    If files of the same name (with its subfolders) are in the folders of several labels and have
    the same bytes, they are one picture with all these labels, and the file of the first label is
    used. If their bytes differ, they are different pictures. A picture directly in the split's
    folder has no label. Labels are present or absent, never unknown. Without `labels`, the labels
    are the sorted folder names. Hidden files and folders are skipped. Raises DataError for a folder
    that is not a label, a split without pictures, a picture both with and without a label, and
    shared names of which some are one picture and some are not.
    """
    check_root(root, f"a folder {split}/ with a folder of pictures per label")
    folder = root / split
    if not folder.is_dir():
        raise missing_split(folder, split, (path.name for path in _folders(root)))
    label_folders = _folders(folder)
    order = check_labels([path.name for path in label_folders] if labels is None else labels, split)
    files = {name: {"": path} for name, path in _pictures(folder, "*").items()}
    for label in label_folders:
        check_known(label.name, order, f"{split}/{label.name}/")
        for name, path in _pictures(label, "**/*").items():
            files.setdefault(name, {})[label.name] = path
    if not files:
        raise DataError(f"{split}: no pictures in {folder}. Put them into a folder per label.")
    pictures = _told_apart(files, split)
    samples = tuple(Sample(next(iter(of_picture.values()))) for of_picture in pictures)
    marks = [dict.fromkeys(filter(None, of_picture), POSITIVE) for of_picture in pictures]
    passed = _passed_over(folder)
    notes = (f"{split}: passed over: {in_words(passed)}",) if passed else ()
    return Split(order, samples, targets_of(marks, order), split, notes=notes)


def _told_apart(files: Mapping[str, dict[str, Path]], split: str) -> list[dict[str, Path]]:
    """The files of each picture by label, sorted by name; "" is the split's folder itself."""
    pictures: list[dict[str, Path]] = []
    same: list[str] = []
    other: list[str] = []
    for name in sorted(files):
        groups = [files[name]] if len(files[name]) == 1 else _by_content(files[name])
        for group in groups:
            if "" in group and len(group) > 1:
                raise DataError(
                    f"{split}/{name}: expected a picture either without a label or in a label's "
                    f"folder, got it in {split}/{list(group)[1]}/ too. Delete one of them."
                )
        pictures += groups
        if len(files[name]) > 1:
            (same if len(groups) == 1 else other).append(name)
    if min(len(same), len(other)) > 1 and FEW * min(len(same), len(other)) >= len(same + other):
        raise DataError(
            f"{split}: expected files of one name in several labels to be either one picture or "
            f"different ones, got {len(same):,} names with the same bytes (such as {same[0]}) and "
            f"{len(other):,} with others (such as {other[0]}). Copy the one file into all folders "
            "of its labels, or give different pictures different names."
        )
    return pictures


def _by_content(files: Mapping[str, Path]) -> list[dict[str, Path]]:
    """The files with the same bytes together, in the order of the first of each."""
    sizes = {label: path.stat().st_size for label, path in files.items()}
    groups: dict[tuple[int, bytes], dict[str, Path]] = {}
    for label, path in files.items():
        is_only_one = list(sizes.values()).count(sizes[label]) == 1
        groups.setdefault((sizes[label], b"" if is_only_one else _digest(path)), {})[label] = path
    return list(groups.values())


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").digest()


def same_names(split: Split, root: Path) -> dict[str, list[Path]]:
    """The names that several pictures of a split share, each in another label's folder."""
    folder, named = root / split.name, dict[str, list[Path]]()
    if not folder.is_dir():
        folder = root / whole_and_part(split.name)[0]  # a part that was drawn
    for sample in split.samples:
        parts = sample.path.relative_to(folder).parts
        named.setdefault("/".join(parts[1:] or parts), []).append(sample.path)
    return {name: paths for name, paths in named.items() if len(paths) > 1}


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir() and path.name[0] != ".")


def _passed_over(folder: Path) -> Counter[str]:
    """How many files below the folder are no pictures, by suffix; hidden ones do not count."""
    files = (path for path in folder.glob("**/*") if path.suffix.lower() not in PICTURE_SUFFIXES)
    return Counter(
        path.suffix.lower()
        for path in files
        if "/." not in f"/{path.relative_to(folder).as_posix()}" and path.is_file()
    )


def _pictures(folder: Path, pattern: str) -> dict[str, Path]:
    """The pictures that match `pattern`, by their name relative to `folder`."""
    pictures = {
        path.relative_to(folder).as_posix(): path
        for path in folder.glob(pattern)
        if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()
    }
    # macOS leaves `._name.jpg` files beside pictures, notebooks `.ipynb_checkpoints` folders.
    return {name: path for name, path in pictures.items() if "/." not in f"/{name}"}
