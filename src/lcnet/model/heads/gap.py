"""Global average pooling, the plainest head: He et al. 2016, and the baseline of ASL."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lcnet.model.explanation import shares
from lcnet.model.head import Head
from lcnet.model.image_tokens import tokens_of


class GlobalPooling(Head):
    """Global average pooling and one linear layer."""

    def __init__(self, labels: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(labels, channels))
        self.bias = nn.Parameter(torch.zeros(labels))
        nn.init.xavier_uniform_(self.weight)

    def score(self, maps: Tensor) -> Tensor:
        """The logits (B L) of feature maps (B V C h w)."""
        return F.linear(tokens_of(maps).mean(dim=1), self.weight, self.bias)

    def looked(self, maps: Tensor) -> Tensor:
        """Where each label looked: B L T, rows sum to 1. The class activation map ReLU(w_k . x).

        Zhou et al. 2016.
        """
        return shares((tokens_of(maps) @ self.weight.T).mT)
