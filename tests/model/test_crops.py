import pytest
import torch

from lcnet.model.crops import Crops


@pytest.mark.parametrize("level", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(12, 12), (13, 17), (31, 9)])
def test_tiles_cover_the_image_once(level, size):
    crops = Crops(level, 8)
    count = torch.zeros(size)
    for top, bottom in crops._cuts(size[0]):
        for left, right in crops._cuts(size[1]):
            count[top:bottom, left:right] += 1
    assert (count == 1).all()


def test_views_of_a_divisible_image_are_its_pixels_row_by_row():
    image = torch.arange(3 * 8 * 8).float().view(1, 3, 8, 8)
    views = Crops(2, 4)(image)
    assert views.shape == (1, 5, 3, 4, 4)
    assert views[0, 0].equal(image[0, :, :4, :4])
    assert views[0, 1].equal(image[0, :, :4, 4:])
    assert views[0, 2].equal(image[0, :, 4:, :4])
    assert views[0, 3].equal(image[0, :, 4:, 4:])


def test_the_whole_image_is_the_last_view_and_the_only_one_at_level_0():
    image = torch.randn(2, 3, 10, 14)
    assert Crops(0, 6)(image).shape == (2, 1, 3, 6, 6)
    assert Crops(0, 6)(image)[:, 0].equal(Crops(3, 6)(image)[:, -1])


def test_without_antialiasing_views_shrink_as_in_the_release():
    image = torch.randn(1, 3, 16, 16)
    expected = torch.nn.functional.interpolate(image, (4, 4), mode="bilinear", align_corners=False)
    assert Crops(0, 4, antialias=False)(image)[:, 0].equal(expected)
    assert not torch.allclose(Crops(0, 4)(image)[:, 0], expected)


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_boxes_say_where_each_view_lies(level):
    boxes = Crops(level, 8).boxes()
    assert boxes[-1].tolist() == [0, 0, 1, 1]
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    assert len(boxes) == level**2 + 1 == Crops(level, 8).views
    assert areas[:-1].sum().item() == pytest.approx(1 if level else 0)
