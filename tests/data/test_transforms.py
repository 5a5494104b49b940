from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import v2

from lcnet.config import Train
from lcnet.data.transforms import (
    Normalize,
    Preprocessing,
    RandomRegion,
    eval_transform,
    train_size,
    train_transform,
)

EXPECTED = Preprocessing(32, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3), "bicubic")
PLAIN = {"flip": False, "randaugment": 0, "cutout": 0.0}


def picture(width=50, height=20):
    pixels = np.random.default_rng(0).integers(0, 256, size=(height, width, 3))
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.mark.parametrize(("name", "most"), [("bilinear", 1), ("bicubic", 2)])
@pytest.mark.parametrize("size", [(50, 20), (200, 150), (20, 24), (32, 32)])
def test_evaluation_resizes_as_pillow_does_within_rounding(name, most, size):
    tensor = eval_transform(replace(EXPECTED, interpolation=name))(picture(*size))
    resized = np.asarray(picture(*size).resize((32, 32), Image.Resampling[name.upper()]))
    assert (tensor.dtype, tensor.shape) == (torch.uint8, (3, 32, 32))
    apart = np.abs(tensor.permute(1, 2, 0).numpy().astype(int) - resized)
    assert apart.max() <= most
    assert apart.mean() < 0.05


def test_batches_are_normalised_as_the_backbone_expects():
    batch = torch.stack([eval_transform(EXPECTED)(picture(width)) for width in (32, 50)])
    kept = batch.clone()
    images = Normalize(EXPECTED)(batch)
    usual = v2.functional.normalize(batch / 255, list(EXPECTED.mean), list(EXPECTED.std))
    assert images.dtype == torch.float32
    torch.testing.assert_close(images, usual, atol=1e-6, rtol=1e-6)
    assert batch.equal(kept)
    with pytest.raises(TypeError, match="uint8"):
        Normalize(EXPECTED)(images)


def test_a_crop_is_decoded_large_enough_for_its_smallest_share():
    transform = train_transform(EXPECTED, Train(min_scale=0.25))
    assert transform.decode_size == 72  # 32 / sqrt(0.8 * 0.25) = 71.6
    assert train_transform(EXPECTED, Train()).decode_size == 32
    assert eval_transform(EXPECTED).decode_size == 32


def test_interpolation_is_the_backbone_s_own():
    bilinear = Preprocessing(32, EXPECTED.mean, EXPECTED.std, "bilinear")
    assert not eval_transform(EXPECTED)(picture()).equal(eval_transform(bilinear)(picture()))


def test_training_without_augmentation_is_evaluation():
    transform = train_transform(EXPECTED, Train(**PLAIN))
    assert transform(picture()).equal(eval_transform(EXPECTED)(picture()))


@pytest.mark.parametrize(
    "settings",
    [
        {"flip": True},
        {"vertical_flip": True},
        {"rotation": 30.0},
        {"randaugment": 9},
        {"cutout": 0.5},
        {"min_scale": 0.4},
    ],
)
def test_each_augmentation_changes_pictures_at_random_but_not_their_shape(settings):
    transform = train_transform(EXPECTED, Train(**{**PLAIN, **settings}))
    tensors = [transform(picture()) for _ in range(20)]
    assert all(tensor.shape == (3, 32, 32) for tensor in tensors)
    assert any(not tensor.equal(tensors[0]) for tensor in tensors)


def test_a_vertical_flip_turns_half_of_the_pictures_upside_down():
    upright = eval_transform(EXPECTED)(picture())
    transform = train_transform(EXPECTED, Train(**PLAIN, vertical_flip=True))
    torch.manual_seed(0)
    tensors = [transform(picture()) for _ in range(60)]
    turned = sum(tensor.equal(upright.flip(-2)) for tensor in tensors)
    assert turned + sum(tensor.equal(upright) for tensor in tensors) == 60
    assert 15 < turned < 45


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_rotation_turns_any_channels_and_fills_the_corners_with_the_mean(channels):
    levels = tuple(round(0.1 * (1 + channel), 1) for channel in range(channels))
    expected = Preprocessing(32, levels, (0.2,) * channels, "bilinear")
    transform = train_transform(expected, Train(**PLAIN, rotation=45.0))
    white = torch.full((channels, 40, 40), 255, dtype=torch.uint8)
    torch.manual_seed(0)
    tensors = [transform(white) for _ in range(20)]
    mean = torch.tensor([round(255 * level) for level in levels])
    corners = [tensor[:, 0, 0] for tensor in tensors]
    assert all(tensor[:, 16, 16].eq(255).all() for tensor in tensors)
    assert sum(bool((corner - mean).abs().max() <= 1) for corner in corners) > 10
    assert all(tensor.shape == (channels, 32, 32) for tensor in tensors)


def test_rotation_goes_as_far_as_it_says_to_either_side():
    stripe = torch.zeros(3, 101, 101, dtype=torch.uint8)
    stripe[:, 48:53] = 255
    expected = replace(EXPECTED, size=101, mean=(0.0,) * 3)
    transform = train_transform(expected, Train(**PLAIN, rotation=20.0))
    torch.manual_seed(0)
    angles = []
    for _ in range(60):
        rows, columns = np.nonzero((transform(stripe)[0] > 128).numpy())
        angles.append(np.degrees(np.arctan(np.polyfit(columns, rows, 1)[0])))
    assert -20.5 < min(angles) < -14
    assert 14 < max(angles) < 20.5


def test_cutout_blanks_a_square_of_the_stated_side():
    transform = train_transform(EXPECTED, Train(**{**PLAIN, "cutout": 0.5}))
    torch.manual_seed(0)
    mean = torch.tensor([round(255 * value) for value in EXPECTED.mean])[:, None, None]
    plain = Image.new("RGB", (50, 20), "white")
    blank = [int((transform(plain) == mean).all(dim=0).sum()) for _ in range(30)]
    assert set(blank) == {0, 16 * 16}


@given(
    st.integers(8, 1000),
    st.floats(1 / 8, 8),
    st.floats(0.05, 1, exclude_max=True),
    st.integers(0, 2**31),
)
@settings(deadline=None)
def test_a_region_is_inside_and_keeps_its_share_of_the_area(height, ratio, min_scale, seed):
    torch.manual_seed(seed)
    width = max(1, round(height * ratio))
    for _ in range(20):
        top, left, down, across = RandomRegion(min_scale).place(height, width)
        assert top >= 0 and left >= 0 and top + down <= height and left + across <= width
        assert down * across >= min_scale * height * width * (1 - 1e-9)
        # The ratio follows the picture's, up to whole pixels.
        assert (across - 1) / width <= 1.25 * (down / height)
        assert (down - 1) / height <= 1.25 * (across / width)


@given(st.floats(1 / 8, 8), st.floats(0.1, 0.9))
@settings(deadline=None, max_examples=25)
def test_every_pixel_can_be_in_a_region(ratio, min_scale):
    torch.manual_seed(0)
    height, width = round(400 / ratio**0.5), round(400 * ratio**0.5)
    places = torch.tensor([RandomRegion(min_scale).place(height, width) for _ in range(400)])
    tops, lefts, downs, acrosses = places.T
    near = 0.05  # of the length: the last pixel itself is rarely drawn
    assert tops.min() <= near * height and (tops + downs).max() >= (1 - near) * height
    assert lefts.min() <= near * width and (lefts + acrosses).max() >= (1 - near) * width
    spread = (acrosses / width) / (downs / height)
    assert spread.min() < 0.95 and spread.max() > 1.05


@given(st.integers(8, 500), st.floats(1 / 8, 8), st.floats(0.05, 0.95))
@settings(deadline=None, max_examples=50)
def test_a_decoded_picture_is_large_enough_for_every_region(side, ratio, min_scale):
    torch.manual_seed(0)
    expected = Preprocessing(side, (0.5,) * 3, (0.5,) * 3, "bilinear")
    shorter = train_size(expected, Train(min_scale=min_scale))
    height, width = (shorter, round(shorter * ratio)) if ratio >= 1 else (
        round(shorter / ratio), shorter
    )  # fmt: skip
    for _ in range(50):
        _, _, down, across = RandomRegion(min_scale).place(height, width)
        assert min(down, across) >= side
