"""Pictures kept on disk as large as a model needs them."""

import os
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tests.marks import marks

from lcnet.config import Data, Train
from lcnet.data import dataset, image_cache, pictures
from lcnet.data.dataset import Draw, ImageLabels, Sample, Split
from lcnet.data.image_cache import CachedImages, bytes_needed
from lcnet.data.pictures import eval_pictures, train_pictures
from lcnet.data.transforms import Preprocessing, eval_transform, train_transform
from lcnet.errors import ConfigError, DataError

EXPECTED = Preprocessing(32, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3), "bilinear")
SIZES = ((50, 90), (120, 60), (20, 24), (32, 32))


@pytest.fixture
def split(tmp_path):
    rng, samples = np.random.default_rng(0), []
    for index, (width, height) in enumerate(SIZES):
        pixels = rng.integers(0, 256, size=(height, width, 3)).astype(np.uint8)
        path = tmp_path / f"{index}.{('png', 'jpg')[index % 2]}"
        Image.fromarray(pixels).save(path)
        samples.append(Sample(path, f"list.csv:{index + 2}"))
    return Split(("odd",), tuple(samples), marks([[0], [1], [0], [1]]), "list.csv")


@pytest.fixture
def data(tmp_path):
    return Data(cache_images=str(tmp_path / "kept"), workers=0)


def items(images):
    return [images[index] for index in range(len(images))]


def same(ours, theirs):
    pairs = zip(ours, theirs, strict=True)
    return all(a.equal(b) and s.equal(t) for (a, s), (b, t) in pairs)


def test_kept_pictures_are_the_very_pixels_that_are_read_from_files(split, data, capsys):
    kept = eval_pictures(split, data, EXPECTED)
    assert isinstance(kept.pixels, CachedImages)
    assert len(kept.pixels) == 4
    assert same(items(kept), items(ImageLabels(split, eval_transform(EXPECTED))))
    said = " ".join(capsys.readouterr().out.split())
    assert "keeping 4 pictures of list.csv" in said
    assert "32 x 32 px" in said


def test_without_a_folder_nothing_is_kept(split, tmp_path):
    before = sorted(tmp_path.iterdir())
    assert eval_pictures(split, Data(workers=0), EXPECTED).pixels is None
    assert sorted(tmp_path.iterdir()) == before


def test_training_without_a_crop_shares_them_with_validation(split, data, tmp_path):
    recipe = Train(randaugment=5)
    kept = train_pictures(split, data, EXPECTED, recipe)
    eval_pictures(split, data, EXPECTED)
    assert len(list((tmp_path / "kept").glob("*.images"))) == 1
    plain = ImageLabels(split, train_transform(EXPECTED, recipe))
    draws = [Draw(index % 4, index) for index in range(12)]
    assert same([kept[draw] for draw in draws], [plain[draw] for draw in draws])


def test_random_crops_keep_more_pixels_in_the_picture_s_proportions(split, data):
    recipe = Train(min_scale=0.7, randaugment=0, cutout=0)  # needs 43 pixels a side
    kept = train_pictures(split, data, EXPECTED, recipe)
    assert kept.pixels.sizes.tolist() == [[77, 43], [43, 86], [24, 20], [32, 32]]
    plain = ImageLabels(split, train_transform(EXPECTED, recipe))
    # What is not shrunk is cropped from the same pixels.
    assert same([kept[Draw(2, 7)], kept[Draw(3, 8)]], [plain[Draw(2, 7)], plain[Draw(3, 8)]])
    assert kept[Draw(0, 7)][0].shape == (3, 32, 32)
    assert bytes_needed(split, 43, square=False) >= kept.pixels.file.stat().st_size


def test_room_on_disk_is_known_before(split, data):
    file = eval_pictures(split, data, EXPECTED).pixels.file
    assert file.stat().st_size == bytes_needed(split, 32, square=True) == 4 * (3 * 32 * 32 + 8)


def test_pictures_are_decoded_once(split, data, monkeypatch):
    first = items(eval_pictures(split, data, EXPECTED))
    monkeypatch.setattr(dataset, "read_pixels", None)
    assert same(items(eval_pictures(split, data, EXPECTED)), first)


@pytest.mark.parametrize("change", ["pixels", "time", "size", "interpolation", "rows"])
def test_whatever_changes_the_pixels_keeps_them_anew(split, data, change):
    first = eval_pictures(split, data, EXPECTED).pixels.file
    path, expected = split.samples[0].path, EXPECTED
    if change == "pixels":
        Image.new("RGB", (50, 90), "red").save(path)
    elif change == "time":
        os.utime(path, ns=(1, 1))
    elif change == "rows":
        split = split.chosen(np.arange(3))
    else:
        expected = replace(EXPECTED, **{change: {"size": 40, "interpolation": "bicubic"}[change]})
    again = eval_pictures(split, data, expected)
    assert again.pixels.file != first
    assert same(items(again), items(ImageLabels(split, eval_transform(expected))))


def test_mean_and_targets_do_not_matter(split, data):
    first = eval_pictures(split, data, EXPECTED).pixels.file
    other = replace(EXPECTED, mean=(0.0, 0.0, 0.0))
    assert eval_pictures(split, data, other).pixels.file == first


def test_a_broken_picture_is_named_and_nothing_half_written_stays(split, data, tmp_path):
    split.samples[2].path.write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"2\.png.*list\.csv:4"):
        eval_pictures(split, data, EXPECTED)
    assert [path.suffix for path in (tmp_path / "kept").iterdir()] == [".lock"]


def test_a_file_that_was_cut_short_is_refused_in_one_line(split, data):
    kept = eval_pictures(split, data, EXPECTED).pixels
    kept.file.write_bytes(kept.file.read_bytes()[:-100])
    with pytest.raises(DataError, match="expected 4 whole pictures") as error:
        eval_pictures(split, data, EXPECTED)
    assert "\n" not in str(error.value)
    kept.file.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        kept[0]


def test_a_folder_that_cannot_be_is_refused_in_one_line(split, data, tmp_path, monkeypatch):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(ConfigError, match="expected a folder, got a file"):
        eval_pictures(split, replace(data, cache_images=str(tmp_path / "taken")), EXPECTED)
    usage = type("Usage", (), {"free": 100})
    monkeypatch.setattr(image_cache.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(ConfigError, match=r"need 0\.0 MB there and 0\.0 MB are free"):
        eval_pictures(split, data, EXPECTED)


def test_loader_processes_get_no_copy_of_the_pictures(split, data):
    kept = eval_pictures(split, data, EXPECTED)
    assert len(pickle.dumps(kept.pixels)) < 2000
    assert pickle.loads(pickle.dumps(kept.pixels))[1].equal(kept.pixels[1])


def test_processes_keep_the_same_pictures(split, data, monkeypatch, tmp_path):
    monkeypatch.setattr("lcnet.data.loading.FEW", 0)
    ours = eval_pictures(split, replace(data, workers=2), EXPECTED)
    other = replace(data, cache_images=str(tmp_path / "other"))
    assert same(items(ours), items(eval_pictures(split, other, EXPECTED)))
    assert pictures.has_images(tmp_path / "other", ours.pixels.file.stem)
    assert isinstance(ours[0][0], torch.Tensor)
