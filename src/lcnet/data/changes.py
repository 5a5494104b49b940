"""Remembers the splits that a run saw, and warns when they have changed since."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lcnet.config import Data
from lcnet.data.dataset import Split
from lcnet.data.fingerprint import changed_since, fingerprint, write_fingerprints
from lcnet.progress import tell


def remember(file: Path, data: Data, *splits: Split) -> Mapping[str, Mapping[str, Any]]:
    """Write the fingerprints of splits to a file; returns their summaries by split."""
    prints = {split.name: fingerprint(split, Path(data.root)) for split in splits}
    write_fingerprints(file, {_key(data, split): prints[split.name] for split in splits})
    return {name: entry.summary() for name, entry in prints.items()}


def tell_changes(file: Path, data: Data, split: Split) -> None:
    """Warn if a split has changed since its fingerprint was written to a file.

    A split that is not in the file yet is added, if the file can be written. A split that is read
    with other settings counts as another split.
    """
    try:
        differences = changed_since(file, _key(data, split), split, Path(data.root))
    except OSError:
        return
    if differences:
        tell(
            f"warning: {split.name} has changed since this run saw it: {'; '.join(differences)}. "
            "Its numbers can differ from earlier ones."
        )


def _key(data: Data, split: Split) -> str:
    return "|".join((split.name, data.format, data.images, data.difficult, data.separator))
