"""Loaders: batches in an order that depends on seed and epoch only."""

import os
import signal
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Sampler, default_collate
from torch.utils.data.distributed import DistributedSampler

from lcnet.data.dataset import Draw, ImageLabels, Streamed
from lcnet.data.feature_cache import CachedMaps
from lcnet.errors import ConfigError

Batches = DataLoader[tuple[Tensor, Tensor]]
Pictures = ImageLabels | CachedMaps
FEW = 64
"""Up to this many pictures, no processes are started: reading them takes less time."""


class SeededSampler(Sampler[Draw]):
    """All samples once an epoch; order and augmentation follow from seed and epoch alone.

    With `shares`, a positive number per sample, an epoch still has `length` draws, but samples are
    drawn in proportion to their shares, each its part of them rounded up or down by chance.

    Each of several processes takes every `processes`-th draw, starting at its rank. A step of all
    together thus takes the same samples as one process with a batch as large as all of theirs.
    Draws left over at the end, fewer than one per process, are dropped.
    """

    def __init__(
        self,
        length: int,
        seed: int,
        shares: NDArray[np.float64] | None = None,
        *,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.length = length
        self.seed = seed
        self.shares = shares
        self.rank = rank
        self.processes = processes
        self.epoch, self.drawn = 0, 0

    def start(self, epoch: int, drawn: int = 0) -> None:
        """Choose the epoch, and leave out this process's first `drawn` draws of it."""
        self.epoch, self.drawn = epoch, drawn

    def __len__(self) -> int:
        """The number of this process's draws in a whole epoch, the same for all processes."""
        return self.length // self.processes

    def __iter__(self) -> Iterator[Draw]:
        """This process's draws of the chosen epoch that are still to come."""
        return islice(self.own(), self.drawn, None)

    def own(self) -> Iterator[Draw]:
        """All of this process's draws of the chosen epoch; subclasses override this."""
        return islice(self.draws(), self.rank, len(self) * self.processes, self.processes)

    def draws(self) -> Iterator[Draw]:
        """The draws of all processes in the chosen epoch."""
        rng = np.random.default_rng((self.seed, self.epoch))
        seeds = rng.integers(2**63, size=self.length)
        order = rng.permutation(self.length)
        if self.shares is None:
            for index in order:
                yield Draw(int(index), int(seeds[index]))
            return
        # Systematic sampling: evenly spaced marks along the shares laid end to end in that order.
        ends = self.shares[order].cumsum()
        marks = (np.arange(self.length) + rng.random()) * (ends[-1] / self.length)
        drawn = order[np.searchsorted(ends, marks, side="right").clip(max=self.length - 1)]
        # The seed belongs to the draw, so a picture drawn twice is augmented in two ways.
        for position in rng.permutation(self.length):
            yield Draw(int(drawn[position]), int(seeds[position]))


class StreamSampler(SeededSampler):
    """A `SeededSampler` for samples in large files, each of which is read from front to back.

    The files follow each other as one stream, in an order that follows from seed and epoch. Each
    process takes one part of the stream, all parts of equal length, and shuffles `window` samples
    at a time.
    """

    def __init__(
        self,
        runs: NDArray[np.int64],
        seed: int,
        window: int,
        *,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        """Take `runs`, the number of samples in each file."""
        super().__init__(int(runs.sum()), seed, rank=rank, processes=processes)
        self.runs = runs
        self.window = window

    def own(self) -> Iterator[Draw]:
        """All of this process's draws of the chosen epoch."""
        rng = np.random.default_rng((self.seed, self.epoch))
        starts = self.runs.cumsum() - self.runs
        files = rng.permutation(len(self.runs))
        stream = np.concatenate([starts[file] + np.arange(self.runs[file]) for file in files])
        own = stream[self.rank * len(self) : (self.rank + 1) * len(self)]
        rng = np.random.default_rng((self.seed, self.epoch, self.rank))
        for start in range(0, len(own), self.window):
            window = rng.permutation(own[start : start + self.window])
            seeds = rng.integers(2**63, size=len(window))
            for index, seed in zip(window, seeds, strict=True):
                yield Draw(int(index), int(seed))


def train_loader(
    data: Pictures,
    *,
    batch_size: int,
    workers: int,
    seed: int,
    shares: NDArray[np.float64] | None = None,
    window: int = 0,
    rank: int = 0,
    processes: int = 1,
) -> Batches:
    """Shuffled batches; a last, smaller one is left out, since batch norm would overrate it.

    `shares` draws some pictures more often than others, see `SeededSampler`; `window` is for
    pictures in large files, see `StreamSampler`. Each of several processes gets the same number of
    batches. Raises ConfigError if that is less than one.
    """
    sampler = SeededSampler(len(data), seed, shares, rank=rank, processes=processes)
    if window and shares is None and isinstance(data, ImageLabels) and data.pixels is None:
        samples = data.split.samples
        if isinstance(samples, Streamed):
            sampler = StreamSampler(samples.runs, seed, window, rank=rank, processes=processes)
    full = len(sampler) >= batch_size
    check_steps(len(data), batch_size, processes)
    return _loader(data, batch_size, workers, sampler=sampler, drop_last=full)


def check_steps(images: int, batch_size: int, processes: int) -> None:
    """Raises ConfigError if the images do not make a batch for each of several processes."""
    if processes > 1 and images // processes < batch_size:
        raise ConfigError(
            f"train.batch_size: expected at most {images // processes} for {images:,} training "
            f"pictures on {processes} devices, got {batch_size}. Set a smaller --train.batch_size."
        )


def eval_loader(
    data: Pictures, *, batch_size: int, workers: int, rank: int = 0, processes: int = 1
) -> Batches:
    """All samples in order, or a process's part of them (`places_in_split` says which)."""
    sampler: Sampler[int] | None = None
    if processes > 1:
        sampler = DistributedSampler(data, processes, rank, shuffle=False)
    return _loader(data, batch_size, workers, sampler=sampler)


def stack_images(images: Sequence[Tensor]) -> Tensor:
    """Images (3 H W each) as one batch, B 3 H W in channels_last.

    Decoders give pixels in that order, so nothing is transposed: it takes a tenth of the time.
    """
    batch: Tensor = default_collate([image.permute(1, 2, 0) for image in images])
    return batch.permute(0, 3, 1, 2)


def _collate(samples: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    images, targets = [image for image, _ in samples], [target for _, target in samples]
    stack = stack_images if images[0].ndim == 3 else default_collate  # or cached feature maps
    return stack(images), default_collate(targets)


def _leave_signals_to_the_run(worker: int) -> None:
    """Make a loader process ignore signals: the run gets them too, and ends its loaders itself.

    If the loaders ended first, the run could not save its state.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def each_picture(data: ImageLabels, *, workers: int) -> Batches:
    """Every sample by itself, in order; -1 uses all cores, since nothing else is running."""
    workers = available_cores() if workers < 0 else workers
    return DataLoader(data, batch_size=None, num_workers=workers if len(data) > FEW else 0)


def available_cores() -> int:
    """The cores that this process may use, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def places_in_split(
    batch: int, size: int, *, batch_size: int, images: int, rank: int = 0, processes: int = 1
) -> Tensor:
    """The indices in the split (of `images`) of the `size` images in a process's batch `batch`.

    torch's DistributedSampler, unshuffled, deals images out to the processes in turn. To give each
    process the same number, it deals some from the start again; these have the same index twice.
    """
    within_process = batch * batch_size + torch.arange(size)
    return (within_process * processes + rank) % images


def chosen_workers(workers: int, devices: int = 1) -> int:
    """The number of loader processes: `workers`, or for -1 a number that suits the machine.

    That is one less than the cores of each of `devices`, at most eight. Without a GPU, two cores
    get none: loader and model would wait for each other (measured on digits: 17 s an epoch without
    a loader process, 25 s with one).
    """
    if workers >= 0:
        return workers
    cores = available_cores() // devices
    if cores < 2:
        return 0
    return min(8, cores - 1) if torch.cuda.is_available() or cores > 2 else 0


def _loader(
    data: Pictures,
    batch_size: int,
    workers: int,
    *,
    sampler: Sampler[Any] | None = None,
    drop_last: bool = False,
) -> Batches:
    """A loader with the given processes; -1 chooses."""
    workers = chosen_workers(workers)
    return DataLoader(
        data,
        batch_size,
        sampler=sampler,
        drop_last=drop_last,
        num_workers=workers,
        collate_fn=_collate,
        worker_init_fn=_leave_signals_to_the_run,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )
