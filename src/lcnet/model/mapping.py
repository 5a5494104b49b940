"""Mapping: from each label's token to its score."""

import torch
from torch import Tensor, nn


class Mapping(nn.Module):
    """One vector and one bias per label (ML-Decoder's group fully connected layer).

    The release has a single bias for all labels: `shared_bias`.
    """

    def __init__(self, labels: int, width: int, *, shared_bias: bool = False) -> None:
        super().__init__()
        self.shared_bias = shared_bias
        self.weight = nn.Parameter(torch.empty(labels, width))
        self.bias = nn.Parameter(torch.empty(1 if shared_bias else labels))

    def forward(self, labels: Tensor, image: Tensor, maps: Tensor) -> Tensor:
        """The logit of each label token (B L D): B L. Image tokens and maps are not looked at."""
        return (labels * self.weight).sum(dim=-1) + self.bias
