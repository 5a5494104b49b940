"""`lcnet split`: split a table so that each label has the same share in every part."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

from lcnet.bounds import Within, bounded

if TYPE_CHECKING:
    from lcnet.data.splitting import Part

USUAL_SHARES: Mapping[str, float] = MappingProxyType({"train": 0.8, "val": 0.1, "test": 0.1})


@bounded
def split(
    table: Path | str,
    *,
    shares: Mapping[str, float] = USUAL_SHARES,
    out: Path | None = None,
    separator: str = "|",
    seed: Annotated[int, Within(0, 2**32 - 1)] = 0,
    overwrite: bool = False,
    quiet: bool = False,
) -> "list[Part]":
    """Split a table so that each label has the same share in every part.

    Each file has the table's header and some of its rows, unchanged and in their order. Either all
    files are written or none.

    Args:
        table: CSV file with a row per picture.
        shares: Share of the rows for each file to write: '{train: 0.8, val: 0.2}'. They must sum
            to 1.
        out: Folder for the files; the table's own if not given. In another folder, relative paths
            of pictures no longer lead to them.
        separator: What separates the label names in one column.
        seed: Seed of the split.
        overwrite: Replace existing files.
        quiet: Print nothing.

    Returns:
        The parts, with how far each label's share is from the whole table's.

    Raises:
        ConfigError: for shares that cannot work, and for files that exist already.
        DataError: for a table that cannot be read.
    """
    from lcnet.data.splitting import split_table

    return split_table(
        Path(table),
        out,
        shares,
        separator=separator,
        seed=seed,
        overwrite=overwrite,
        quiet=quiet,
    )
