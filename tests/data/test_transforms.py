from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from lcnet.config import Train
from lcnet.data.transforms import Normalize, Preprocessing, eval_transform, train_transform

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
    "settings", [{"flip": True}, {"randaugment": 9}, {"cutout": 0.5}, {"min_scale": 0.4}]
)
def test_each_augmentation_changes_pictures_at_random_but_not_their_shape(settings):
    transform = train_transform(EXPECTED, Train(**{**PLAIN, **settings}))
    tensors = [transform(picture()) for _ in range(20)]
    assert all(tensor.shape == (3, 32, 32) for tensor in tensors)
    assert any(not tensor.equal(tensors[0]) for tensor in tensors)


def test_cutout_blanks_a_square_of_the_stated_side():
    transform = train_transform(EXPECTED, Train(**{**PLAIN, "cutout": 0.5}))
    torch.manual_seed(0)
    mean = torch.tensor([round(255 * value) for value in EXPECTED.mean])[:, None, None]
    plain = Image.new("RGB", (50, 20), "white")
    blank = [int((transform(plain) == mean).all(dim=0).sum()) for _ in range(30)]
    assert set(blank) == {0, 16 * 16}
