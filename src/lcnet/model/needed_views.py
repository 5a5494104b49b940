"""Looks where it matters: the whole image first, then only the tiles that may change a logit."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lcnet.model.crops import Crops
from lcnet.model.filled_views import filled


class NeededViews(nn.Module):
    """Says from the whole image's feature maps which tiles are worth a pass of the backbone.

    need = w . gelu(W x + c) + b, where x are the means and the largest values of each channel over
    the part of the maps that a tile covers, and the means over all of them. A tile with need above
    0 is looked at. Its maps count with the share clamp(need, 0, 1), and those of the whole image
    with the rest. So the logits are continuous in the picture: a rounding error that turns a
    decision hardly moves them, and every runtime gives the same.

    `lcnet calibrate --views needed` fits it, without labels (`evaluating/fitting_views.py`).
    """

    def __init__(self, channels: int, width: int) -> None:
        """Make one for feature maps of C channels that needs no tile."""
        super().__init__()
        self.inner = nn.Linear(3 * channels, width)
        self.outer = nn.Linear(width, 1)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, tiles: Tensor, whole: Tensor) -> Tensor:
        """The need (B V-1) of filled tiles (B V-1 C h w) and the whole image's maps (B C h w)."""
        return self.need(statistics_of(tiles, whole))

    def need(self, statistics: Tensor) -> Tensor:
        """The need (B V-1) of what `statistics_of` gives (B V-1 3C)."""
        need: Tensor = self.outer(F.gelu(self.inner(statistics)))
        return need.squeeze(-1)


def statistics_of(tiles: Tensor, whole: Tensor) -> Tensor:
    """What tells the need of tiles: B V-1 3C.

    `tiles` (B V-1 C h w) are filled from the maps of the whole image (B C h w).
    """
    everywhere = whole.mean(dim=(-1, -2))[:, None].expand(-1, tiles.shape[1], -1)
    return torch.cat([tiles.mean(dim=(-1, -2)), tiles.amax(dim=(-1, -2)), everywhere], dim=-1)


def blended(tiles: Tensor, seen: Tensor, need: Tensor) -> Tensor:
    """The maps of tiles (... C h w): seen as far as they are needed (...), else filled."""
    share = need.clamp(0, 1)[..., None, None, None].to(tiles.dtype)
    return torch.lerp(tiles, seen.to(tiles.dtype), share)


def only_needed(needed: NeededViews, maps: Tensor, level: int) -> tuple[Tensor, Tensor]:
    """Maps of all views (B V C h w) with those tiles filled that are not needed, and the need."""
    whole = maps[:, -1]
    tiles = filled(whole, level)
    need = needed(tiles, whole).float()
    changed = blended(tiles, maps[:, :-1], need)
    return torch.cat([changed, whole[:, None]], dim=1), need


@dataclass
class ViewsTaken:
    """How many views pictures have taken; it counts what runs in torch here."""

    pictures: int = 0
    views: int = 0

    def note(self, need: Tensor) -> None:
        """Add pictures whose tiles are needed so much (B V-1)."""
        if not torch.compiler.is_exporting():
            self.pictures += len(need)
            self.views += len(need) + int((need > 0).sum())

    @property
    def mean(self) -> float:
        """Views a picture; 0 before the first."""
        return self.views / max(self.pictures, 1)


def needed_maps(
    needed: NeededViews, backbone: Callable[[Tensor], Tensor], crops: Crops, images: Tensor
) -> tuple[Tensor, Tensor]:
    """The feature maps of all views (B V C h w) of images (B 3 H W), and the need of tiles (B V-1).

    The whole images go through the backbone in one pass, all needed tiles of the batch in another.
    """
    views = crops(images)  # B V 3 S S
    whole = backbone(views[:, -1])  # B C h w
    tiles = filled(whole, crops.level)  # B V-1 C h w
    need = needed(tiles, whole).float()
    every = tiles.flatten(0, 1)
    chosen = torch.nonzero(_looked_at(need).flatten()).squeeze(1)  # K
    if torch.compiler.is_exporting():
        torch._check(chosen.shape[0] >= 1)
    if chosen.shape[0]:
        seen = backbone(views[:, :-1].flatten(0, 1).index_select(0, chosen))  # K C h w
        changed = blended(every.index_select(0, chosen), seen, need.flatten()[chosen])
        every = every.index_copy(0, chosen, changed)
    return torch.cat([every.view_as(tiles), whole[:, None]], dim=1), need


def _looked_at(need: Tensor) -> Tensor:
    """Which tiles (B V-1) go through the backbone."""
    if torch.compiler.is_exporting():
        # Not every runtime takes a batch of no tiles. The one that is needed most changes nothing
        # where its need is not above 0, as `blended` says.
        return need >= torch.minimum(need.flatten().amax(dim=0), need.new_full((), TINY))
    return need > 0


TINY = torch.finfo(torch.float32).tiny
"""The least need above 0."""
