"""Feature maps for tiles that do not go through the backbone: those of the whole image there.

The whole image is the last view, and shows what a tile shows, only smaller. So a tile's maps can be
filled with the part of the whole image's maps that it covers, enlarged. The maps of all views keep
their shape, and no head has to know which of them were filled.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def filled(whole: Tensor, level: int) -> Tensor:
    """The maps of the tiles (B V-1 C h w) as the whole image's maps (B C h w) show them.

    There are level x level tiles. Enlarging is bilinear, so neighbouring tiles fit together.
    """
    size = [side * level for side in whole.shape[-2:]]
    large = F.interpolate(whole, size, mode="bilinear", align_corners=False)
    tiles = large.unflatten(3, (level, -1)).unflatten(2, (level, -1))  # B C level h level w
    return tiles.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)


def left_out(pictures: int, tiles: int, share: float, device: torch.device) -> Tensor:
    """Tiles that are left out in a training step, drawn at random: B V-1, true where left out.

    On average they are this `share` (0 to 1). Each picture draws a share of its own, so that some
    keep all of their tiles and others none: evenly from 0 to 2 share, or from 2 share - 1 to 1.
    """
    spread = min(share, 1 - share)
    own = share + spread * (2 * torch.rand(pictures, 1, device=device) - 1)
    return torch.rand(pictures, tiles, device=device) < own


def with_filled(maps: Tensor, out: Tensor, level: int) -> Tensor:
    """Maps of all views (B V C h w) in which the tiles that are `out` (B V-1) are filled."""
    whole = maps[:, -1]
    tiles = torch.where(out[:, :, None, None, None], filled(whole, level), maps[:, :-1])
    return torch.cat([tiles, whole[:, None]], dim=1)
