"""A short way from features to scores, beside the decoder."""

import torch
from torch import Tensor, nn


class Pooling(nn.Module):
    """The mean of the tiles' features and that of the whole image's, a linear layer for each.

    It starts at zero, so that the decoder alone decides at first. CSRA adds attention to global
    pooling in the same manner (Zhu and Wu 2021, equation 5).
    """

    def __init__(self, labels: int, channels: int, *, tiles: bool) -> None:
        super().__init__()
        self.whole = nn.Parameter(torch.zeros(labels, channels))
        self.tiles = nn.Parameter(torch.zeros(labels, channels)) if tiles else None

    def forward(self, maps: Tensor) -> Tensor:
        """What the views' feature maps (B V C h w, the whole image last) add to the logits: B L."""
        means = maps.mean(dim=(3, 4))  # B V C
        logits = means[:, -1] @ self.whole.T
        if self.tiles is not None:
            logits = logits + means[:, :-1].mean(dim=1) @ self.tiles.T
        return logits
