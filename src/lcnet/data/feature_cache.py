"""A frozen backbone's feature maps, computed once and kept, in place of pictures."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset

from lcnet.data.dataset import Draw

HALF_MAX = torch.finfo(torch.float16).max


class CachedMaps(Dataset[tuple[Tensor, Tensor]]):
    """Feature maps of a split with their targets, held in memory in half precision.

    Each version is the whole split, once as it is and perhaps once mirrored; a `Draw` picks one by
    its seed, an index alone takes the first.
    """

    def __init__(self, versions: Sequence[Tensor], targets: Tensor) -> None:
        """Take versions of N V C h w maps, and targets N L."""
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


@torch.inference_mode()
def cache_maps(
    batches: Iterable[tuple[Tensor, Tensor]],
    maps_of: Callable[[Tensor], Tensor],
    *,
    mirrored: bool = False,
) -> CachedMaps:
    """The maps that `maps_of` gives of images (B 3 H W to B V C h w), and of their mirror images.

    They are kept as float16, and values beyond its range at its ends.
    """
    versions: list[list[Tensor]] = [[], []] if mirrored else [[]]
    targets = []
    for images, batch_targets in batches:
        for version, shown in zip(versions, (images, images.flip(-1)), strict=False):
            maps = maps_of(shown).float().clamp(-HALF_MAX, HALF_MAX)
            version.append(maps.to("cpu", torch.float16))
        targets.append(batch_targets)
    return CachedMaps([torch.cat(version) for version in versions], torch.cat(targets))
