import torch

from lcnet.model.crops import Crops
from lcnet.model.image_tokens import ImageTokens


def test_tokens_stand_view_by_view_and_row_by_row():
    maps = torch.arange(2 * 5 * 6 * 2 * 3).float().view(2, 5, 6, 2, 3)
    part = ImageTokens(Crops(2, 8).boxes(), 6, 4, encode=False)
    tokens = part(maps)
    assert tokens.shape == (2, 5 * 2 * 3, 4)
    expected = part.project(maps[1, 3, :, 1, 2])
    torch.testing.assert_close(tokens[1, 3 * 6 + 1 * 3 + 2], expected)


def test_every_token_has_its_own_position():
    positions = ImageTokens(Crops(3, 8).boxes(), 6, 48).positions(4, 4)
    distances = torch.cdist(positions, positions) + 10 * torch.eye(len(positions))
    assert distances.min() > 0.05
    assert positions.abs().max() <= 1


def test_neighbours_across_the_border_of_two_tiles_are_near():
    positions = ImageTokens(Crops(2, 8).boxes(), 6, 48).positions(4, 4).view(5, 4, 4, 48)
    across = (positions[0, 1, 3] - positions[1, 1, 0]).norm()
    within = (positions[0, 1, 2] - positions[0, 1, 3]).norm()
    far = (positions[0, 1, 0] - positions[1, 1, 3]).norm()
    torch.testing.assert_close(across, within)
    assert far > across


def test_the_same_place_differs_between_tile_and_whole():
    positions = ImageTokens(Crops(1, 8).boxes(), 6, 48).positions(2, 2).view(2, 4, 48)
    assert positions[0].equal(positions[1])  # level 1: the tile is the whole image
    positions = ImageTokens(Crops(2, 8).boxes(), 6, 48).positions(1, 1).view(5, 48)
    assert (positions[:4] - positions[4]).norm(dim=1).min() > 0.5
