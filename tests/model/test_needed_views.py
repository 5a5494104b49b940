"""Tiles that are not needed: filled from the whole image, and no pass of the backbone."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from tests.tiny import TINY

from lcnet.model.build import build_model
from lcnet.model.ensemble import Ensemble
from lcnet.model.fast import FastClassifier
from lcnet.model.filled_views import filled, left_out, with_filled
from lcnet.model.needed_views import NeededViews, blended

HEADS = ("lcnet", "csra", "query2label")


def a_model(need: float = 0.0, spread: float = 1.0, **changes):
    """A model with tiles of 64 px that needs them by chance, about as much as `need` says."""
    torch.manual_seed(0)
    model = build_model(replace(TINY, crop_level=2, view_size=64, **changes), 3)
    for weight in model.parameters():
        if not weight.any():
            torch.nn.init.normal_(weight, std=0.5)
    model.needed = NeededViews(model.backbone.channels, 8)
    torch.nn.init.normal_(model.needed.outer.weight, std=spread)
    with torch.no_grad():
        model.needed.outer.bias.fill_(need)
    return model.eval().requires_grad_(False)


@pytest.fixture
def images():
    return torch.randn(6, 3, 128, 128, generator=torch.Generator().manual_seed(0))


def half_needed(images, **changes):
    """A model that needs half of the tiles of these images."""
    model = a_model(spread=30.0, **changes)
    whole = model.maps(images)[:, -1]
    with torch.no_grad():
        model.needed.outer.bias -= model.needed(filled(whole, 2), whole).median() - 1e-3
    return model


@pytest.fixture
def passed(monkeypatch):
    """How many views went through a backbone."""
    counts = []

    def counted(self, views):
        counts.append(len(views))
        return forward(self, views)

    from lcnet.model.backbone import Backbone

    forward = Backbone.forward
    monkeypatch.setattr(Backbone, "forward", counted)
    return counts


def test_a_tile_is_filled_with_its_part_of_the_whole_enlarged():
    whole = torch.randn(2, 3, 5, 4)
    tiles = filled(whole, 2)
    large = F.interpolate(whole, (10, 8), mode="bilinear")
    assert tiles.shape == (2, 4, 3, 5, 4)
    assert torch.equal(tiles[:, 1], large[:, :, :5, 4:])
    assert torch.equal(tiles[:, 2], large[:, :, 5:, :4])


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_so_many_tiles_are_left_out_on_average_and_another_number_of_each_picture(share):
    torch.manual_seed(0)
    out = left_out(4000, 9, share, torch.device("cpu"))
    assert out.float().mean() == pytest.approx(share, abs=0.01)
    assert len(out.sum(dim=1).unique()) >= 9


def test_tiles_that_are_left_out_cost_no_pass_and_are_filled(images, passed):
    model, out = a_model(), torch.zeros(6, 4, dtype=torch.bool)
    maps = model.maps(images)
    assert torch.allclose(model.maps_without(images, out), maps, atol=1e-5)
    out[0, 1] = out[3] = True
    passed.clear()
    expected = with_filled(maps, out, 2)
    assert torch.allclose(model.maps_without(images, out), expected, atol=1e-5)
    assert passed == [6 + 24 - 5]
    assert torch.equal(expected[3, :-1], filled(maps[3:4, -1], 2)[0])


@pytest.mark.parametrize("head", HEADS)
def test_needing_all_is_looking_at_all(images, head):
    model = a_model(need=1e3, spread=0.0, head=head)
    looked = model(images)
    model.needed = None
    assert torch.allclose(looked, model(images), atol=1e-5)


def test_needing_none_is_the_whole_image_alone(images, passed):
    model = a_model(need=-1.0, spread=0.0)
    logits = model(images)
    assert passed == [6]
    maps = model.maps(images)
    whole = with_filled(maps, torch.ones(6, 4, dtype=torch.bool), 2)
    assert torch.allclose(logits, model.score(whole), atol=1e-5)
    assert model.taken.mean == 1


@pytest.mark.parametrize("head", HEADS)
def test_only_needed_tiles_pass_and_count_as_far_as_they_are_needed(images, passed, head):
    model = half_needed(images, head=head)
    maps = model.maps(images)
    passed.clear()
    logits = model(images)
    tiles = filled(maps[:, -1], 2)
    need = model.needed(tiles, maps[:, -1])
    assert passed == [6, int((need > 0).sum())] and 10 <= passed[1] <= 14
    shown = blended(tiles, maps[:, :-1], need)
    expected = model.score(torch.cat([shown, maps[:, -1:]], dim=1))
    assert torch.allclose(logits, expected, atol=1e-5)
    assert torch.allclose(model.score(model.as_needed(maps)), expected, atol=1e-5)


def test_a_picture_does_not_depend_on_its_neighbours(images):
    model = half_needed(images)
    together = model(images)
    alone = torch.cat([model(image[None]) for image in images])
    assert torch.allclose(together, alone, atol=1e-5)
    assert torch.allclose(model(images.flip(0)), together.flip(0), atol=1e-5)


def test_logits_do_not_jump_where_a_tile_starts_to_be_needed(images):
    logits = []
    for need in (-1e-4, 1e-4, 1.0):
        logits.append(a_model(need=need, spread=0.0)(images))
    assert (logits[0] - logits[1]).abs().max() < 1e-3 * (logits[0] - logits[2]).abs().max()


def test_its_fast_form_gives_the_same_and_says_how_many_views_it_took(images):
    model = half_needed(images)
    fast = FastClassifier(model, compiled=True)  # which it cannot be
    assert fast.views_taken == ""
    assert torch.allclose(fast(images), model(images), atol=1e-4)
    assert "needed views alone" in str(fast) and "compiled" not in str(fast)
    assert fast.views_taken == f"{model.taken.mean:.2f} of 5 views a picture"
    logits, embeddings = fast.with_embeddings(images)
    assert torch.allclose(logits, model(images), atol=1e-4) and len(embeddings) == 6


def test_members_of_an_ensemble_may_look_at_needed_views(images):
    models = [half_needed(images), a_model(need=1e3, spread=0.0)]
    expected = torch.stack([model(images) for model in models]).mean(dim=0)
    assert torch.allclose(Ensemble(models, [(), ()])(images), expected, atol=1e-5)
