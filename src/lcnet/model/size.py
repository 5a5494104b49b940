"""How large a model may get while it is built, so that a wrong number cannot take all memory.

Weights are counted while they are registered. Building on torch's meta device first would take no
memory either, but it would still take minutes for a description of 65,000 layers, and every model
would be built twice.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

import psutil
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)

SMALL = 100_000_000
"""Bytes that any machine has."""


class TooLarge(ValueError):
    """A model that is larger than it may be."""


@contextmanager
def at_most(size: int, tensors: int, what: str) -> Iterator[None]:
    """Stop building a model at the first weight beyond `size` bytes or `tensors` weights.

    A weight is registered before it is filled, and the system gives memory only to what is filled.
    So the weight that goes beyond the bound takes none. Raises TooLarge; `what` names the bound in
    its message.
    """
    bytes_left, tensors_left = size, tensors

    def count(module: nn.Module, name: str, tensor: Tensor | None) -> None:
        nonlocal bytes_left, tensors_left
        if tensor is not None:
            bytes_left -= tensor.nbytes
            tensors_left -= 1
        if bytes_left < 0 or tensors_left < 0:
            raise TooLarge(f"the described model is larger than {what}")

    hooks = (
        register_module_parameter_registration_hook(count),
        register_module_buffer_registration_hook(count),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def as_large_as(weights: Mapping[str, Tensor], labels: int) -> AbstractContextManager[None]:
    """Stop building a model that is larger than the weights to be loaded into it.

    Twice their size is allowed, since models hold more than weights, such as tables of positions.
    Raises TooLarge, even before building if no weight has a number for each label.
    """
    size = sum(tensor.nbytes for tensor in weights.values())
    if labels > max((max(tensor.shape, default=0) for tensor in weights.values()), default=0):
        raise TooLarge(f"{labels:,} labels are more than the weights can hold")
    return at_most(2 * size + SMALL, 2 * len(weights) + 1_000, "its weights")


@contextmanager
def within_memory() -> Iterator[None]:
    """Stop building a model at the first weight for which there is no free memory."""
    free = psutil.virtual_memory().available
    with at_most(free, 1_000_000, f"the {free / 1e9:.1f} GB of memory that are free"):
        yield
