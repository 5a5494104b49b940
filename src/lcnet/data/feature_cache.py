"""A frozen backbone's feature maps, computed once for each picture and kept on disk.

A file holds the maps of some pictures and says of which. So splits that share pictures, such as the
folds of a run, share their maps, and a run that was stopped does not compute again what it has.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import Dataset

from lcnet.data.dataset import Draw, Sample, Split
from lcnet.errors import DataError
from lcnet.files import written_whole

HALF_MAX = torch.finfo(torch.float16).max
PART = 2048
"""Pictures after which the maps so far are written to a file."""


@dataclass(frozen=True)
class Part:
    """A file of feature maps, N V C h w, and the digests of its pictures."""

    maps: Tensor
    pictures: list[bytes]


class KeptMaps:
    """The feature maps of a split's pictures, V C h w each, wherever they are kept."""

    def __init__(self, parts: Sequence[Part], pictures: Sequence[bytes]) -> None:
        """Take the files and the digests of the pictures, each of which is in a file."""
        place = {
            picture: (part.maps, row) for part in parts for row, picture in enumerate(part.pictures)
        }
        self._places = [place[picture] for picture in pictures]

    @property
    def nbytes(self) -> int:
        """Memory in bytes, once all are read."""
        return len(self) * self[0].nbytes if len(self) else 0

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Tensor:
        maps, row = self._places[index]
        return maps[row]


class CachedMaps(Dataset[tuple[Tensor, Tensor]]):
    """Feature maps of a split with their targets, in half precision.

    Each version holds the whole split: the first as it is, a second one mirrored if flips are
    wanted. Indexed by a `Draw`, it takes the version that the draw's seed picks; by a whole number,
    the first.
    """

    def __init__(self, versions: Sequence[Tensor | KeptMaps], targets: Tensor) -> None:
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
    network: str,
    split: Split,
    images: Callable[[Split], Iterable[Tensor]],
    maps_of: Callable[[Tensor], Tensor],
) -> CachedMaps:
    """The maps that `maps_of` computes from a split's images (B 3 H W to B V C h w).

    They are read from `folder` as far as it has them for this `network` (a `network_key`). Those of
    other pictures are computed from their `images` and written there, as float16; values beyond its
    range are clipped. Raises DataError if a file in the folder is damaged.
    """
    pictures = [_picture_key(sample) for sample in split.samples]
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{network}.lock"):  # of two runs that want the same maps, one waits
        parts = _parts(folder, network)
        kept = {picture for part in parts for picture in part.pictures}
        missing = {picture: row for row, picture in enumerate(pictures) if picture not in kept}
        if missing:
            rest = split.chosen(np.array(list(missing.values())))
            with torch.inference_mode():
                computed = (_halves(maps_of(batch)) for batch in images(rest))
                _write_parts(folder, network, list(missing), computed)
            parts = _parts(folder, network)
    return CachedMaps([KeptMaps(parts, pictures)], torch.from_numpy(split.targets))


def network_key(weights: Mapping[str, Tensor], *settings: object) -> str:
    """A name for a network and its settings, the same only if they are: 32 hexadecimal digits."""
    digest = hashlib.sha256(repr(settings).encode())
    for name, weight in sorted(weights.items()):
        digest.update(name.encode())
        digest.update(weight.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]


def split_key(split: Split, *settings: object) -> str:
    """A name for a split's pictures and settings, the same only if they are, in this order.

    Pictures are identified by path, size and time of change. 32 hexadecimal digits.
    """
    digest = hashlib.sha256(repr(settings).encode())
    for sample in split.samples:
        digest.update(_state(sample))
    return digest.hexdigest()[:32]


def _picture_key(sample: Sample) -> bytes:
    return hashlib.sha256(_state(sample)).digest()[:16]


def _state(sample: Sample) -> bytes:
    """Path, size and time of change of the files of a picture."""
    state = sample.file.stat()
    lines = [f"{sample.path.resolve()} {state.st_size} {state.st_mtime_ns}\n"]
    for file in sample.channel_files:
        state = file.stat()
        lines.append(f"{file.resolve()} {state.st_size} {state.st_mtime_ns}\n")
    return "".join(lines).encode()


def _halves(maps: Tensor) -> Tensor:
    return maps.float().clamp(-HALF_MAX, HALF_MAX).to("cpu", torch.float16)


def _parts(folder: Path, network: str) -> list[Part]:
    return [_read_part(file) for file in sorted(folder.glob(f"{network}-*.safetensors"))]


def _read_part(file: Path) -> Part:
    try:
        kept = load_file(file)  # maps stay on disk until they are used
        return Part(kept["maps"], [bytes(row) for row in kept["pictures"].numpy()])
    except (SafetensorError, KeyError) as error:
        raise DataError(
            f"{file}: expected kept features, got a damaged file ({error}). Delete it, and they "
            "are computed again."
        ) from None


def _write_parts(
    folder: Path, network: str, pictures: Sequence[bytes], batches: Iterable[Tensor]
) -> None:
    """Write the maps of these pictures, a file for every `PART` of them."""
    written, waiting, count = 0, list[Tensor](), 0
    for batch in batches:
        waiting.append(batch)
        count += len(batch)
        if count >= PART or written + count == len(pictures):
            of_part = pictures[written : written + count]
            name = hashlib.sha256(b"".join(of_part)).hexdigest()[:16]
            rows = torch.frombuffer(bytearray(b"".join(of_part)), dtype=torch.uint8)
            tensors = {"maps": torch.cat(waiting), "pictures": rows.view(count, -1)}
            with written_whole(folder / f"{network}-{name}.safetensors") as unfinished:
                save_file(tensors, unfinished)
            written, waiting, count = written + count, [], 0
