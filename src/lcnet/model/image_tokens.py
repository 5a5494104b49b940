"""Image tokens, with a code of their place in the image."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ImageTokens(nn.Module):
    """Turns the feature maps of all views into one row of tokens, with their positions if wanted.

    A position is the centre of a token's cell and the size of its view, as fractions of the whole
    image, in sines and cosines (Vaswani et al. 2017, section 3.5, in two dimensions). So neighbours
    across the border of two tiles have similar codes, and tiles differ from the whole image.
    """

    boxes: Tensor

    def __init__(self, boxes: Tensor, channels: int, width: int, *, encode: bool = True) -> None:
        """Take each view's place in the image (V 4, from 0 to 1: left, top, right, bottom)."""
        super().__init__()
        self.project = nn.Linear(channels, width)
        self.width = width
        self.encode = encode
        self.register_buffer("boxes", boxes, persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        """One row of tokens (B V*h*w D) from the views' feature maps (B V C h w)."""
        tokens = self.project(tokens_of(maps))
        if not self.encode:
            return tokens
        return tokens + self.positions(*maps.shape[-2:]).to(tokens.dtype)

    def positions(self, height: int, width: int) -> Tensor:
        """The encoding of every token for maps of height x width: V*height*width D, in [-1, 1]."""
        left, top, right, bottom = self.boxes.unbind(-1)  # V each
        across = (torch.arange(width, device=self.boxes.device) + 0.5) / width
        down = (torch.arange(height, device=self.boxes.device) + 0.5) / height
        x = left[:, None] + (right - left)[:, None] * across  # V w
        y = top[:, None] + (bottom - top)[:, None] * down  # V h
        size = (right - left)[:, None, None].expand(-1, height, width)
        place = torch.stack(
            [x[:, None].expand_as(size), y[:, :, None].expand_as(size), size], dim=-1
        )
        return _sines(place.flatten(0, 2), self.width)


def tokens_of(maps: Tensor) -> Tensor:
    """The feature maps of all views (B V C h w) as one row of tokens: B T C."""
    return maps.flatten(3).transpose(2, 3).flatten(1, 2)


def _sines(place: Tensor, width: int) -> Tensor:
    """Sines and cosines of places (N 3), of wavelength 2 down to 1/32 of the image: N width."""
    waves = width // 6
    rates = math.pi * 64 ** (torch.arange(waves, device=place.device) / max(waves - 1, 1))
    angles = place[:, :, None] * rates  # N 3 waves
    codes = torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(1)
    return F.pad(codes, (0, width - codes.shape[1]))
