"""Label tokens: what the decoder starts from, one per label."""

import torch
from torch import Tensor, nn


class LabelTokens(nn.Module):
    """One learned token per label."""

    def __init__(self, labels: int, width: int) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.empty(labels, width))

    def forward(self) -> Tensor:
        """The tokens: L D."""
        return self.tokens
