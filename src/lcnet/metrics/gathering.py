"""Gathers a split's predictions, batch by batch and process by process, for `metrics.verify`."""

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from lcnet.metrics.calibration import probabilities


class _Rows(NamedTuple):
    """A row per image. `places` has none if the images came without them."""

    probabilities: NDArray[np.float32]
    targets: NDArray[np.int8]
    places: NDArray[np.int64]


class VerificationState:
    """All probabilities and targets seen since the last reset; `compute` returns them as arrays.

    They are kept on the CPU, so that a large split does not fill the accelerator. If places are
    given, each image counts once, however often a distributed sampler repeats it to fill the last
    batch.
    """

    def __init__(self) -> None:
        self._batches: list[_Rows] = []

    def update(self, logits: Tensor, targets: Tensor, places: Tensor | None = None) -> None:
        """Add a batch: logits (B L, any float type) and targets (B L, of 1, 0 and -1).

        `places` (B, integers) are the images' positions in the split. Give them with every batch
        or with none.
        """
        if logits.shape != targets.shape:
            raise ValueError(
                "VerificationState: expected logits and targets of one shape, "
                f"got {tuple(logits.shape)} and {tuple(targets.shape)}."
            )
        if places is None:
            places = torch.empty(0, dtype=torch.int64)
        self._batches.append(
            _Rows(
                probabilities(logits.detach()).cpu().numpy(),
                targets.detach().to(torch.int8).cpu().numpy(),
                places.cpu().numpy(),
            )
        )

    def compute(self) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
        """The probabilities (N L, float32) and targets (N L, int8) of all batches and processes.

        With places, each image is there once, in the order of the split. All processes must call
        this. Raises ValueError if none of them has a batch.
        """
        own = [_as_one(self._batches)] if self._batches else []
        batches = list(chain.from_iterable(_from_all_processes(own)))
        if not batches:
            raise ValueError("VerificationState: expected at least one batch, got none.")
        rows = _as_one(batches)
        if not rows.places.size:
            return rows.probabilities, rows.targets
        _, first = np.unique(rows.places, return_index=True)
        return rows.probabilities[first], rows.targets[first]

    def reset(self) -> None:
        """Forget all batches."""
        self._batches = []


def _as_one(batches: Sequence[_Rows]) -> _Rows:
    return _Rows(*(np.concatenate(column) for column in zip(*batches, strict=True)))


def _from_all_processes(own: list[_Rows]) -> list[list[_Rows]]:
    """What each process has, by rank."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return [own]
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, own)
    return parts
