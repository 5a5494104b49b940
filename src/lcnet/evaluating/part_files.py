"""Where results are kept: of the test split in metrics.json and report.html, others beside them."""

import re
import shutil
from pathlib import Path

from lcnet.config import Data

IMPORTANCE = {"test": 2, "val": 1}
"""Which part's result has the plain name, where several are measured; any other part counts 0."""


def role_of(data: Data, split: str) -> str | None:
    """What a split is used for: train, val or test; None if the data set does not name it."""
    # A split can be named twice: training on the measured pictures matters most, so it wins.
    roles = {"train": data.train, "val": data.val, "test": data.test}
    return next((role for role, name in roles.items() if name == split), None)


def part_of(data: Data, split: str) -> str:
    """A split as it stands in names of files: its role, or its own name without odd characters."""
    return role_of(data, split) or as_part(split)


def as_part(split: str) -> str:
    """The name of a split without the characters that names of files cannot have everywhere."""
    return re.sub(r"[^\w.-]+", "_", split).strip("._") or "other"


def part_of_other(data: Data, split: str) -> str:
    """A split of another data set than the run's own, as it stands in names of files."""
    return as_part(f"{Path(data.root).resolve().name}-{split}")


def beside(file: Path, part: str) -> Path:
    """The file of a part beside the one with the plain name: metrics-val.json of metrics.json."""
    return file.with_name(f"{file.stem}-{part}{file.suffix}")


def place(file: Path, part: str, before: str) -> Path:
    """Where a part's result is to be written: `file`, or beside it if that of another part stays.

    `before` is the part that `file` is of; empty if it may be replaced. A less important part makes
    room: its result is copied beside `file`, which is whole at every moment.
    """
    if before in ("", part):
        return file
    if IMPORTANCE.get(part, 0) < IMPORTANCE.get(before, 0):
        return beside(file, part)
    shutil.copy2(file, beside(file, before))
    return file
