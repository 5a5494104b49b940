import copy
import pickle
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, multiprocessing
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

from lcnet.data.loading import places_in_split
from lcnet.metrics import verify
from lcnet.metrics.gathering import VerificationState


def batch(images: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(images, 4, generator=random)
    return logits, torch.randint(-1, 2, (images, 4), generator=random)


@pytest.fixture
def process_group() -> Iterator[None]:
    """A group of this process alone."""
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
    )
    yield
    torch.distributed.destroy_process_group()


def test_batches_come_back_as_one_split() -> None:
    state = VerificationState()
    logits, targets = batch(7)
    state.update(logits[:4], targets[:4])
    state.update(logits[4:], targets[4:])
    probabilities, gathered = state.compute()
    assert (probabilities.dtype, gathered.dtype) == (np.float32, np.int8)
    np.testing.assert_array_equal(probabilities, logits.sigmoid().numpy())
    np.testing.assert_array_equal(gathered, targets.numpy())
    assert verify(probabilities, gathered, list("abcd")).images == 7


def test_reset_forgets() -> None:
    state = VerificationState()
    state.update(*batch(3))
    state.compute()
    state.reset()
    state.update(*batch(2))
    assert len(state.compute()[0]) == 2


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda state: pickle.loads(pickle.dumps(state))])
def test_a_copy_goes_on_by_itself(
    copied: Callable[[VerificationState], VerificationState],
) -> None:
    state = VerificationState()
    state.update(*batch(3))
    other = copied(state)
    other.update(*batch(2))
    assert (len(state.compute()[0]), len(other.compute()[0])) == (3, 5)


def test_half_precision_logits_become_float32_probabilities() -> None:
    state = VerificationState()
    logits, targets = batch(3)
    half = logits.bfloat16().requires_grad_()
    state.update(half, targets)
    np.testing.assert_array_equal(state.compute()[0], half.detach().float().sigmoid().numpy())


def test_a_group_of_one_process_gathers_its_own_batches(process_group: None) -> None:
    state = VerificationState()
    state.update(*batch(3))
    state.update(*batch(2, seed=1))
    probabilities, targets = state.compute()
    assert probabilities.shape == targets.shape == (5, 4)
    # Afterwards the process goes on with its own part.
    state.update(*batch(1))
    assert len(state.compute()[0]) == 6


def test_a_state_without_batches_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one batch"):
        VerificationState().compute()


def test_logits_and_targets_of_two_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"got \(2, 4\) and \(2, 3\)"):
        VerificationState().update(torch.zeros(2, 4), torch.zeros(2, 3))


def test_an_image_with_a_place_counts_once_and_stands_there() -> None:
    state = VerificationState()
    logits, targets = batch(5)
    for rows in ([3, 1], [0, 4], [2, 3]):
        state.update(logits[rows], targets[rows], torch.tensor(rows))
    probabilities, gathered = state.compute()
    np.testing.assert_array_equal(probabilities, logits.sigmoid().numpy())
    np.testing.assert_array_equal(gathered, targets.numpy())


IMAGES = 7
"""Of two processes each has four, one of them for the second time."""


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


def test_two_processes_count_images_that_fill_the_last_batch_once(tmp_path: Path) -> None:
    # Neither is this process: gloo may end one that loses its peer.
    multiprocessing.spawn(gather_in_a_process, args=(str(tmp_path),), nprocs=2)
    logits, targets = batch(IMAGES)
    for rank in range(2):
        with np.load(tmp_path / f"{rank}.npz") as found:
            np.testing.assert_array_equal(found["probabilities"], logits.sigmoid().numpy())
            np.testing.assert_array_equal(found["targets"], targets.numpy())
