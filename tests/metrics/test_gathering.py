import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.metrics.gathering_over_gloo import IMAGES, batch

from lcnet.metrics import verify
from lcnet.metrics.gathering import VerificationState


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


def test_processes_count_images_that_fill_the_last_batch_once(tmp_path: Path) -> None:
    # In processes of their own: gloo may end one whose peer is gone, also afterwards.
    command = [sys.executable, "-m", "tests.metrics.gathering_over_gloo", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    logits, targets = batch(IMAGES)
    for rank in range(2):
        with np.load(tmp_path / f"{rank}.npz") as found:
            np.testing.assert_array_equal(found["probabilities"], logits.sigmoid().numpy())
            np.testing.assert_array_equal(found["targets"], targets.numpy())
