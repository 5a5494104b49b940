"""A model of many labels takes the pictures of a batch one by one, and gives the same."""

from dataclasses import replace

import pytest
import torch
from tests.tiny import TINY
from torch import nn

from lcnet.config import Model, Released
from lcnet.model import label_tokens
from lcnet.model.attention import Attention
from lcnet.model.build import build_model
from lcnet.model.fast import FastClassifier

LABELS = 11


def model(**settings: object):
    torch.manual_seed(0)
    made = build_model(replace(TINY, crop_level=0, dropout=0.0, **settings), LABELS)
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return made


def images() -> torch.Tensor:
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))


KINDS = [
    {},
    {"graph": "none"},
    {"share_layers": True},
    {"read": "scores"},
    {"read": "scores", "depth": 1},
    {
        "pooling": "two_classifiers",
        "read": "tokens",
        "released": Released(graph_tokens="feature", shared_bias=True),
    },
    {"read": "tokens", "released": Released(layer="released")},
    {"graph_edges": 4},
]


# Two pictures at a time, and one picture's labels in three parts.
@pytest.mark.parametrize("tokens", [2 * LABELS, LABELS // 3 + 1])
@pytest.mark.parametrize("settings", KINDS)
def test_logits_and_gradients_part_by_part_are_those_of_all_together(monkeypatch, settings, tokens):
    results = []
    for together in (LABELS, 4):
        monkeypatch.setattr(label_tokens, "TOGETHER", together)
        monkeypatch.setattr(label_tokens, "TOKENS", tokens if together == 4 else LABELS)
        made = model(**settings).train()
        logits = made(images())
        (logits**2).sum().backward()
        results.append((logits, {name: one.grad for name, one in made.named_parameters()}))
    (together, gradients), (alone, others) = results
    torch.testing.assert_close(alone, together, atol=1e-4, rtol=1e-4)
    for name, gradient in gradients.items():
        torch.testing.assert_close(others[name], gradient, atol=2e-3, rtol=2e-3, msg=name)


def test_dropout_is_the_same_where_a_picture_is_computed_again(monkeypatch):
    monkeypatch.setattr(label_tokens, "TOGETHER", 4)
    made = build_model(replace(TINY, crop_level=0, dropout=0.5), LABELS).train()
    made.backbone.eval()
    torch.manual_seed(3)
    step = 1e-3
    loss = made(images()).sum()
    loss.backward()
    bias = made.mapping.weight
    with torch.no_grad():
        bias[9] += step
        torch.manual_seed(3)
        moved = made(images()).sum()
    assert moved - loss.detach() == pytest.approx(step * bias.grad[9].sum().item(), abs=2e-4)


@pytest.mark.parametrize("read", ["tokens", "scores"])
def test_what_near_nodes_move_is_what_all_nodes_move(read):
    made = model(graph_edges=4, read=read).eval()
    maps = made.maps(images())
    changes, nodes = made.moved(maps, [7, 2])
    every = made.influences(maps)
    assert set(nodes) >= set(made.graph.joined[7].tolist()) - {7} and len(nodes) < LABELS
    torch.testing.assert_close(changes, every[:, [7, 2]][:, :, nodes], atol=1e-5, rtol=1e-4)


def test_of_few_labels_all_nodes_are_tried():
    made = model().eval()
    maps = made.maps(images())
    changes, nodes = made.moved(maps, [7, 2])
    assert list(nodes) == list(range(LABELS))
    assert changes.equal(made.influences(maps)[:, [7, 2]])


def test_the_fast_form_computes_the_graph_of_few_edges_once():
    made = model(graph_edges=4).eval()
    fast = FastClassifier(made)
    torch.testing.assert_close(fast(images()), made(images()), atol=1e-4, rtol=1e-4)
    assert "graph.tokens" in fast.model.state_dict()
    assert "graph.prior" in made.state_dict()


def test_nothing_of_labels_by_labels_is_in_a_model_without_pairs():
    labels = 20_000
    for settings in (Model(head="gap"), Model(graph="none"), Model(width=24, mlp_width=24)):
        made = build_model(
            replace(settings, backbone="test_resnet", pretrained=False, view_size=32), labels
        )
        assert max(one.numel() for one in made.state_dict().values()) < labels * 600


@pytest.mark.parametrize(("many", "few"), [(40, 3), (3, 40), (5, 5), (40, 30)])
def test_folded_attention_is_the_same_with_the_same_gradients(many, few):
    torch.manual_seed(0)
    part = Attention(24, 4)
    for bias in (part.query.bias, part.value.bias, part.out.bias):
        nn.init.normal_(bias)
    results = []
    for folds in (False, True):
        part.folds = folds
        part.zero_grad()
        queries, memory = (
            torch.randn(
                2, count, 24, generator=torch.Generator().manual_seed(count)
            ).requires_grad_()
            for count in (many, few)
        )
        found = part(queries, memory)
        (found**2).sum().backward()
        grads = {name: one.grad for name, one in part.named_parameters() if name != "key.bias"}
        results.append((found, queries.grad, memory.grad, grads))
    torch.testing.assert_close(results[1], results[0], atol=2e-5, rtol=1e-4)


def test_folded_attention_drops_as_many_shares():
    part = Attention(24, 4, dropout=0.5).train()
    part.folds = True
    queries, memory = torch.randn(1, 2, 24), torch.randn(1, 600, 24)
    with torch.no_grad():
        several = torch.stack([part(queries, memory) for _ in range(60)])
        part.eval()
        torch.testing.assert_close(several.mean(dim=0), part(queries, memory), atol=0.05, rtol=0)
        assert several.std(dim=0).min() > 0


def test_attention_folds_for_more_than_512_labels_alone():
    assert [
        any(part.folds for part in build_model(TINY, labels).decoder.readers())
        for labels in (512, 513)
    ] == [False, True]
