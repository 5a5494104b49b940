import torch

from lcnet.model.pooling import Pooling


def test_tiles_and_whole_have_a_linear_layer_each():
    torch.manual_seed(0)
    part = Pooling(3, 6, tiles=True)
    torch.nn.init.normal_(part.whole)
    torch.nn.init.normal_(part.tiles)
    maps = torch.randn(2, 5, 6, 2, 4)
    tiles = maps[:, :4].permute(0, 1, 3, 4, 2).reshape(2, -1, 6).mean(dim=1)
    whole = maps[:, 4].flatten(2).mean(dim=2)
    expected = tiles @ part.tiles.T + whole @ part.whole.T
    torch.testing.assert_close(part(maps), expected)


def test_it_adds_nothing_at_first_and_learns_from_the_first_step():
    part = Pooling(3, 6, tiles=False)
    maps = torch.rand(2, 1, 6, 2, 2)
    assert part.tiles is None
    assert not part(maps).any()
    part(maps).sum().backward()
    assert part.whole.grad.all()


def test_the_model_adds_it_to_the_decoder_s_scores(make_model):
    model = make_model(pooling=True)
    maps = model.maps(torch.randn(2, 3, 64, 64))
    without = model.score(maps)
    torch.nn.init.normal_(model.pooling.whole)
    torch.testing.assert_close(model.score(maps), without + model.pooling(maps))
