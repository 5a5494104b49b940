"""Loaders: batches in an order that depends on nothing but seed and epoch."""

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

from lcnet.data.dataset import Draw, ImageLabels, StoredSamples
from lcnet.data.feature_cache import CachedMaps
from lcnet.errors import ConfigError

Batches = DataLoader[tuple[Tensor, Tensor]]
Pictures = ImageLabels | CachedMaps
FEW = 64
"""Up to so many pictures are read before processes that would read them have started."""


class SeededSampler(Sampler[Draw]):
    """All samples once an epoch; order and augmentation follow from seed and epoch alone.

    With `shares`, a positive number per sample, an epoch has as many draws as before, divided in
    that proportion: a sample comes up its part of them, rounded up or down by chance.

    Of several processes each takes every so-many-th draw, from its rank on, so that together they
    take in a step what one process takes with a batch as large as all of theirs. What is left over
    at the end, less than a draw for each, is left out.
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
        self.epoch = 0
        self.resumed_epoch, self.drawn = -1, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this before each."""
        self.epoch = epoch

    def resume_at(self, epoch: int, drawn: int) -> None:
        """Begin that epoch behind this process's first `drawn` draws; later epochs are whole.

        The epoch is chosen at once, since loader processes start to draw before Lightning does.
        """
        self.epoch = self.resumed_epoch = epoch
        self.drawn = drawn

    def __len__(self) -> int:
        """The number of this process's draws of a whole epoch, the same for all."""
        return self.length // self.processes

    def __iter__(self) -> Iterator[Draw]:
        """This process's draws of the chosen epoch."""
        done = self.drawn if self.epoch == self.resumed_epoch else 0
        return islice(self.own(), done, None)

    def own(self) -> Iterator[Draw]:
        """The same, also those that a resumed run has behind it; a kind of sampler differs here."""
        return islice(self.draws(), self.rank, len(self) * self.processes, self.processes)

    def draws(self) -> Iterator[Draw]:
        """All draws of the chosen epoch, also those of other processes."""
        rng = np.random.default_rng((self.seed, self.epoch))
        seeds = rng.integers(2**63, size=self.length)
        order = rng.permutation(self.length)
        if self.shares is None:
            for index in order:
                yield Draw(int(index), int(seeds[index]))
            return
        # Systematic sampling: evenly spaced marks along the shares laid end to end, in that order.
        ends = self.shares[order].cumsum()
        marks = (np.arange(self.length) + rng.random()) * (ends[-1] / self.length)
        drawn = order[np.searchsorted(ends, marks, side="right").clip(max=self.length - 1)]
        # Seeds go with the draw: each time a picture comes up, it is augmented anew.
        for place in rng.permutation(self.length):
            yield Draw(int(drawn[place]), int(seeds[place]))


class StreamSampler(SeededSampler):
    """The same for samples that lie in large files, which are read from front to back.

    The files come in an order that follows from seed and epoch, and what is in them as one stream.
    Each process takes a part of that stream, all of one length, and shuffles `window` samples of it
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
        """Take how many samples each file has."""
        super().__init__(int(runs.sum()), seed, rank=rank, processes=processes)
        self.runs = runs
        self.window = window

    def own(self) -> Iterator[Draw]:
        """This process's draws of the chosen epoch."""
        rng = np.random.default_rng((self.seed, self.epoch))
        starts = self.runs.cumsum() - self.runs
        files = rng.permutation(len(self.runs))
        stream = np.concatenate([starts[one] + np.arange(self.runs[one]) for one in files])
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

    `shares` is for pictures that are to come up more often than others, see `SeededSampler`;
    `window` for pictures that lie in large files, see `StreamSampler`. Each of several processes
    gets its part of the batches, and as many as the others. Raises ConfigError if that is not even
    one.
    """
    sampler = SeededSampler(len(data), seed, shares, rank=rank, processes=processes)
    if window and shares is None and isinstance(data, ImageLabels) and data.pixels is None:
        samples = data.split.samples
        if isinstance(samples, StoredSamples):
            sampler = StreamSampler(samples.runs, seed, window, rank=rank, processes=processes)
    full = len(sampler) >= batch_size
    check_steps(len(data), batch_size, processes)
    return _loader(data, batch_size, workers, sampler=sampler, drop_last=full)


def check_steps(images: int, batch_size: int, processes: int) -> None:
    """Raises ConfigError if so many images are no batch for each of several processes."""
    if processes > 1 and images // processes < batch_size:
        raise ConfigError(
            f"train.batch_size: expected at most {images // processes} for {images:,} training "
            f"pictures on {processes} devices, got {batch_size}. Set a smaller one."
        )


def eval_loader(
    data: Pictures, *, batch_size: int, workers: int, rank: int = 0, processes: int = 1
) -> Batches:
    """All samples in their own order, or a process's part of them, see `places_in_split`."""
    sampler: Sampler[int] | None = None
    if processes > 1:
        sampler = DistributedSampler(data, processes, rank, shuffle=False)
    return _loader(data, batch_size, workers, sampler=sampler)


def stack_images(images: Sequence[Tensor]) -> Tensor:
    """Images (3 H W each) as one batch, B 3 H W in channels_last.

    That is how decoders leave pixels, so that nothing is transposed: a tenth of the time.
    """
    batch: Tensor = default_collate([image.permute(1, 2, 0) for image in images])
    return batch.permute(0, 3, 1, 2)


def _collate(samples: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    images, targets = [image for image, _ in samples], [target for _, target in samples]
    stack = stack_images if images[0].ndim == 3 else default_collate  # or cached feature maps
    return stack(images), default_collate(targets)


def _leave_signals_to_the_run(worker: int) -> None:
    """A signal to the whole group of processes stops the run, which then ends its loaders.

    Were they to end by themselves, the run could not save where it stands.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def each_picture(data: ImageLabels, *, workers: int) -> Batches:
    """Every sample by itself, in order; -1 takes a process per core, as nothing else is to do."""
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
    """Where the `size` images of a process's batch number `batch` stand in the split of `images`.

    torch's DistributedSampler, unshuffled, deals images out to the processes in turn and, to give
    each as many, some from the start again: their place is the one they have had before.
    """
    own = batch * batch_size + torch.arange(size)
    return (own * processes + rank) % images


def chosen_workers(workers: int, devices: int = 1) -> int:
    """The number of loader processes: the given one, or, for -1, what suits the machine.

    That is one per core but one, at most eight, of the cores that each of `devices` has; none on
    two cores that also do the model's work: they would wait for each other (measured: 17 s an epoch
    of digits without, 25 s with one).
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
