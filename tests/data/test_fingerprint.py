"""A split that has changed since a run saw it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.marks import marks

from lcnet.config import Data
from lcnet.data.dataset import Sample, Split
from lcnet.data.fingerprint import Fingerprint, changed_since, changes, fingerprint
from lcnet.data.pack import pack
from lcnet.data.readers.shards import read_shards


@pytest.fixture
def split(tmp_path: Path) -> Split:
    samples = []
    for number in range(5):
        (tmp_path / f"{number}.png").write_bytes(b"x" * number)
        samples.append(Sample(tmp_path / f"{number}.png"))
    return Split(
        ("red", "green"), tuple(samples), marks([[0, 1], [1, 1], [0, 1], [1, 1], [0, 1]]), "train"
    )


def test_what_is_the_same_has_the_same_fingerprint_wherever_it_lies(split, tmp_path):
    one = fingerprint(split, tmp_path)
    assert one.digest == fingerprint(split, tmp_path).digest
    assert list(one.pictures) == [f"{number}.png" for number in range(5)]
    assert one.summary() | {"sha256": ""} == {
        "pictures": 5,
        "labels": 2,
        "bytes": 10,
        "sha256": "",
    }


def changed(split: Split, tmp_path: Path, kind: str) -> Split:
    targets = split.targets.copy()
    match kind:
        case "gone":
            return split.chosen(np.arange(1, 5))
        case "new":
            samples = (*split.samples, Sample(tmp_path / "new.png"))
            return replace(split, samples=samples, targets=np.vstack([targets, targets[1:2]]))
        case "with other labels":
            targets[0] = 1
            return replace(split, targets=targets)
        case "order":
            return split.chosen(np.array([1, 2, 3, 4, 0]))
        case "labels":
            return replace(split, labels=("red", "blue"))
    split.samples[0].path.write_bytes(b"longer")
    return split


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("gone", "1 picture gone (0.png)"),
        ("new", "1 picture new (new.png)"),
        ("with other labels", "1 picture with other labels (0.png)"),
        ("with another file", "1 picture with another file (0.png)"),
        ("order", "the order of the pictures"),
        ("labels", "labels (-green, +blue)"),
    ],
)
def test_each_change_is_named(split, tmp_path, kind, said):
    before = fingerprint(split, tmp_path)
    after = fingerprint(changed(split, tmp_path, kind), tmp_path)
    assert changes(before, after) == [said]
    assert before.digest != after.digest


def test_shards_are_compared_as_files(split, tmp_path):
    table = ["image,red,green", *(f"{number}.png,{number % 2},1" for number in range(5))]
    for number in range(5):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"{number}.png")
    (tmp_path / "all.csv").write_text("\n".join(table))
    data = Data(format="table", root=str(tmp_path), train="all.csv", val="all.csv", test="")
    pack(data, tmp_path / "packed", shard_megabytes=0.003, quiet=True)
    before = fingerprint(read_shards(tmp_path / "packed", "train"), tmp_path / "packed")
    assert before.summary()["pictures"] == 5
    assert list(before.pictures) == [f"train/{number:06}.tar" for number in range(3)]
    assert Fingerprint.from_dict(before.to_dict()) == before
    (tmp_path / "packed" / "train" / "000001.tar").unlink()
    after = fingerprint(read_shards(tmp_path / "packed", "train"), tmp_path / "packed")
    assert changes(before, after) == ["1 shard gone (train/000001.tar)"]


def test_a_run_remembers_what_it_saw_first(split, tmp_path):
    file = tmp_path / "fingerprints"
    assert changed_since(file, "train", split, tmp_path) == []
    assert changed_since(file, "train", split, tmp_path) == []
    fewer = split.chosen(np.array([0]))
    assert changed_since(file, "train", fewer, tmp_path) == [
        "4 pictures gone (1.png, 2.png, 3.png, ...)"
    ]
    assert changed_since(file, "val", fewer, tmp_path) == []
