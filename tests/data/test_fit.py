import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lcnet.config import Train
from lcnet.data.fit import over_picture, place_in_square
from lcnet.data.transforms import Preprocessing, eval_transform, keep_transform, train_transform

SIDES = st.integers(1, 3000)
MEAN = (0.5, 0.4, 0.3)


def expected(fit, side=32, mean=MEAN):
    return Preprocessing(side, mean, (0.2,) * len(mean), "bilinear", fit)


@given(st.sampled_from(["pad", "crop"]), SIDES, SIDES, st.integers(8, 500))
@settings(deadline=None)
def test_a_picture_keeps_its_shape_and_lies_in_the_middle(fit, width, height, side):
    left, top, right, bottom = place_in_square(fit, (width, height), side)
    inner = (right - left, bottom - top)
    assert (max if fit == "pad" else min)(inner) == side
    scale = side / (max if fit == "pad" else min)(width, height)
    assert abs(inner[0] - width * scale) <= 1 and abs(inner[1] - height * scale) <= 1
    assert abs(left - (side - right)) <= 1 and abs(top - (side - bottom)) <= 1


@pytest.mark.parametrize("mean", [(0.4,), MEAN, (0.5, 0.4, 0.3, 0.2, 0.1)])
def test_pad_has_a_border_of_the_mean_colour(mean):
    pixels = torch.full((len(mean), 10, 40), 255, dtype=torch.uint8)
    square = eval_transform(expected("pad", mean=mean))(pixels)
    border = torch.tensor([round(255 * value) for value in mean])[:, None]
    assert square.shape == (len(mean), 32, 32)
    assert (square[:, 12:20] == 255).all()
    assert (square[:, :12].flatten(1) == border).all()
    assert (square[:, 20:].flatten(1) == border).all()


def test_crop_takes_the_middle():
    picture = Image.new("L", (90, 30))
    picture.paste(255, (30, 0, 60, 30))
    square = eval_transform(expected("crop", mean=(0.5,)))(picture)
    assert square.shape == (1, 32, 32)
    assert (square[:, :, 2:-2] > 250).all()


@pytest.mark.parametrize("fit", ["squash", "pad", "crop"])
@pytest.mark.parametrize("size", [(50, 20), (20, 50), (31, 90), (32, 32)])
def test_a_square_that_was_kept_is_taken_as_it_is(fit, size):
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (*size, 3)).astype(np.uint8))
    kept = keep_transform(expected(fit), 32)(picture)
    square = eval_transform(expected(fit))(picture)
    assert kept.equal(square)
    assert eval_transform(expected(fit))(kept).equal(square)
    plain = Train(flip=False, randaugment=0, cutout=0.0)
    assert train_transform(expected(fit), plain)(picture).equal(square)


@pytest.mark.parametrize("fit", ["squash", "pad", "crop"])
def test_random_crops_fill_the_square_whatever_the_fit(fit):
    recipe = Train(min_scale=0.3, flip=True, randaugment=0, cutout=0.0)
    transform = train_transform(expected(fit), recipe)
    pixels = torch.arange(3 * 40 * 90).reshape(3, 40, 90).to(torch.uint8)
    assert all(transform(pixels).shape == (3, 32, 32) for _ in range(20))


@pytest.mark.parametrize("fit", ["squash", "pad", "crop"])
@pytest.mark.parametrize("size", [(120, 40), (40, 120), (77, 50), (30, 30)])
def test_a_spot_on_the_map_is_the_spot_in_the_picture(fit, size):
    """A bright spot goes through the transform as heat, and back to its place."""
    from lcnet.predicting.picture_explanation import hot_box, peak_of

    width, height = size
    x, y = width // 2 + 8, height // 2 - 6  # inside every middle square
    picture = Image.new("L", size)
    picture.paste(255, (x - 3, y - 3, x + 4, y + 4))
    heat = eval_transform(expected(fit, 96, (0.0,)))(picture)[0].numpy().astype(np.float32)
    whole = over_picture(heat, fit, size)
    assert whole.sum() == pytest.approx(1, abs=1e-5)
    peak, box = peak_of(whole, size), hot_box(whole, size)
    assert abs(peak[0] - x) <= 5 and abs(peak[1] - y) <= 5
    assert np.abs(np.array(box) - (x - 3, y - 3, x + 4, y + 4)).max() <= 2


def test_a_map_without_heat_in_the_picture_is_the_same_everywhere():
    heat = np.zeros((32, 32), np.float32)
    heat[0] = 1  # on the border
    whole = over_picture(heat, "pad", (40, 10))
    assert whole.shape == (8, 32)
    assert np.ptp(whole) == 0 and whole.sum() == pytest.approx(1)
