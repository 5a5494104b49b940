"""Label tokens: the decoder's queries, one per label."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

GROUP = 512
"""Up to this many tokens of labels go through a layer together, more in groups of this size."""


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


def groups(labels: int) -> Iterator[slice]:
    """The labels in groups of at most `GROUP`."""
    return (slice(first, first + GROUP) for first in range(0, labels, GROUP))


def are_many(labels: int) -> bool:
    """Whether so many tokens go through a layer in groups.

    An exported file takes them together: its runtime plans its memory by itself.
    """
    return labels > GROUP and not torch.compiler.is_exporting()


def in_groups(function: Callable[..., Tensor], tokens: Tensor, *others: Tensor) -> Tensor:
    """What a function gives for each token (B N D) by itself, in groups if they are many.

    The function takes the tokens and the others.
    """
    if not are_many(tokens.shape[1]):
        return function(tokens, *others)
    parts = [recomputed(function, tokens[:, some], *others) for some in groups(tokens.shape[1])]
    return torch.cat(parts, dim=1)


def recomputed(function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """What a function gives, of which nothing is kept for the gradients but its inputs."""
    if not torch.is_grad_enabled():
        return function(*inputs)
    result: Tensor = checkpoint(function, *inputs, use_reentrant=False)
    return result
