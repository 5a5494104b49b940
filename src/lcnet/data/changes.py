"""A run remembers the splits that it saw, and says what of them has changed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lcnet.config import Data
from lcnet.data.dataset import Split
from lcnet.data.fingerprint import changed_since, fingerprint, write_fingerprints
from lcnet.progress import tell


def remember(run: Path, data: Data, *splits: Split) -> Mapping[str, Mapping[str, Any]]:
    """Keep the fingerprints of splits in a run folder, and give their summaries by split."""
    prints = {split.name: fingerprint(split, Path(data.root)) for split in splits}
    write_fingerprints(run, {_key(data, split): prints[split.name] for split in splits})
    return {name: one.summary() for name, one in prints.items()}


def tell_changes(run: Path, data: Data, split: Split) -> None:
    """Warn of what is unlike in a split since the run saw it; at first sight it is remembered.

    A split that is read by other settings is another split. A folder that cannot be written to
    remembers nothing.
    """
    try:
        found = changed_since(run, _key(data, split), split, Path(data.root))
    except OSError:
        return
    if found:
        tell(
            f"warning: {split.name} is not what this run saw: {'; '.join(found)}. Numbers can "
            "differ from those before."
        )


def _key(data: Data, split: Split) -> str:
    return "|".join((split.name, data.format, data.images, data.difficult, data.separator))
