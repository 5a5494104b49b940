import torch
from PIL import Image

from lcnet.data.dataset import ImageLabels, Sample, Split
from lcnet.data.loading import SeededSampler, eval_loader, train_loader


def data(tmp_path, count=10):
    for index in range(count):
        Image.new("RGB", (4, 4), (index, 0, 0)).save(tmp_path / f"{index}.png")
    samples = tuple(Sample(tmp_path / f"{index}.png", (index % 2,)) for index in range(count))
    return ImageLabels(Split(("odd",), samples), lambda image: torch.tensor(image.getpixel((0, 0))))


def test_an_epoch_holds_each_sample_once_in_its_own_order():
    sampler = SeededSampler(100, seed=3)
    first = list(sampler)
    assert sorted(draw.index for draw in first) == list(range(100))
    assert list(sampler) == first
    sampler.set_epoch(1)
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
