"""The moving average of the weights; validation and model/ use it."""

from copy import deepcopy
from itertools import chain, compress
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

Module = TypeVar("Module", bound=nn.Module)


class Average(Generic[Module]):
    """An exponential moving average of a module's weights and buffers.

    With `warmup` it starts as a copy of the weights after the first step, and the decay after n
    steps is min(decay, (1 + n) / (10 + n)). Without, it starts from the weights of `module`, with
    the full decay. Skipped steps do not count.
    """

    def __init__(self, module: Module, decay: float, *, warmup: bool) -> None:
        self.module: Module = deepcopy(module).requires_grad_(False)
        """The same module with averaged weights."""
        self.decay = decay
        self.warmup = warmup
        self.steps = 0

    def update(self, module: nn.Module) -> None:
        """Take in the weights of `module` after a step of the optimizer."""
        average = get_ema_multi_avg_fn(self._decay_now())
        for kind, (ours, theirs) in _by_kind(self.module, module).items():
            if not kind[1].is_floating_point:
                # What stays the same, such as places of labels, must not be rounded.
                changed = [not torch.equal(*pair) for pair in zip(ours, theirs, strict=True)]
                ours, theirs = list(compress(ours, changed)), list(compress(theirs, changed))
            if ours:
                average(ours, theirs, torch.tensor(self.steps))
        self.steps += 1

    def _decay_now(self) -> float:
        # A growing decay forgets the random start soon, which matters in a short run.
        if not self.warmup:
            return self.decay
        return min(self.decay, (1 + self.steps) / (10 + self.steps)) if self.steps else 0.0


def _by_kind(
    kept: nn.Module, current: nn.Module
) -> dict[tuple[type, torch.dtype], tuple[list[Tensor], list[Tensor]]]:
    """Weights and buffers of both that may be averaged in one operation: of one class and type.

    Those of a frozen part are left out, since there the average is what it is an average of.
    """
    moving = {
        id(buffer)
        for part in current.modules()
        if part.training
        for buffer in part.buffers(recurse=False)
    }
    pairs = chain(
        zip(kept.parameters(), current.parameters(), strict=True),
        zip(kept.buffers(), current.buffers(), strict=True),
    )
    kinds: dict[tuple[type, torch.dtype], tuple[list[Tensor], list[Tensor]]] = {}
    for ours, theirs in pairs:
        if theirs.requires_grad or id(theirs) in moving:
            together = kinds.setdefault((type(ours.data), ours.dtype), ([], []))
            together[0].append(ours.detach())
            together[1].append(theirs.detach())
    return kinds
