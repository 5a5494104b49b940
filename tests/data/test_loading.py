import os

import numpy as np
import torch
from PIL import Image
from tests.marks import marks

from lcnet.data.dataset import ImageLabels, Sample, Split
from lcnet.data.loading import (
    SeededSampler,
    available_cores,
    chosen_workers,
    eval_loader,
    train_loader,
)
from lcnet.data.transforms import Normalize, Preprocessing, Transform, eval_transform


def data(tmp_path, count=10):
    for index in range(count):
        Image.new("RGB", (4, 4), (index, 0, 0)).save(tmp_path / f"{index}.png")
    samples = tuple(Sample(tmp_path / f"{index}.png") for index in range(count))
    first_pixel = Transform(lambda image: torch.tensor(image.getpixel((0, 0))), decode_size=0)
    return ImageLabels(
        Split(("odd",), samples, marks([[index % 2] for index in range(count)])), first_pixel
    )


def test_an_epoch_holds_each_sample_once_in_its_own_order():
    sampler = SeededSampler(100, seed=3)
    first = list(sampler)
    assert sorted(draw.index for draw in first) == list(range(100))
    assert list(sampler) == first
    sampler.start(1)
    assert [draw.index for draw in sampler] != [draw.index for draw in first]
    assert list(SeededSampler(100, seed=4)) != first


def test_training_leaves_out_a_last_smaller_batch_unless_it_is_the_only_one(tmp_path):
    settings = {"workers": 0, "seed": 0}
    batches = list(train_loader(data(tmp_path), batch_size=4, **settings))
    assert [len(targets) for _, targets in batches] == [4, 4]
    assert len(list(train_loader(data(tmp_path), batch_size=50, **settings))) == 1


def test_evaluation_keeps_the_order_and_every_sample(tmp_path):
    batches = list(eval_loader(data(tmp_path), batch_size=4, workers=0))
    assert torch.cat([images for images, _ in batches])[:, 0].tolist() == list(range(10))


def test_shares_decide_how_often_a_sample_comes_up():
    shares = np.array([1.0] * 90 + [4.0] * 10)
    sampler = SeededSampler(100, seed=3, shares=shares)
    drawn = list(sampler)
    assert list(sampler) == drawn
    assert len(drawn) == len(sampler) == 100
    counts = np.bincount([draw.index for draw in drawn], minlength=100)
    expected = 100 * shares / shares.sum()  # 0.77 and 3.08
    assert (np.abs(counts - expected) < 1).all()
    assert len({draw.seed for draw in drawn}) == 100
    # Over epochs chance evens out, and the last places hold no more of one kind than the first.
    total, first_half = np.zeros(100), 0
    for epoch in range(200):
        sampler.start(epoch)
        indices = [draw.index for draw in sampler]
        total += np.bincount(indices, minlength=100)
        first_half += sum(index >= 90 for index in indices[:50])
    np.testing.assert_allclose(total / 200, expected, atol=0.12)
    assert abs(first_half / 200 / 50 - 0.3077) < 0.02


def test_equal_shares_show_every_sample_once():
    drawn = [draw.index for draw in SeededSampler(50, seed=1, shares=np.full(50, 0.3))]
    assert sorted(drawn) == list(range(50))


def test_batches_are_uint8_and_lie_as_pixels_do(tmp_path):
    rng = np.random.default_rng(0)
    for index in range(3):
        pixels = rng.integers(0, 256, size=(20, 30, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    samples = tuple(Sample(tmp_path / f"{index}.png") for index in range(3))
    expected = Preprocessing(16, (0.5,) * 3, (0.2,) * 3, "bilinear")
    pictures = ImageLabels(Split(("a",), samples, marks([[0], [1], [0]])), eval_transform(expected))
    for workers in (0, 1):
        ((images, targets),) = eval_loader(pictures, batch_size=4, workers=workers)
        assert (images.dtype, images.shape, targets.shape) == (torch.uint8, (3, 3, 16, 16), (3, 1))
        assert images.is_contiguous(memory_format=torch.channels_last)
        assert images.equal(torch.stack([image for image, _ in pictures]))
    normal = Normalize(expected)(images)
    assert normal.is_contiguous(memory_format=torch.channels_last)


def test_the_cores_that_count_are_those_the_process_may_use(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for cores, workers in ((1, 0), (2, 0), (4, 3), (64, 8)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=cores: set(range(n)))
        assert (available_cores(), chosen_workers(-1), chosen_workers(5)) == (cores, workers, 5)
