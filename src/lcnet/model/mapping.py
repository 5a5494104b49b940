"""Mapping: from each label's token to its score.

`Looking` is the other form, with the same methods.
"""

import torch
from torch import Tensor, nn

Some = list[int] | slice
"""Places of some of the labels."""


class Mapping(nn.Module):
    """One vector and one bias per label (ML-Decoder's group fully connected layer).

    The release has a single bias for all labels: `shared_bias`.
    """

    is_linear = False
    """Whether the logits are linear in the feature maps, but for where a label looks."""

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

    def asking(self, labels: Tensor, graph: Tensor | None) -> Tensor:
        """The label tokens (L D) that enter the decoder: as they are.

        The graph's tokens reach them in the decoder, with the image's.
        """
        return labels

    def looked(self, labels: Tensor, image: Tensor) -> Tensor | None:
        """Where the mapping itself looked: None, since the decoder's layers did."""
        return None

    def with_own(self, graph: Tensor, cut: Tensor, node: int) -> Tensor:
        """The tokens of a graph without a node (G - 1, D), for what the node does: as they are."""
        return cut
