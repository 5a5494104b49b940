"""Loaders: batches in an order that depends on nothing but seed and epoch."""

import os
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from lcnet.data.dataset import Draw, ImageLabels
from lcnet.data.feature_cache import CachedMaps

Batches = DataLoader[tuple[Tensor, Tensor]]
Pictures = ImageLabels | CachedMaps


class SeededSampler(Sampler[Draw]):
    """All samples once an epoch; order and augmentation follow from seed and epoch alone."""

    def __init__(self, length: int, seed: int) -> None:
        self.length = length
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this before each."""
        self.epoch = epoch

    def __len__(self) -> int:
        """The number of samples."""
        return self.length

    def __iter__(self) -> Iterator[Draw]:
        """The draws of the chosen epoch."""
        rng = np.random.default_rng((self.seed, self.epoch))
        seeds = rng.integers(2**63, size=self.length)
        for index in rng.permutation(self.length):
            yield Draw(int(index), int(seeds[index]))


def train_loader(data: Pictures, *, batch_size: int, workers: int, seed: int) -> Batches:
    """Shuffled batches; a last, smaller one is left out, since batch norm would overrate it."""
    sampler = SeededSampler(len(data), seed)
    full = len(data) >= batch_size
    return _loader(data, batch_size, workers, sampler=sampler, drop_last=full)


def eval_loader(data: Pictures, *, batch_size: int, workers: int) -> Batches:
    """All samples in their own order."""
    return _loader(data, batch_size, workers)


def _loader(
    data: Pictures,
    batch_size: int,
    workers: int,
    *,
    sampler: SeededSampler | None = None,
    drop_last: bool = False,
) -> Batches:
    """A loader with the given processes; -1 chooses.

    That is one per core but one, at most eight; none on two cores that also do the model's work:
    they would wait for each other (measured: 17 s an epoch of digits without, 25 s with one).
    """
    cores, accelerated = os.cpu_count() or 1, torch.cuda.is_available()
    if workers < 0:
        workers = min(8, cores - 1) if accelerated or cores > 2 else 0
    return DataLoader(
        data,
        batch_size,
        sampler=sampler,
        drop_last=drop_last,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )
