"""Label tokens: the decoder's queries, one per label."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

TOGETHER = 512
"""Up to this many labels, all pictures of a batch go through the decoder together."""
TOKENS = 4_096
"""Label tokens that go through it at a time where there are more labels."""


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


def pictures_at_once(labels: int) -> int | None:
    """How many pictures go through the decoder together; None for all of a batch.

    An exported file takes all: its runtime plans its memory by itself.
    """
    if labels <= TOGETHER or torch.compiler.is_exporting():
        return None
    return max(1, TOKENS // labels)


def labels_at_once(labels: int) -> list[slice] | None:
    """The labels in parts, as a single picture's go through the decoder; None for all at once."""
    if labels <= TOKENS or torch.compiler.is_exporting():
        return None
    return [slice(first, first + TOKENS) for first in range(0, labels, TOKENS)]


Found = TypeVar("Found")


def recomputed(function: Callable[..., Found], *inputs: object) -> Found:
    """What a function gives, of which nothing is kept for the gradients but its inputs."""
    if not torch.is_grad_enabled():
        return function(*inputs)
    found: Found = checkpoint(function, *inputs, use_reentrant=False)
    return found
