"""Pictures shrunk to the size that a model needs, kept on disk and read in place of the files."""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor

from lcnet.data.dataset import Split
from lcnet.data.decoding import upright_size
from lcnet.errors import ConfigError, DataError
from lcnet.files import written_whole
from lcnet.progress import disk_size


class CachedImages:
    """The shrunk pictures of a split, memory-mapped from one file.

    The file holds the pixels of every picture (H W C, uint8) one after another, and then the
    heights and widths (N 2, int32).
    """

    def __init__(self, file: Path, pictures: int, channels: int = 3) -> None:
        """Open a file with this number of pictures; raises DataError if it is not whole."""
        sizes, ends = _read_sizes(file, pictures, channels)
        self.file = file
        self.channels = channels
        self.sizes = sizes
        self.starts = np.concatenate([[0], ends[:-1]])

    def __len__(self) -> int:
        """The number of pictures."""
        return len(self.sizes)

    def __getitem__(self, index: int) -> Tensor:
        """The pixels of a picture, C H W in uint8; raises DataError if the file is gone."""
        shape, start = (*self.sizes[index].tolist(), self.channels), int(self.starts[index])
        try:
            # Mapped for each picture: an open map would be copied whole to each loader process.
            pixels = np.memmap(self.file, np.uint8, "r", offset=start, shape=shape)
        except (OSError, ValueError) as error:
            raise DataError(
                f"{self.file}: the cached pictures cannot be read ({error}). Start again; the "
                "file is then written again."
            ) from None
        return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)


def cached_images(
    folder: Path,
    key: str,
    pictures: int,
    shrunk: Callable[[], Iterable[Tensor]],
    *,
    channels: int = 3,
) -> CachedImages:
    """The pictures that `shrunk` yields (C H W, uint8 each), `pictures` of them.

    They are read from `folder` if it has them under `key`; otherwise they are made and written
    there, one at a time in memory. Raises DataError if the file there is not whole.
    """
    file = folder / f"{key}.images"
    with FileLock(folder / f"{key}.lock"):  # of two runs that want the same pictures, one waits
        if not file.is_file():
            _write(file, shrunk())
    return CachedImages(file, pictures, channels)


def has_images(folder: Path, key: str) -> bool:
    """Whether the folder has pictures under `key`."""
    return (folder / f"{key}.images").is_file()


def bytes_needed(split: Split, size: int, *, square: bool, channels: int = 3) -> int:
    """Bytes on disk for a split: as squares of side `size`, or with shorter sides of `size`.

    The latter reads each picture's header; a picture without a readable one counts as 0.
    """
    if square:
        return len(split) * (channels * size**2 + 8)
    return sum(_shrunk_bytes(sample.path, size, channels) for sample in split.samples)


def _shrunk_bytes(path: Path, size: int, channels: int) -> int:
    try:
        short, long = sorted(upright_size(path))
    except Exception:  # reported when its pixels are read
        return 0
    scale = min(1.0, size / short)
    return round(channels * short * scale * (long * scale + 1)) + 8


def prepare_folder(folder: Path, needed: int) -> None:
    """Make the folder; raises ConfigError if it is a file or its disk has too little room."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(
            f"--data.cache_images {folder}: expected a folder, got a file. Choose another."
        )
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ConfigError(
            f"--data.cache_images {folder}: the pictures need {disk_size(needed)} there and "
            f"{disk_size(free)} are free. Choose a folder with more room, or leave the flag out."
        )


def _write(file: Path, pictures: Iterable[Tensor]) -> None:
    sizes = []
    with written_whole(file) as unfinished, unfinished.open("wb") as opened:
        for picture in pictures:
            pixels = picture.permute(1, 2, 0).contiguous().numpy()
            sizes.append(pixels.shape[:2])
            opened.write(pixels.data)
        opened.write(np.array(sizes, np.int32).tobytes())


def _read_sizes(
    file: Path, pictures: int, channels: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Heights and widths (N 2), and where each picture's bytes end (N)."""
    tail = 2 * 4 * pictures
    length = file.stat().st_size
    if length >= tail:
        sizes = np.fromfile(file, np.int32, offset=length - tail).reshape(-1, 2).astype(np.int64)
        ends = channels * sizes.prod(axis=1).cumsum()
        if (sizes > 0).all() and (ends[-1] if pictures else 0) == length - tail:
            return sizes, ends
    raise DataError(
        f"{file}: expected {pictures:,} whole pictures, got a file that is cut short or of another "
        "kind. Delete it; the next run writes it again."
    )
