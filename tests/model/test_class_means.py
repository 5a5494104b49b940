"""Class means: against scikit-learn and a plain form, and what a model does with them."""

from dataclasses import replace

import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from tests.tiny import TINY

from lcnet.model.build import build_model
from lcnet.model.class_means import RIDGE, Moments, pooled


def features(pictures=200, channels=6, seed=0):
    return torch.randn(pictures, channels, generator=torch.Generator().manual_seed(seed))


def drawn(pictures=200, labels=3, seed=1):
    some = torch.rand(pictures, labels, generator=torch.Generator().manual_seed(seed))
    return (some < 0.3).to(torch.int8)


def moments(x, y, size=64):
    found = Moments(y.shape[1], x.shape[1])
    for first in range(0, len(x), size):
        found.update(x[first : first + size], y[first : first + size])
    return found


def test_scores_are_those_of_the_formula():
    x, y = features(), drawn()
    made = moments(x, y).class_means(last=6)
    x64 = x.double()
    centred = x64 - x64.mean(dim=0)
    covariance = centred.T @ centred / len(x)
    metric = covariance + RIDGE * covariance.diagonal().mean() * torch.eye(6)
    for label in range(3):
        away = x64[y[:, label] == 1].mean(dim=0) - x64.mean(dim=0)
        raw = centred @ torch.linalg.inv(metric) @ away
        expected = raw / raw.std(correction=0)
        found = x @ made.weight[label] + made.bias[label]
        torch.testing.assert_close(found, expected.float(), atol=1e-4, rtol=1e-4)


def test_of_one_label_they_rank_as_linear_discriminant_analysis_does(monkeypatch):
    monkeypatch.setattr("lcnet.model.class_means.RIDGE", 0.0)
    y = drawn(labels=1)
    x = features() + 0.8 * y
    made = moments(x, y).class_means(last=6)
    known = LinearDiscriminantAnalysis(solver="lsqr").fit(x.numpy(), y[:, 0].numpy())
    ours = (x @ made.weight[0]).argsort()
    assert ours.tolist() == torch.from_numpy(x.numpy() @ known.coef_[0]).argsort().tolist()


def test_unknown_entries_and_the_order_of_batches_change_nothing():
    x, y = features(), drawn()
    y[:, 1] = torch.where(torch.arange(200) < 100, y[:, 1], -1)
    made = moments(x, y).class_means(last=6)
    again = moments(x.flip(0), y.flip(0), size=7).class_means(last=6)
    torch.testing.assert_close(again.weight, made.weight, atol=1e-5, rtol=1e-4)
    half = moments(x[:100], y[:100])
    away = (half.sums_present / half.present[:, None])[1] - x[:100].double().mean(dim=0)
    direction = torch.linalg.solve(_metric(x), away)
    ours = made.weight[1].double()
    torch.testing.assert_close(ours / ours.norm(), direction / direction.norm(), atol=1e-5, rtol=0)


def _metric(x):
    centred = x.double() - x.double().mean(dim=0)
    covariance = centred.T @ centred / len(x)
    return covariance + RIDGE * covariance.diagonal().mean() * torch.eye(x.shape[1])


def test_a_label_that_no_picture_shows_scores_nothing():
    y = drawn()
    y[:, 2] = 0
    made = moments(features(), y).class_means(last=6)
    assert not made.weight[2].any() and not made.bias[2]
    assert made.weight[:2].any(dim=1).all()


def test_pooled_features_have_two_parts_of_length_one():
    found = pooled(torch.rand(2, 3, 7, 4, 4) + 0.1, last=5)
    torch.testing.assert_close(found[:, :5].norm(dim=1), torch.ones(2))
    torch.testing.assert_close(found[:, 5:].norm(dim=1), torch.ones(2))
    assert pooled(torch.rand(2, 3, 5, 4, 4), last=5).shape == (2, 5)


@pytest.mark.parametrize("head", ["lcnet", "csra"])
def test_a_model_adds_their_scores_wherever_it_gives_logits(head):
    torch.manual_seed(0)
    model = build_model(replace(TINY, head=head, earlier_stages=True), 3).eval()
    images = torch.rand(2, 3, 32, 32)
    before, maps = model(images), model.maps(images)
    moments_of = Moments(3, model.backbone.channels)
    many = torch.rand(40, model.backbone.channels)
    moments_of.update(many, drawn(40))
    model.class_means = moments_of.class_means(model.backbone.last_channels)
    expected = before + model.class_means(maps)
    assert not torch.allclose(expected, before)
    torch.testing.assert_close(model(images), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model.explain(images).logits, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model.score(maps), before, atol=1e-5, rtol=1e-5)
