import pytest
import torch

from lcnet.model.pooling import Attended, Pooling


def attended(
    part: Attended, maps: torch.Tensor, views: range, label: int, share: float
) -> torch.Tensor:
    """One label's mean and attended score over some views of one picture (V C h w)."""
    scores = torch.stack(
        [
            part.weight[label] @ maps[view, :, row, column]
            for view in views
            for row in range(maps.shape[2])
            for column in range(maps.shape[3])
        ]
    )
    shares = scores.exp() / scores.exp().sum()
    return scores.mean() + share * (shares * scores).sum()


@pytest.mark.parametrize(("apart", "share"), [(True, 0.1), (False, 0.1), (True, 0.4), (False, 0)])
def test_a_label_gets_a_mean_and_an_attended_score(apart, share):
    torch.manual_seed(0)
    pooling = Pooling(3, 6, apart=apart, attended=share)
    assert {part.attended for part in pooling.modules() if isinstance(part, Attended)} == {share}
    for weight in pooling.parameters():
        torch.nn.init.normal_(weight)
    maps = torch.randn(2, 5, 6, 2, 4)
    logits = pooling(maps)
    for image in range(2):
        for label in range(3):
            if apart:
                expected = attended(pooling.tiles, maps[image], range(4), label, share)
                whole = attended(pooling.whole, maps[image], range(4, 5), label, share)
                expected = expected + whole
            else:
                expected = attended(pooling.whole, maps[image], range(5), label, share)
            torch.testing.assert_close(logits[image, label], expected + pooling.bias[label])


@pytest.mark.parametrize(("level", "apart"), [(0, False), (1, True), (2, True)])
def test_two_classifiers_need_tiles(make_model, level, apart):
    model = make_model(pooling="two_classifiers", crop_level=level)
    assert (model.pooling.tiles is not None) == apart
    assert make_model(pooling="one_classifier", crop_level=level).pooling.tiles is None


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_share_of_the_decoder_s_gradient_reaches_the_backbone(make_model, share):
    model = make_model(decoder_gradient=share, dropout=0.0)
    maps = model.maps(torch.randn(2, 3, 64, 64)).detach().requires_grad_()

    def gradient(logits: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(logits.square().sum(), maps)[0]

    decoder, pooling = gradient(model.ways(maps)[0]), gradient(model.pooling(maps))
    evaluated = torch.stack(model.ways(maps))
    assert torch.autograd.grad(evaluated[0].sum(), maps)[0].any()  # explanations see both ways
    model.train()
    learned = torch.stack(model.ways(maps))
    torch.testing.assert_close(learned, evaluated)
    torch.testing.assert_close(gradient(learned), share * decoder + pooling, rtol=1e-4, atol=1e-6)


def test_without_pooling_all_of_the_decoder_s_gradient_reaches_the_backbone(make_model):
    assert make_model(pooling="none", decoder_gradient=0.0).decoder_gradient == 1.0


def test_the_model_s_logits_are_the_mean_of_the_decoder_s_and_pooling_s(make_model):
    model = make_model()
    maps = model.maps(torch.randn(2, 3, 64, 64))
    decoded, pooled = model.ways(maps)
    labels, graph = model.label_tokens().expand(2, -1, -1), model.graph().expand(2, -1, -1)
    labels, image = model.decoder(labels, model.image_tokens(maps), graph)
    assert decoded.equal(model.mapping(labels, image, maps))
    assert pooled.equal(model.pooling(maps))
    torch.testing.assert_close(model.score(maps), (decoded + pooled) / 2)
    model.pooling = None
    assert model.score(maps).equal(decoded) and len(model.ways(maps)) == 1
