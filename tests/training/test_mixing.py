"""Images and labels that are mixed within a batch."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from lcnet.config import Train
from lcnet.errors import ConfigError
from lcnet.training.mixing import (
    cutmix,
    joined_targets,
    mixed_batch,
    mixed_targets,
    mixup,
    splicemix,
)

BATCH = 6
PLACE = (2, 5, 0)
"""Epoch, batch and rank."""


def plain_images(channels: int = 3, side: int = 32, kind: torch.dtype = torch.uint8) -> Tensor:
    """Images of one level each, by which a mix can be told apart: 0, 40, 80 and so on."""
    levels = 40 * torch.arange(BATCH, dtype=torch.float32)
    return levels[:, None, None, None].expand(BATCH, channels, side, side).to(kind).contiguous()


def own_labels() -> Tensor:
    """Each image has one label of its own."""
    return torch.eye(BATCH, dtype=torch.int8)


def rng() -> np.random.Generator:
    return np.random.default_rng(4)


# Labels


def completions(target: int) -> tuple[int, ...]:
    """What a target can be in truth."""
    return (0, 1) if target == -1 else (target,)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.7, 1.0])
def test_a_mixed_target_is_known_where_all_it_can_be_is_the_same(share):
    pairs = list(product((-1, 0, 1), repeat=2))
    own, others = (torch.tensor([column], dtype=torch.int8) for column in zip(*pairs, strict=True))
    mixed = mixed_targets(own, others, torch.tensor([share]))[0].tolist()
    for (one, other), value in zip(pairs, mixed, strict=True):
        truths = {
            share * mine + (1 - share) * yours
            for mine, yours in product(completions(one), completions(other))
        }
        expected = truths.pop() if len(truths) == 1 else -1
        assert value == pytest.approx(expected), (one, other)


def test_a_joined_target_is_known_where_all_it_can_be_is_the_same():
    fours = list(product((-1, 0, 1), repeat=4))
    joined = joined_targets(torch.tensor(fours, dtype=torch.int8).T[None]).squeeze(0)
    assert joined.dtype == torch.int8
    for targets, value in zip(fours, joined.tolist(), strict=True):
        truths = {max(each) for each in product(*map(completions, targets))}
        assert value == (truths.pop() if len(truths) == 1 else -1), targets


# Images


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_mixup_blends_images_by_the_shares_of_their_labels(kind, channels):
    images, targets = mixup(plain_images(channels, kind=kind), own_labels(), 1.0, rng())
    assert (images.dtype, images.shape) == (kind, (BATCH, channels, 32, 32))
    levels = targets @ (40 * torch.arange(BATCH, dtype=torch.float32))
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(BATCH))
    assert ((targets > 0).sum(dim=1) == 2).sum() >= BATCH - 2  # chance may pick an image itself
    most = 0.5 if kind == torch.uint8 else 1e-3
    assert (images.float() - levels[:, None, None, None]).abs().max() <= most + 1e-3


@pytest.mark.parametrize("alpha", [0.2, 8.0])
def test_mixup_draws_its_shares_from_the_beta_distribution(alpha):
    images = torch.zeros(4000, 1, 1, 1, dtype=torch.uint8)
    targets = torch.cat([torch.zeros(2000, 1), torch.ones(2000, 1)]).to(torch.int8)
    _, mixed = mixup(images, targets, alpha, rng())
    shares = mixed[(mixed > 0) & (mixed < 1)].numpy()
    assert shares.std() == pytest.approx((1 / (4 * (2 * alpha + 1))) ** 0.5, rel=0.1)


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_cutmix_mixes_labels_by_the_pixels_that_are_seen(kind):
    before = plain_images(5, side=37, kind=kind)
    images, targets = cutmix(before, own_labels(), 1.0, rng())
    assert (images.dtype, images.shape) == (kind, before.shape)
    pasted = 0
    for place, image in enumerate(images):
        seen = torch.stack([(image == before[one]).float().mean() for one in range(BATCH)])
        torch.testing.assert_close(targets[place], seen)
        rows, columns = np.nonzero((image[0] != before[place, 0]).numpy())
        if rows.size:  # one rectangle
            pasted += 1
            assert rows.size == np.ptp(rows) * np.ptp(columns) + np.ptp(rows) + np.ptp(columns) + 1
    assert pasted >= BATCH - 2


@pytest.mark.parametrize("side", [32, 33])
def test_splicemix_shows_four_images_whole_with_the_labels_of_all(side):
    before = plain_images(3, side)
    before[:, :, :, side // 2 :] //= 2  # so that a part of an image is not the whole
    images, targets = splicemix(before, own_labels(), 3, rng())
    assert (images.dtype, images.shape) == (torch.uint8, (3, 3, side, side))
    shown = []
    half = -(-side // 2)
    for image, labels in zip(images, targets, strict=True):
        corners = [
            image[0, top : top + half, left : left + half]
            for top in (0, half)
            for left in (0, half)
        ]
        found = [int(corner[0, 0]) // 40 for corner in corners]
        assert all(abs(int(c[0, 0]) - 2 * int(c[0, -1])) <= 2 for c in corners)
        assert labels.tolist() == [int(one in found) for one in range(BATCH)]
        shown += found
    assert {shown.count(one) for one in range(BATCH)} == {2}


# As the recipe says


MIXING = {"mixup": 0.4, "cutmix": 1.0, "splicemix": 0.5}


def test_a_batch_is_mixed_the_same_way_at_the_same_place_only():
    images, targets = torch.randint(256, (BATCH, 3, 32, 32), dtype=torch.uint8), own_labels()
    recipe = Train(**MIXING)
    once, again = (mixed_batch(images, targets, recipe, PLACE) for _ in range(2))
    assert once[0].equal(again[0]) and once[1].equal(again[1])
    for place in ((3, 5, 0), (2, 6, 0), (2, 5, 1)):
        assert not mixed_batch(images, targets, recipe, place)[0].equal(once[0])
    other_seed = mixed_batch(images, targets, replace(recipe, seed=1), PLACE)
    assert not other_seed[0].equal(once[0])


def test_mixing_does_not_touch_the_random_numbers_of_dropout():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    mixed_batch(plain_images(), own_labels(), Train(**MIXING), PLACE)
    assert torch.rand(3).equal(expected)


def test_spliced_images_are_added_behind_the_batch():
    images, targets = plain_images(), own_labels()
    more, their_targets = mixed_batch(images, targets, Train(splicemix=0.5), PLACE)
    assert more[:BATCH].equal(images)
    assert their_targets[:BATCH].equal(targets)
    assert (len(more), len(their_targets)) == (BATCH + 3, BATCH + 3)
    assert their_targets.dtype == torch.int8  # so that the loss of plain targets stays as it is


def test_mixup_and_cutmix_take_turns():
    images, targets = plain_images(), own_labels()
    recipe = Train(mixup=1.0, cutmix=1.0)
    pasted = [
        bool(torch.isin(mixed_batch(images, targets, recipe, (0, batch, 0))[0], images).all())
        for batch in range(40)
    ]
    assert 8 < sum(pasted) < 32


def test_unknown_labels_that_count_as_absent_are_mixed_as_absent():
    targets = torch.tensor([[1], [-1]], dtype=torch.int8)
    images = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    for unknown, expected in (("ignore", True), ("negative", False)):
        mixed = [
            mixed_batch(images, targets, Train(mixup=1.0, unknown=unknown), (0, batch, 0))[1]
            for batch in range(9)
        ]
        assert any((each == -1).any() for each in mixed) is expected


@pytest.mark.parametrize("name", list(MIXING))
def test_mixing_that_cannot_work_is_refused_in_one_line(name):
    with pytest.raises(ConfigError, match=r"train\.batch_size: expected 2 or more") as error:
        Train(batch_size=1, **{name: 0.5})
    assert "\n" not in str(error.value)
    frozen = {"backbone_lr_factor": 0.0, "randaugment": 0, "cutout": 0.0}
    with pytest.raises(ConfigError, match=rf"same, got train\.{name} 0\.5\. Set --train"):
        Train(cache_features="kept", **frozen, **{name: 0.5})
    if name != "splicemix":
        with pytest.raises(ConfigError, match=r"train\.unknown: expected ignore or negative"):
            Train(unknown="weighted", **{name: 0.5})
