"""From label tokens to logits, by where each label looks in the feature maps."""

import torch
from torch import Tensor, nn

from lcnet.model.attention import by_head, shares_of
from lcnet.model.image_tokens import tokens_of
from lcnet.model.mapping import Some


class Looking(nn.Module):
    """A label's token says where it looks, and a classifier as wide as the feature maps what it is.

    logit_k = b_k + sum_t a_kt (w_k . x_t), where x_t are the places of the feature maps and a_k the
    mean over heads of softmax_t(q_k . LN(i_t) / sqrt(D / heads)), for the label token q_k and the
    image tokens i_t. So what a label is told by does not have to pass through D numbers.
    """

    def __init__(self, labels: int, channels: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.weight = nn.Parameter(torch.empty(labels, channels))
        self.bias = nn.Parameter(torch.empty(labels))

    def forward(
        self, labels: Tensor, image: Tensor, maps: Tensor, *, some: Some | None = None
    ) -> Tensor:
        """The logits (B L) of label tokens (B L D), image tokens (B T D) and maps (B V C h w).

        With `some`, the tokens are those of these labels (B K D), and so are the logits.
        """
        weight: Tensor = self.weight
        bias: Tensor = self.bias
        if some is not None:
            weight, bias = weight[some], bias[some]
        scores = tokens_of(maps) @ weight.T  # B T L
        return (self.weights(labels, image).mean(dim=1) * scores.mT).sum(dim=-1) + bias

    def weights(self, labels: Tensor, image: Tensor) -> Tensor:
        """Where each label looks, by head: B heads L T, rows sum to 1."""
        return shares_of(by_head(labels, self.heads), by_head(self.norm(image), self.heads))
