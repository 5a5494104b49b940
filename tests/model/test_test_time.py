"""Test-time augmentation: the mean over the ways in which a model sees a picture."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from tests.tiny import TINY

from lcnet.errors import ConfigError
from lcnet.model.build import build_model
from lcnet.model.ensemble import Ensemble
from lcnet.model.exportable import Exportable
from lcnet.model.fast import FastClassifier
from lcnet.model.test_time import WAYS, check_ways, parse_ways


def a_model(seed=0, **changes):
    """A model whose logits tell a picture from its mirror image."""
    torch.manual_seed(seed)
    settings = replace(TINY, crop_level=2, position=True, pooling="two_classifiers", **changes)
    model = build_model(settings, 3)
    for weight in model.parameters():
        if not weight.any():
            torch.nn.init.normal_(weight, std=0.5)
    return model.eval().requires_grad_(False)


@pytest.fixture
def images():
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def test_the_mirror_image_is_seen_too(images):
    model = a_model()
    plain, mirrored = model(images), model(images.flip(-1))
    assert (plain - mirrored).abs().max() > 1e-3
    model.see(("mirror",))
    assert torch.allclose(model(images), (plain + mirrored) / 2, atol=1e-6)


def test_a_zoom_is_the_middle_enlarged(images):
    model = a_model()
    middle = F.interpolate(images[..., 4:60, 4:60], (64, 64), mode="bilinear")
    expected = (model(images) + model(middle)) / 2
    model.see(("zoom",))
    assert torch.allclose(model(images), expected, atol=1e-6)


def test_shifted_tiles_straddle_the_borders_of_the_plain_ones(images):
    model = a_model()
    around = torch.arange(-16, 48).abs()  # 16 reflected pixels, then the picture's first 48
    moved = images[..., around, :][..., around]
    views = model.crops(moved)
    assert torch.equal(views[:, 3], images[..., 16:48, 16:48])
    views[:, -1] = model.crops(images)[:, -1]  # the whole picture stays as it is
    expected = (model(images) + model.score(model._maps_of(views))) / 2
    model.see(("shift",))
    assert torch.allclose(model(images), expected, atol=1e-6)


def test_of_several_ways_and_models_it_is_the_mean_of_all(images):
    models = [a_model(seed) for seed in (1, 2)]
    each = []
    for way in WAYS:
        for model in models:
            model.see((way,))
            each.append(2 * model(images))
            model.see(())
            each[-1] -= model(images)
    expected = (sum(each) + models[0](images) + models[1](images)) / 8
    ensemble = Ensemble(models, [[], []])
    ensemble.see(WAYS)
    assert torch.allclose(ensemble(images), expected, atol=1e-5)
    fast = FastClassifier(ensemble)
    assert torch.allclose(fast(images), expected, atol=1e-4)
    assert "mean with mirror, zoom, shift" in str(fast)


def test_the_form_for_export_zooms_alike(images):
    model = a_model()
    model.see(WAYS)
    before = model(images)
    assert torch.allclose(Exportable(model, 64)(images), before, atol=1e-5)


def test_embeddings_explanations_and_training_take_the_plain_picture(images):
    model = a_model()
    maps, plain, explained = model.maps(images), model(images), model.explain(images)
    embeddings = FastClassifier(model).with_embeddings(images)[1]
    model.see(("mirror",))
    assert torch.equal(model.maps(images), maps)
    assert torch.equal(model.score(model.maps(images)), plain)
    assert torch.equal(model.explain(images).attention, explained.attention)
    logits, same = FastClassifier(model).with_embeddings(images)
    assert torch.equal(same, embeddings)
    assert torch.allclose(logits, model(images), atol=1e-5)


def test_weights_have_the_same_names_with_it():
    model = a_model()
    names = list(model.state_dict())
    model.see(WAYS)
    assert list(model.state_dict()) == names


def test_ways_are_read_in_one_order_and_wrong_ones_refused():
    assert parse_ways("zoom, mirror") == ("mirror", "zoom")
    assert parse_ways("none") == ()
    for wrong in ("flip", "mirror,mirror", "", "mirror zoom", "none,mirror"):
        with pytest.raises(ConfigError, match="--tta: expected none, or some of mirror, zoom, shi"):
            parse_ways(wrong)
    for hostile in ("mirror", [["mirror"]], [1], {"mirror": 1}, None, ["mirror"] * 2):
        with pytest.raises(ValueError, match="test_time"):
            check_ways(hostile)
