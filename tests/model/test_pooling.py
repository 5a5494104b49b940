import torch

from lcnet.model.pooling import Pooling


def test_each_group_of_views_has_a_mean_and_an_attended_score_of_its_own():
    torch.manual_seed(0)
    part = Pooling(3, 6, tiles=True)
    for group in (part.whole, part.tiles):
        torch.nn.init.normal_(group.weight)
        torch.nn.init.normal_(group.attended)
    torch.nn.init.normal_(part.bias)
    maps = torch.randn(2, 5, 6, 2, 4)
    logits = part(maps)
    for image in range(2):
        for label in range(3):
            expected = part.bias[label]
            for group, views in ((part.tiles, range(4)), (part.whole, (4,))):
                scores = torch.stack(
                    [
                        group.weight[label] @ maps[image, view, :, row, column]
                        for view in views
                        for row in range(2)
                        for column in range(4)
                    ]
                )
                shares = scores.exp() / scores.exp().sum()
                expected = (
                    expected + scores.mean() + group.attended[label] * (shares * scores).sum()
                )
            torch.testing.assert_close(logits[image, label], expected)


def test_the_model_s_logits_are_the_mean_of_the_decoder_s_and_pooling_s(make_model):
    model = make_model(pooling=True)
    maps = model.maps(torch.randn(2, 3, 64, 64))
    decoded, pooled = model.ways(maps)
    assert decoded.equal(model.decode(maps)) and pooled.equal(model.pooling(maps))
    torch.testing.assert_close(model.score(maps), (decoded + pooled) / 2)
    model.pooling = None
    assert model.score(maps).equal(decoded) and len(model.ways(maps)) == 1
