import numpy as np
import pytest
import torch
from PIL import Image

from lcnet.config import Train
from lcnet.data.transforms import Preprocessing, eval_transform, train_transform

EXPECTED = Preprocessing(32, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3), "bicubic")
PLAIN = {"flip": False, "randaugment": 0, "cutout": 0.0}


def picture(width=50, height=20):
    pixels = np.random.default_rng(0).integers(0, 256, size=(height, width, 3))
    return Image.fromarray(pixels.astype(np.uint8))


def test_evaluation_resizes_and_normalises_as_the_backbone_expects():
    tensor = eval_transform(EXPECTED)(picture())
    resized = np.asarray(picture().resize((32, 32), Image.Resampling.BICUBIC)) / 255
    normal = (resized - np.array(EXPECTED.mean)) / np.array(EXPECTED.std)
    assert tensor.dtype == torch.float32
    np.testing.assert_allclose(tensor.permute(1, 2, 0), normal, atol=1e-5)


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
    blank = [int((transform(picture()) == 0).all(dim=0).sum()) for _ in range(30)]
    assert set(blank) == {0, 16 * 16}
