import pytest
import torch

from lcnet.model.pooling import Pooling


@pytest.mark.parametrize("tiles", [False, True])
def test_a_label_gets_its_mean_score_and_its_attended_one(tiles):
    torch.manual_seed(0)
    part = Pooling(3, 6, tiles=tiles)
    for weight in part.parameters():
        torch.nn.init.normal_(weight)
    views = 5 if tiles else 1
    maps = torch.randn(2, views, 6, 2, 4)
    logits = part(maps)
    for image in range(2):
        for label in range(3):
            scores = []
            for view in range(views):
                classifier = part.weight[label]
                if tiles and view == 4:
                    classifier = classifier + part.whole[label]
                for row in range(2):
                    scores += [classifier @ maps[image, view, :, row, place] for place in range(4)]
            scores = torch.stack(scores)
            shares = scores.exp() / scores.exp().sum()
            expected = scores.mean() + part.attended[label] * (shares * scores).sum()
            torch.testing.assert_close(logits[image, label], expected)


def test_the_model_adds_it_to_the_decoder_s_scores(make_model):
    model = make_model(pooling=True)
    maps = model.maps(torch.randn(2, 3, 64, 64))
    together, added = model.score(maps), model.pooling(maps)
    model.pooling = None
    torch.testing.assert_close(together, model.score(maps) + added)
    assert added.abs().max() > 0.01
