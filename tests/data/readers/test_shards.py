"""Pictures and labels in tar and Parquet files, written by their own libraries."""

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import webdataset
from PIL import Image
from webdataset.tariterators import group_by_keys, tar_file_iterator

from lcnet.config import Data
from lcnet.data.dataset import ImageLabels, Streamed
from lcnet.data.loading import StreamSampler, train_loader
from lcnet.data.pack import pack
from lcnet.data.readers import load_split
from lcnet.data.readers.shards import INDEX, read_shards
from lcnet.data.transforms import Preprocessing, eval_transform
from lcnet.errors import ConfigError, DataError
from lcnet.reporting.report import report
from lcnet.runs.train import train

EXPECTED = Preprocessing(16, (0.5,) * 3, (0.5,) * 3, "bilinear")


def png(value: int) -> bytes:
    stored = io.BytesIO()
    Image.new("RGB", (8, 8), (value, 0, 0)).save(stored, "PNG")
    return stored.getvalue()


def write_tar(file: Path, members: list[tuple[str, bytes]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Shards of 5, 4 and 3 pictures by webdataset's own writer; the red value is the place."""
    (tmp_path / "train").mkdir()
    place = 0
    for number, count in enumerate((5, 4, 3)):
        with webdataset.TarWriter(str(tmp_path / "train" / f"{number}.tar")) as writer:
            for _ in range(count):
                labels = ["cat"] * (place % 2) + ["dog"] * (place % 3 == 0)
                said = {"labels": labels, "unknown": ["cat"] if place == 4 else []}
                writer.write({"__key__": f"{place:04}", "png": png(place), "json": said})
                place += 1
    return tmp_path


def test_webdataset_s_shards_are_read(shards):
    split = read_shards(shards, "train")
    assert split.labels == ("cat", "dog")
    wanted = [[place % 2, int(place % 3 == 0)] for place in range(12)]
    wanted[4][0] = -1
    assert split.targets.tolist() == wanted
    assert split.targets.tolist() == wanted
    images = ImageLabels(split, eval_transform(EXPECTED))
    assert [int(images[place][0][0].max()) for place in range(12)] == list(range(12))
    assert split.samples[-1].path == shards / "train" / "2.tar" / "0011.png"
    assert (shards / "train" / INDEX).is_file()


def test_the_index_is_used_again_and_made_anew_when_a_shard_changes(shards, monkeypatch):
    first = read_shards(shards, "train").targets
    monkeypatch.setattr("lcnet.data.readers.shards._in_tar", None)
    np.testing.assert_array_equal(read_shards(shards, "train").targets, first)
    monkeypatch.undo()
    write_tar(shards / "train" / "1.tar", [("a.png", png(7)), ("a.txt", b"dog|cat")])
    assert read_shards(shards, "train").targets[5:].tolist() == [[1, 1], *first[9:].tolist()]


@pytest.mark.parametrize(
    ("suffix", "said"),
    [("txt", b"sofa|cat"), ("cls", b"2 0"), ("json", b'["cat", "sofa"]'), ("json", b"[0, 2]")],
)
def test_every_form_of_labels_is_read(tmp_path, suffix, said):
    (tmp_path / "labels.txt").write_text("cat\ndog\nsofa\n")
    write_tar(tmp_path / "train" / "0.tar", [("x/1.png", png(1)), (f"x/1.{suffix}", said)])
    split = read_shards(tmp_path, "train")
    assert (split.labels, split.targets.tolist()) == (("cat", "dog", "sofa"), [[1, 0, 1]])
    other = read_shards(tmp_path, "train", ["sofa", "dog", "cat", "bird"])
    assert other.targets.tolist() == [[1, 0, 1, 0]]


@pytest.mark.parametrize("as_struct", [False, True])
def test_parquet_files_are_read(tmp_path, as_struct):
    import pyarrow
    import pyarrow.parquet

    pictures = [png(place) for place in range(7)]
    table = pyarrow.table(
        {
            "image": [{"bytes": one, "path": ""} for one in pictures] if as_struct else pictures,
            "labels": [["cat"] * (place % 2) for place in range(7)],
            "unknown": [["cat"] if place == 2 else None for place in range(7)],
        }
    )
    (tmp_path / "train").mkdir()
    pyarrow.parquet.write_table(table, tmp_path / "train" / "0.parquet", row_group_size=3)
    split = read_shards(tmp_path, "train")
    assert split.targets[:, 0].tolist() == [0, 1, -1, 1, 0, 1, 0]
    images = ImageLabels(split, eval_transform(EXPECTED))
    assert [int(images[place][0][0].max()) for place in range(7)] == list(range(7))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("1.png", b"")], "expected its labels next to it"),
        ([("1.png", b""), ("1.json", b"{")], r"1\.json: expected the labels of a picture"),
        ([("1.png", b""), ("1.json", b'{"label": []}')], r"1\.json: expected the labels"),
        ([("1.png", b""), ("1.cls", b"3")], r"indices \[3\]"),
        ([("1.txt", b"cat")], "expected pictures with labels, got none"),
    ],
)
def test_what_is_wrong_in_a_shard_is_named(tmp_path, members, message):
    write_tar(tmp_path / "train" / "0.tar", members)
    with pytest.raises(DataError, match=message) as error:
        read_shards(tmp_path, "train")
    assert "0.tar" in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "train" / INDEX).exists()


def test_a_shard_that_is_cut_short_or_gone_is_named(shards):
    file = shards / "train" / "1.tar"
    split = read_shards(shards, "train")
    file.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"1\.tar: not a whole, uncompressed tar file"):
        read_shards(shards, "train")
    file.unlink()
    with pytest.raises(DataError, match=r"1\.tar/0005\.png: no longer there"):
        split.samples[5].read()
    with pytest.raises(DataError, match="val: no such split"):
        read_shards(shards, "val")


RUNS = np.array([50, 30, 7, 40])


@pytest.mark.parametrize("processes", [1, 3])
def test_each_process_reads_its_own_part_of_the_stream(processes):
    parts = [
        StreamSampler(RUNS, 5, 16, rank=rank, processes=processes) for rank in range(processes)
    ]
    drawn = {}
    for epoch in (0, 1):
        for sampler in parts:
            sampler.start(epoch)
        found = [list(sampler) for sampler in parts]
        assert [len(draws) for draws in found] == [127 // processes] * processes
        places = [draw.index for draws in found for draw in draws]
        assert len(set(places)) == len(places) == 127 // processes * processes
        assert found == [list(sampler) for sampler in parts]  # the same each time
        drawn[epoch] = places
        # Within a window at most two or three files are open, never all over the place.
        file_of = np.repeat(np.arange(4), RUNS)
        for draws in found:
            for start in range(0, len(draws), 16):
                assert len({file_of[draw.index] for draw in draws[start : start + 16]}) <= 3
    assert drawn[0] != drawn[1]
    assert len({draw.seed for draws in found for draw in draws}) == len(places)


def test_a_loader_of_shards_streams_with_any_number_of_workers(shards):
    images = ImageLabels(read_shards(shards, "train"), eval_transform(EXPECTED))
    found = []
    for workers in (0, 2):
        loader = train_loader(images, batch_size=4, workers=workers, seed=1, window=4)
        assert isinstance(loader.sampler, StreamSampler)
        found.append([batch[0][:, 0].amax((1, 2)).tolist() for batch in loader])
    assert found[0] == found[1]
    assert sorted(value for batch in found[0] for value in batch) == list(range(12))


# lcnet pack


@pytest.fixture
def packed(tiny_config, tmp_path):
    """The colours in shards of a few pictures."""
    pack(tiny_config.data, tmp_path / "packed", shard_megabytes=0.01, quiet=True)
    return tmp_path / "packed"


def test_packing_keeps_pictures_and_labels(tiny_config, packed):
    assert len(list((packed / "train").glob("*.tar"))) > 1
    shards = Data(format="shards", root=str(packed))
    for name, given in (("train", "train.csv"), ("val", "val.csv"), ("test", "val.csv")):
        before, after = load_split(tiny_config.data, given), load_split(shards, name)
        assert isinstance(after.samples, Streamed)
        assert before.labels == after.labels
        contents = [
            sorted(
                (row, sample.read().tobytes())
                for row, sample in zip(split.targets.tolist(), split.samples, strict=True)
            )
            for split in (before, after)
        ]
        assert contents[0] == contents[1]


def test_training_on_shards_measures_and_reports_as_on_files(tiny_config, packed, read_json):
    data = replace(Data(format="shards", root=str(packed), workers=0), shuffle_window=8)
    run = train(replace(tiny_config, data=data), packed.parent / "run").path
    assert read_json(run / "metrics.json")["images"] == 12
    page = (run / "report.html").read_text()
    assert page.count("data:image/jpeg") > 0
    report(run, split="train", out=packed.parent / "train.html")


def test_packing_leaves_nothing_behind_and_overwrites_nothing(tiny_config, tmp_path):
    (tmp_path / "colours" / "images" / "val3.png").unlink()
    with pytest.raises(DataError, match=r"val3\.png"):
        pack(tiny_config.data, tmp_path / "out", quiet=True)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match="already there"):
        pack(tiny_config.data, tmp_path / "colours", quiet=True)
    with pytest.raises(ConfigError, match="shard_megabytes"):
        pack(tiny_config.data, tmp_path / "out", shard_megabytes=0, quiet=True)


def test_what_pack_writes_is_webdataset_s_layout(packed):
    samples = []
    for file in sorted((packed / "train").glob("*.tar")):
        with file.open("rb") as opened:
            members = ({**one, "__url__": file.name} for one in tar_file_iterator(opened))
            samples += list(group_by_keys(members))
    assert len(samples) == 24
    for sample in samples:
        assert {"png", "json"} <= set(sample)
        assert set(json.loads(sample["json"])["labels"]) <= {"red", "green", "blue"}
