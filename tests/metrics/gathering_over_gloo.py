"""`python -m tests.metrics.gathering_over_gloo FOLDER`: what the tests of gathering do.

In processes apart from the tests, since gloo may end one that has lost its peer.
"""

import sys
from datetime import timedelta

import numpy as np
import torch
from torch import Tensor, multiprocessing
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

from lcnet.data.loading import places_in_split
from lcnet.metrics.gathering import VerificationState

IMAGES = 7
"""Of two processes each has four, one of them for the second time."""


def batch(images: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(images, 4, generator=random)
    return logits, torch.randint(-1, 2, (images, 4), generator=random)


def gather_alone() -> None:
    """Gather in a group of this process alone."""
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    state = VerificationState()
    state.update(*batch(3))
    state.update(*batch(2, seed=1))
    probabilities, targets = state.compute()
    assert probabilities.shape == targets.shape == (5, 4)
    # Afterwards the process goes on with its own part.
    state.update(*batch(1))
    assert len(state.compute()[0]) == 6
    torch.distributed.destroy_process_group()


def gather_in_a_process(rank: int, folder: str) -> None:
    store = torch.distributed.FileStore(f"{folder}/store", 2)
    torch.distributed.init_process_group(
        "gloo", store=store, rank=rank, world_size=2, timeout=timedelta(seconds=120)
    )
    dataset = TensorDataset(torch.arange(IMAGES), *batch(IMAGES))
    sampler = DistributedSampler(dataset, shuffle=False)
    state, seen = VerificationState(), []
    for number, (numbers, logits, targets) in enumerate(DataLoader(dataset, 3, sampler=sampler)):
        places = places_in_split(
            number, len(logits), batch_size=3, images=IMAGES, rank=rank, processes=2
        )
        assert places.tolist() == numbers.tolist()
        state.update(logits, targets, places)
        seen += numbers.tolist()
    assert len(seen) == 4
    probabilities, targets = state.compute()
    np.savez(f"{folder}/{rank}.npz", probabilities=probabilities, targets=targets)
    state.reset()
    if rank == 1:  # the other one has no batch of its own
        state.update(*batch(2))
    assert state.compute()[0].shape == (2, 4)
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    # Forked, since importing torch takes longer than all the rest.
    multiprocessing.start_processes(
        gather_in_a_process, args=(sys.argv[1],), nprocs=2, start_method="fork"
    )
    gather_alone()
