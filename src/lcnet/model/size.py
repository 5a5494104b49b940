"""How large a model may get while it is built, so that a wrong number takes no memory."""

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
    """Stop a model that is built inside at the first weight beyond `size` bytes or `tensors`.

    A weight is registered before its first number is written, and the system gives memory only to
    what is written: so nothing is taken that would be too much. Raises TooLarge, which says `what`
    the bounds are.
    """
    bytes_left, tensors_left = size, tensors

    def count(module: nn.Module, name: str, tensor: Tensor | None) -> None:
        nonlocal bytes_left, tensors_left
        if tensor is not None:
            bytes_left -= tensor.nbytes
            tensors_left -= 1
        if bytes_left < 0 or tensors_left < 0:
            raise TooLarge(f"the model that is described is larger than {what}")

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
    """Stop a model that is built inside if it outgrows the weights that it is to be given.

    Twice as much is allowed, since models hold more than weights, such as places in windows.
    Raises TooLarge then, and at once if the matrix of so many labels alone would.
    """
    size = sum(tensor.nbytes for tensor in weights.values())
    if labels**2 > max(size, SMALL):
        raise TooLarge(f"{labels:,} labels are more than its weights can be of")
    return at_most(2 * size + SMALL, 2 * len(weights) + 1_000, "its weights")


@contextmanager
def within_memory() -> Iterator[None]:
    """Stop a model that is built inside at the first weight for which there is no memory."""
    free = psutil.virtual_memory().available
    with at_most(free, 1_000_000, f"the {free / 1e9:.1f} GB of memory that are free"):
        yield
