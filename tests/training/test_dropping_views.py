"""`train.drop_views`: tiles are left out at random in training, and only there."""

from dataclasses import replace

import pytest
import torch
from tests.tiny import TINY

from lcnet.config import Config, Model, Train
from lcnet.data.transforms import Preprocessing
from lcnet.errors import ConfigError
from lcnet.model.build import build_model
from lcnet.model.filled_views import filled
from lcnet.training.objective import Objective, seed_step

EXPECTED = Preprocessing(64, (0.5,) * 3, (0.5,) * 3, "bilinear")


def an_objective(**recipe):
    torch.manual_seed(0)
    model = build_model(replace(TINY, crop_level=2, dropout=0.0), 3)
    return Objective(model, Train(**recipe), EXPECTED)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8, generator=generator)
    return images, torch.randint(0, 2, (4, 3), generator=generator).float()


def test_a_step_leaves_out_tiles_and_draws_the_same_again(batch):
    objective, losses = an_objective(drop_views=0.5).eval(), []
    for step in (0, 0, 1):
        seed_step(0, 0, step, 0)
        losses.append(objective(*batch).item())
    assert losses[0] == losses[1] != losses[2]
    assert losses[0] != an_objective().eval()(*batch).item()


def test_the_backbone_sees_fewer_views_but_in_validation_all(batch, monkeypatch):
    objective, counts = an_objective(drop_views=0.5), []
    forward = objective.model.backbone.forward
    monkeypatch.setattr(
        objective.model.backbone,
        "forward",
        lambda views: counts.append(len(views)) or forward(views),
    )
    objective(*batch).backward()
    objective.eval()(batch[0])
    assert 4 <= counts[0] < 20 and counts[1] == 20


def test_kept_features_are_filled_in_the_same_way(batch):
    objective = an_objective(
        drop_views=0.9, cache_features="kept", backbone_lr_factor=0, randaugment=0, cutout=0
    ).eval()
    maps = torch.randn(4, 5, objective.model.backbone.channels, 2, 2)
    seen = []
    objective.model.ways = lambda given: seen.append(given) or (given.sum() * torch.ones(4, 3),)
    objective(maps, batch[1])
    tiles, whole = seen[0][:, :-1], seen[0][:, -1]
    assert torch.equal(whole, maps[:, -1])
    is_filled = (tiles == filled(whole, 2)).flatten(2).all(dim=2)
    is_seen = (tiles == maps[:, :-1]).flatten(2).all(dim=2)
    assert (is_filled ^ is_seen).all() and is_filled.any()


def test_it_needs_tiles():
    with pytest.raises(ConfigError, match="drop_views: expected 0 with"):
        Config(model=Model(crop_level=0), train=Train(drop_views=0.5))
