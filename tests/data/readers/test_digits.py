import json

import numpy as np
import pytest

from lcnet.data.decoding import read_image
from lcnet.data.readers import digits, load_split
from lcnet.data.readers.digits import draw_digits, read_digits, write_scenes
from lcnet.errors import DataError


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(digits, "SCENES", {"train": 40, "val": 10, "test": 10})


def test_scenes_are_drawn_once_and_read_back(few, tmp_path):
    split = read_digits(tmp_path, "train")
    assert split.labels == tuple("0123456789")
    assert len(split) == 40
    assert all(sample.path.is_file() for sample in split.samples)
    picture = split.samples[7].path
    assert read_image(picture).size == (192, 192)
    picture.write_bytes(b"mine")
    assert read_digits(tmp_path, "train") == split
    assert picture.read_bytes() == b"mine"


def test_targets_are_the_digits_in_the_scene_and_boxes_lie_inside(few, tmp_path):
    split = read_digits(tmp_path, "val")
    scenes = json.loads((tmp_path / "val" / "scenes.json").read_text())
    for sample, targets in zip(split.samples, split.targets, strict=True):
        places = scenes[sample.path.name]
        shown = {label for label, value in zip(split.labels, targets, strict=True) if value}
        assert shown == {place["label"] for place in places}
        assert 1 <= len(shown) <= 6
        assert all(0 <= place["left"] <= 192 - place["size"] for place in places)


def test_the_same_seed_gives_the_same_pictures_and_another_gives_others(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_scenes(tmp_path / name, "test", scenes=3, seed=seed)
    scene = [(tmp_path / name / "000001.jpg").read_bytes() for name in "abc"]
    assert scene[0] == scene[1] != scene[2]


def test_splits_share_no_handwriting():
    images = {split: digits.handwriting(split)[0] for split in ("train", "val", "test")}
    seen = [{image.tobytes() for image in part} for part in images.values()]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])
    assert sum(map(len, images.values())) == 1797


def test_labels_co_occur_as_stated():
    rng = np.random.default_rng(0)
    targets = np.zeros((20000, 10))
    for row in targets:
        row[list(digits.draw_labels(rng))] = 1
    roots = sum((count + 1) * p for count, p in enumerate(digits.ROOT_PROBABILITIES))
    assert targets.sum(axis=1).mean() == pytest.approx(roots * 1.75, abs=0.35)
    for digit, companion in enumerate(digits.COMPANION):
        given = targets[targets[:, digit] == 1]
        with_companion = given[:, companion].mean()
        others = np.delete(given.mean(axis=0), [digit, companion, digits.COMPANION.index(digit)])
        assert with_companion > 0.45
        assert with_companion > others.max() + 0.15


def test_an_unfinished_folder_is_drawn_again(few, tmp_path):
    (tmp_path / "val").mkdir()
    (tmp_path / "val" / "000000.jpg").write_bytes(b"half")
    split = read_digits(tmp_path, "val")
    assert read_image(split.samples[0].path).size == (192, 192)


def test_another_split_or_a_model_of_other_labels_is_refused(few, tmp_path):
    with pytest.raises(DataError, match="expected split train, val or test, got 'all'"):
        read_digits(tmp_path, "all")
    with pytest.raises(DataError, match="does not know the labels 1, 2"):
        read_digits(tmp_path, "val", ("0", "cat"))
    assert list(tmp_path.iterdir()) == []


def test_a_small_data_set_is_drawn_once(tmp_path):
    data = draw_digits(tmp_path, train=3, val=2, test=2)
    assert [len(load_split(data, split)) for split in ("train", "val", "test")] == [3, 2, 2]
    first = (tmp_path / "train" / "000000.jpg").stat().st_mtime_ns
    draw_digits(tmp_path, train=3, val=1, test=2)
    assert (tmp_path / "train" / "000000.jpg").stat().st_mtime_ns == first
    assert len(load_split(data, "val")) == 1
