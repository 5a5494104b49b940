"""`lcnet pack`: write a data set as tar shards."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from lcnet.bounds import Above, AtLeast, bounded
from lcnet.config import Data
from lcnet.files import AnyPath

if TYPE_CHECKING:
    from lcnet.data.packing import Packed


@bounded
def pack(
    data: Data | AnyPath,
    out: Path | str,
    *,
    shard_megabytes: Annotated[float, Above(0)] = 500.0,
    seed: Annotated[int, AtLeast(0)] = 0,
    quiet: bool = False,
) -> "list[Packed]":
    """Write a data set as tar shards, to train on as a stream.

    Pictures keep their bytes. Training pictures are shuffled, so that every shard has pictures of
    all kinds. After an error no shards are left.

    Args:
        data: Data set to pack, or its folder or label file.
        out: Folder for the shards.
        shard_megabytes: Largest size of a shard; a larger picture gets its own.
        seed: Seed of the order of the training pictures.
        quiet: Print nothing.

    Returns:
        Each split with its number of pictures and shards, and its size.

    Raises:
        ConfigError: if `out` exists and is not an empty folder.
        DataError: if a split cannot be read.
    """
    from lcnet.data.packing import pack_splits
    from lcnet.data.recognising import data_at

    return pack_splits(
        data_at(data, quiet=quiet),
        Path(out),
        shard_megabytes=shard_megabytes,
        seed=seed,
        quiet=quiet,
    )
