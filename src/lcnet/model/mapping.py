"""Mapping: from each label's token to its score."""

import torch
from torch import Tensor, nn

Some = list[int] | slice
"""Places of some of the labels."""


class Mapping(nn.Module):
    """One vector and one bias per label (ML-Decoder's group fully connected layer).

    The release has a single bias for all labels: `shared_bias`.
    """

    def __init__(self, labels: int, width: int, *, shared_bias: bool = False) -> None:
        super().__init__()
        self.shared_bias = shared_bias
        self.weight = nn.Parameter(torch.empty(labels, width))
        self.bias = nn.Parameter(torch.empty(1 if shared_bias else labels))

    def forward(
        self, labels: Tensor, image: Tensor, maps: Tensor, *, some: Some | None = None
    ) -> Tensor:
        """The logit of each label token (B L D): B L. Image tokens and maps are not looked at.

        With `some`, the tokens are those of these labels (B K D), and so are the logits.
        """
        weight: Tensor = self.weight
        bias: Tensor = self.bias
        if some is not None:
            weight, bias = weight[some], bias if self.shared_bias else bias[some]
        return (labels * weight).sum(dim=-1) + bias
