"""A frozen backbone's feature maps, computed once and kept on disk, in place of pictures."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch
from filelock import FileLock
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import Dataset

from lcnet.data.dataset import Draw, Split
from lcnet.files import written_whole

HALF_MAX = torch.finfo(torch.float16).max


class CachedMaps(Dataset[tuple[Tensor, Tensor]]):
    """Feature maps of a split with their targets, in half precision.

    Each version holds the whole split: the first as it is, a second one mirrored if flips are
    wanted. Indexed by a `Draw`, it takes the version that the draw's seed picks; by a whole number,
    the first.
    """

    def __init__(self, versions: Sequence[Tensor], targets: Tensor) -> None:
        """Take the versions (N V C h w each) and the targets (N L)."""
        self.versions = versions
        self.targets = targets

    @property
    def size(self) -> int:
        """Memory in bytes."""
        return sum(version.nbytes for version in self.versions)

    def __len__(self) -> int:
        """The number of pictures."""
        return len(self.targets)

    def __getitem__(self, draw: Draw | int) -> tuple[Tensor, Tensor]:
        """The maps (V C h w) of a picture and its targets (L)."""
        if isinstance(draw, Draw):
            version = self.versions[draw.seed % len(self.versions)]
            return version[draw.index], self.targets[draw.index]
        return self.versions[0][draw], self.targets[draw]


def cached_maps(
    folder: Path,
    key: str,
    split: Split,
    images: Callable[[], Iterable[Tensor]],
    maps_of: Callable[[Tensor], Tensor],
) -> CachedMaps:
    """The maps that `maps_of` computes from a split's images (B 3 H W to B V C h w).

    They are read from `folder` if it has them under `key`; otherwise they are computed and written
    there. They are kept as float16; values beyond its range are clipped.
    """
    file = folder / f"{key}.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{key}.lock"):  # of two runs that want the same maps, one waits
        if not file.is_file():
            _write_maps(file, images(), maps_of)
    return CachedMaps([load_file(file)["maps"]], torch.from_numpy(split.targets))


def _write_maps(file: Path, images: Iterable[Tensor], maps_of: Callable[[Tensor], Tensor]) -> None:
    parts = []
    with torch.inference_mode():
        for batch in images:
            maps = maps_of(batch).float().clamp(-HALF_MAX, HALF_MAX)
            parts.append(maps.to("cpu", torch.float16))
    with written_whole(file) as unfinished:
        save_file({"maps": torch.cat(parts)}, unfinished)


def cache_key(split: Split, weights: Mapping[str, Tensor], *settings: object) -> str:
    """A file name for a split's maps: the same only for equal pictures, weights and settings.

    Pictures are identified by path, size and time of change. 32 hexadecimal digits.
    """
    digest = hashlib.sha256(repr(settings).encode())
    for sample in split.samples:
        state = sample.file.stat()
        digest.update(f"{sample.path.resolve()} {state.st_size} {state.st_mtime_ns}\n".encode())
        for file in sample.channel_files:
            state = file.stat()
            digest.update(f"{file.resolve()} {state.st_size} {state.st_mtime_ns}\n".encode())
    for name, weight in sorted(weights.items()):
        digest.update(name.encode())
        digest.update(weight.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]
