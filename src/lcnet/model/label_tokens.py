"""Label tokens: the decoder's queries, one per label."""

import torch
from torch import Tensor, nn


class LabelTokens(nn.Module):
    """One token per label, learned, or frozen at its initial value (as released)."""

    tokens: Tensor

    def __init__(self, labels: int, width: int, *, learn: bool = True) -> None:
        super().__init__()
        if learn:
            self.tokens = nn.Parameter(torch.empty(labels, width))
        else:
            self.register_buffer("tokens", torch.empty(labels, width))

    def forward(self) -> Tensor:
        """The tokens: L D."""
        return self.tokens
