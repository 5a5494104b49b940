"""`lcnet split`: split a data set so that each label has the same share in every part."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

from lcnet.bounds import Within, bounded
from lcnet.config import Data
from lcnet.files import AnyPath

if TYPE_CHECKING:
    from lcnet.data.splitting import Part

USUAL_SHARES: Mapping[str, float] = MappingProxyType({"train": 0.8, "val": 0.1, "test": 0.1})


@bounded
def split(
    data: Data | AnyPath,
    *,
    shares: Mapping[str, float] = USUAL_SHARES,
    out: Path | None = None,
    seed: Annotated[int, Within(0, 2**32 - 1)] = 0,
    overwrite: bool = False,
    quiet: bool = False,
) -> "list[Part]":
    """Split a data set so that each label has the same share in every part.

    A table becomes several tables: each file has the table's header and some of its rows, unchanged
    and in their order. Of another data set, one file says which part each picture is in
    (`--data.splits` reads it). Either all files are written or none. Pictures of one group
    (`--data.table.group`) stay together.

    Args:
        data: Table, or other data set, to split.
        shares: Share of the pictures for each part: '{train: 0.8, val: 0.2}'. They must sum to 1.
        out: Folder for the files; the table's own if not given. In another folder, relative paths
            of pictures may no longer lead to them.
        seed: Seed of the split.
        overwrite: Replace existing files.
        quiet: Print nothing.

    Returns:
        The parts, with how far each label's share is from the whole data set's.

    Raises:
        ConfigError: for shares that cannot work, and for files that exist already.
        DataError: for a data set that cannot be read.
    """
    from lcnet.data.splitting import split_data

    return split_data(data, out, shares, seed=seed, overwrite=overwrite, quiet=quiet)
