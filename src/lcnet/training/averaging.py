"""The moving average of the weights; validation and model/ use it."""

from collections.abc import Iterable
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
        kept, current = _by_kind(self.module), _by_kind(module)
        for kind, tensors in kept.items():
            ours, theirs = tensors, current[kind]
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


def _by_kind(module: nn.Module) -> dict[tuple[type, torch.dtype], list[Tensor]]:
    """Weights and buffers that may be averaged in one operation: of one class and type."""
    kinds: dict[tuple[type, torch.dtype], list[Tensor]] = {}
    tensors: Iterable[Tensor] = chain(module.parameters(), module.buffers())
    for tensor in tensors:
        kinds.setdefault((type(tensor.data), tensor.dtype), []).append(tensor.detach())
    return kinds
