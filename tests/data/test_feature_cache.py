"""Feature maps that are kept in place of pictures."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tests.marks import marks

from lcnet.data.dataset import Draw, Sample, Split
from lcnet.data.feature_cache import CachedMaps, cached_maps, network_key, split_key
from lcnet.data.loading import eval_loader, train_loader
from lcnet.errors import DataError

WEIGHTS = {"conv.weight": torch.arange(6.0).view(2, 3), "conv.bias": torch.ones(2)}


@pytest.fixture
def split(tmp_path):
    """Five pictures with targets of two labels, one of them unknown."""
    samples = []
    for number in range(5):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (4, 4), (number, 0, 0)).save(path)
        samples.append(Sample(path))
    return Split(
        ("a", "b"), tuple(samples), marks([[0, 0], [1, 0], [0, 0], [1, -1], [0, 0]]), "train"
    )


def images(split):
    """A picture's number in each of its pixels, in batches of 2."""
    numbers = torch.tensor([float(sample.path.stem) for sample in split.samples])
    return list(numbers.split(2))


def maps_of(batch):
    """Two views of one channel and one place: the number, and a third more."""
    return torch.stack([batch, batch + 1 / 3], dim=1)[:, :, None, None, None]


def two_versions(count: int = 40) -> CachedMaps:
    """Maps that are the picture's number, and less than 0 in the mirrored version."""
    plain = torch.arange(float(count)).half().view(-1, 1, 1, 1, 1)
    return CachedMaps([plain, -1 - plain], torch.arange(count)[:, None])


def test_maps_are_kept_in_half_precision_with_their_targets(tmp_path, split):
    cached = cached_maps(tmp_path / "kept", "key", split, images, maps_of)
    assert len(cached) == 5
    for number in range(5):
        maps, targets = cached[number]
        assert maps.shape == (2, 1, 1, 1)
        assert maps.dtype == torch.float16
        expected = torch.tensor([number, number + 1 / 3])
        torch.testing.assert_close(maps.flatten().float(), expected, atol=0, rtol=2**-11)
        assert targets.tolist() == split.targets[number].tolist()
    assert cached.size == 5 * 2 * 2


def test_maps_beyond_half_precision_end_at_its_ends(tmp_path, split):
    cached = cached_maps(tmp_path, "key", split, images, lambda x: 1e6 * maps_of(x))
    assert cached[0][0].flatten().tolist() == [0, 65504]
    cached = cached_maps(tmp_path, "other", split, images, lambda x: -1e9 * x)
    assert cached[4][0].item() == -65504


def test_maps_are_computed_once_and_then_read(tmp_path, split):
    calls = []

    def counted(batch):
        assert torch.is_inference_mode_enabled()
        calls.append(len(batch))
        return maps_of(batch)

    def asked(split):
        calls.append("images")
        return images(split)

    first = cached_maps(tmp_path / "kept", "key", split, asked, counted)
    assert calls == ["images", 2, 2, 1]
    again = cached_maps(tmp_path / "kept", "key", split, asked, counted)
    assert calls == ["images", 2, 2, 1]
    assert torch.stack([*again.versions[0]]).equal(torch.stack([*first.versions[0]]))
    assert again.targets.equal(first.targets)
    cached_maps(tmp_path / "kept", "another key", split, asked, counted)
    assert calls[4:] == ["images", 2, 2, 1]


def test_targets_are_the_split_s_of_now(tmp_path, split):
    cached_maps(tmp_path / "kept", "key", split, images, maps_of)
    other = replace(split, targets=np.ones_like(split.targets))
    again = cached_maps(tmp_path / "kept", "key", other, images, maps_of)
    assert (again.targets == 1).all()


def test_work_that_is_broken_off_leaves_no_maps(tmp_path, split, monkeypatch):
    def broken(split):
        yield torch.tensor([0.0, 1.0])
        raise RuntimeError("stop")

    def full_disk(tensors, file):
        file.write_bytes(b"half")
        raise OSError("no space")

    with pytest.raises(RuntimeError, match="stop"):
        cached_maps(tmp_path / "kept", "key", split, broken, maps_of)
    monkeypatch.setattr("lcnet.data.feature_cache.save_file", full_disk)
    with pytest.raises(OSError, match="no space"):
        cached_maps(tmp_path / "kept", "key", split, images, maps_of)
    assert [file.name for file in tmp_path.glob("kept/*")] == ["key.lock"]


def test_what_splits_share_is_computed_once(tmp_path, split):
    computed = []

    def counted(batch):
        computed.extend(batch.tolist())
        return maps_of(batch)

    def kept(rows):
        cached = cached_maps(tmp_path, "key", split.chosen(np.array(rows, int)), images, counted)
        assert [int(cached[number][0].flatten()[0]) for number in range(len(cached))] == rows
        return cached

    kept([3, 1])
    assert computed == [3, 1]
    kept([1, 4, 3, 0, 1])
    assert computed == [3, 1, 4, 0]
    assert kept([4, 4, 4]).size == 3 * 2 * 2
    kept([2, 0])
    assert computed == [3, 1, 4, 0, 2]
    assert kept([]).size == 0


def test_a_stopped_computation_goes_on_after_its_last_file(tmp_path, split, monkeypatch):
    monkeypatch.setattr("lcnet.data.feature_cache.PART", 2)
    computed = []

    def stopped(batch):
        if 4 in batch and len(computed) < 5:
            raise KeyboardInterrupt
        computed.extend(batch.tolist())
        return maps_of(batch)

    with pytest.raises(KeyboardInterrupt):
        cached_maps(tmp_path, "key", split, images, stopped)
    with pytest.raises(KeyboardInterrupt):
        cached_maps(tmp_path, "key", split, images, stopped)
    assert computed == [0, 1, 2, 3]
    computed.append(-1)
    assert cached_maps(tmp_path, "key", split, images, stopped)[4][0].flatten()[0] == 4
    assert len(list(tmp_path.glob("key-*.safetensors"))) == 3


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: b"", lambda data: b"x" * 99]
)
def test_a_damaged_file_is_named_with_what_to_do(tmp_path, split, damage):
    cached_maps(tmp_path, "key", split, images, maps_of)
    (file,) = tmp_path.glob("*.safetensors")
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DataError, match=rf"{file}.*damaged file.*Delete it"):
        cached_maps(tmp_path, "key", split, images, maps_of)
    file.unlink()
    assert len(cached_maps(tmp_path, "key", split, images, maps_of)) == 5


def changed_weight():
    return {**WEIGHTS, "conv.bias": torch.tensor([1.0, 1.0001])}, (2, 32)


def renamed_weight():
    return {"conv.weight": WEIGHTS["conv.weight"], "conv.added": torch.ones(2)}, (2, 32)


def changed_setting():
    return WEIGHTS, (3, 32)


@pytest.mark.parametrize("change", [changed_weight, renamed_weight, changed_setting])
def test_a_network_s_key_tells_its_weights_and_settings(change):
    key = network_key(WEIGHTS, (2, 32))
    copied = {name: weight.clone() for name, weight in reversed(WEIGHTS.items())}
    assert network_key(copied, (2, 32)) == key
    assert network_key(*change()) != key


def as_they_were(split):
    return Split(("c", "d"), split.samples, np.ones_like(split.targets), "other")


def fewer_pictures(split):
    return split.chosen(np.arange(4))


def other_order(split):
    return split.chosen(np.arange(5)[::-1])


def larger_picture(split):
    path = split.samples[2].path
    before = path.stat()
    path.write_bytes(path.read_bytes() + b" ")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return split


def newer_picture(split):
    path = split.samples[2].path
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 10))
    return split


@pytest.mark.parametrize(
    ("change", "same", "anew"),
    [
        (as_they_were, True, []),
        (fewer_pictures, False, []),
        (other_order, False, []),
        (larger_picture, False, [2]),
        (newer_picture, False, [2]),
    ],
)
def test_pictures_are_known_by_path_size_and_time(tmp_path, split, change, same, anew):
    computed = []

    def counted(batch):
        computed.extend(batch.tolist())
        return maps_of(batch)

    cached_maps(tmp_path / "kept", "key", split, images, counted)
    key = split_key(split, 32)
    assert split_key(split, 31) != key
    changed = change(split)
    assert (split_key(changed, 32) == key) is same
    cached_maps(tmp_path / "kept", "key", changed, images, counted)
    assert computed[5:] == anew


def test_the_seed_of_a_draw_picks_the_version():
    data = two_versions()
    assert [data[Draw(7, seed)][0].item() for seed in (0, 1, 2, 3, 2**63 - 1)] == [7, -8, 7, -8, -8]
    assert data[Draw(7, 1)][1].item() == 7
    assert data[7][0].item() == 7  # without a draw, as it is
    alone = CachedMaps(data.versions[:1], data.targets)
    assert [alone[Draw(7, seed)][0].item() for seed in (0, 1)] == [7, 7]


def test_an_epoch_shows_each_picture_once_about_half_of_them_mirrored():
    loader = train_loader(two_versions(), batch_size=8, workers=0, seed=0)
    epochs = []
    for epoch in range(4):
        loader.sampler.start(epoch)
        maps = torch.cat([maps for maps, _ in loader]).flatten()
        targets = torch.cat([targets for _, targets in loader]).flatten()
        assert torch.where(maps < 0, -1 - maps, maps).equal(targets.half())
        assert targets.sort().values.equal(torch.arange(40))
        assert 8 <= (maps < 0).sum() <= 32
        epochs.append({int(target) for target in targets[maps < 0]})
    assert len({frozenset(mirrored) for mirrored in epochs}) == 4


def test_validation_sees_no_mirrored_version():
    loader = eval_loader(two_versions(), batch_size=8, workers=0)
    assert torch.cat([maps for maps, _ in loader]).flatten().tolist() == list(range(40))


def test_what_was_computed_without_gradients_can_be_learned_from(tmp_path, split):
    layer = torch.nn.Linear(1, 1)

    def layered(batch):
        return layer(batch[:, None])

    for key in ("key", "key"):  # computed, then read
        cached = cached_maps(tmp_path, key, split, images, layered)
        for maps, _ in train_loader(cached, batch_size=2, workers=0, seed=0):
            layer(maps.float()).sum().backward()
    assert layer.weight.grad.item() != 0
