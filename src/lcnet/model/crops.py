"""Crop-Forwarding: an image becomes its tiles and the whole image, all resized to one size."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Crops(nn.Module):
    """Cuts an image into level x level tiles and adds the whole image as the last view.

    Tiles do not overlap. If the level does not divide a side, tiles differ by one pixel. Every view
    is resized to `view_size` pixels square, bilinear. Level 0 gives only the whole image. The
    released code shrinks without antialiasing; here antialiasing is on by default.
    """

    def __init__(self, level: int, view_size: int, *, antialias: bool = True) -> None:
        super().__init__()
        self.level = level
        self.view_size = view_size
        self.antialias = antialias

    @property
    def views(self) -> int:
        """How many views an image becomes: the tiles and the whole image."""
        return self.level**2 + 1

    @property
    def settings(self) -> tuple[int, int, bool]:
        """All that the views depend on: level, size and antialiasing."""
        return self.level, self.view_size, self.antialias

    def forward(self, images: Tensor) -> Tensor:
        """The views of each image (B 3 H W, with H and W at least the level): B V 3 S S."""
        tiles = [
            images[:, :, top:bottom, left:right]
            for top, bottom in self._cuts(images.shape[-2])
            for left, right in self._cuts(images.shape[-1])
        ]
        return torch.stack([self._resize(view) for view in (*tiles, images)], dim=1)

    def boxes(self) -> Tensor:
        """Each view's place in the image as (left, top, right, bottom) from 0 to 1: V 4."""
        step = 1 / max(self.level, 1)
        tiles = [
            (column * step, row * step, (column + 1) * step, (row + 1) * step)
            for row in range(self.level)
            for column in range(self.level)
        ]
        return torch.tensor([*tiles, (0.0, 0.0, 1.0, 1.0)])

    def _cuts(self, length: int) -> list[tuple[int, int]]:
        edges = [round(index * length / max(self.level, 1)) for index in range(self.level + 1)]
        return list(pairwise(edges))

    def _resize(self, view: Tensor) -> Tensor:
        size = (self.view_size, self.view_size)
        if view.shape[-2:] == size:
            return view
        return F.interpolate(
            view, size, mode="bilinear", align_corners=False, antialias=self.antialias
        )
