"""Reads folders: one per split, with a folder of pictures per label inside."""

from collections.abc import Sequence
from pathlib import Path

from lcnet.data.dataset import POSITIVE, Sample, Split
from lcnet.data.decoding import PICTURE_SUFFIXES
from lcnet.data.readers.checks import (
    check_known,
    check_labels,
    check_root,
    missing_split,
    targets_of,
)
from lcnet.errors import DataError


def read_folder(root: Path, split: str, labels: Sequence[str] | None = None) -> Split:
    """The pictures `root/{split}/LABEL/name`, sorted by name.

    If the same name (with its subfolders) is in the folders of several labels, it is one picture
    with all these labels, and the file of the first label is used. A picture directly in the
    split's folder has no label. Labels are present or absent, never unknown. Without `labels`, the
    labels are the sorted folder names. Hidden files and folders are skipped. Raises DataError for a
    folder that is not a label, a split without pictures, and a name both with and without a label.
    """
    check_root(root, f"a folder {split}/ with a folder of pictures per label")
    folder = root / split
    if not folder.is_dir():
        raise missing_split(folder, split, (path.name for path in _folders(root)))
    label_folders = _folders(folder)
    order = check_labels([path.name for path in label_folders] if labels is None else labels, split)
    paths = _pictures(folder, "*")
    marks: dict[str, dict[str, int]] = {name: {} for name in paths}
    for label in label_folders:
        check_known(label.name, order, f"{split}/{label.name}/")
        for name, path in _pictures(label, "**/*").items():
            if name in paths and not marks[name]:
                raise DataError(
                    f"{split}/{name}: expected a picture either without a label or in a label's "
                    f"folder, got it in {split}/{label.name}/ too. Delete one of them."
                )
            paths.setdefault(name, path)
            marks.setdefault(name, {})[label.name] = POSITIVE
    if not paths:
        raise DataError(f"{split}: no pictures in {folder}. Put them into a folder per label.")
    names = sorted(paths)
    samples = tuple(Sample(paths[name]) for name in names)
    return Split(order, samples, targets_of([marks[name] for name in names], order), split)


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir() and path.name[0] != ".")


def _pictures(folder: Path, pattern: str) -> dict[str, Path]:
    """The pictures that match `pattern`, by their name relative to `folder`."""
    pictures = {
        path.relative_to(folder).as_posix(): path
        for path in folder.glob(pattern)
        if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()
    }
    # macOS leaves `._name.jpg` files beside pictures, notebooks `.ipynb_checkpoints` folders.
    return {name: path for name, path in pictures.items() if "/." not in f"/{name}"}
