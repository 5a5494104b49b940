"""Files of predictions that do not fit into memory have the very numbers of those that do."""

import json
import shutil
from collections import namedtuple
from dataclasses import replace

import numpy as np
import pytest
from tests.evaluating.test_predictions import ODD_NAMES, drawn

from lcnet.errors import DataError
from lcnet.evaluating import (
    kept_rows,
    picture_names,
    prediction_arrays,
    prediction_csv,
    prediction_lines,
    prediction_parquet,
)
from lcnet.evaluating.evaluate import evaluate
from lcnet.evaluating.matching import match
from lcnet.evaluating.picture_names import NamesKept, named_twice
from lcnet.evaluating.reading_predictions import gathered_from, read_predictions
from lcnet.evaluating.writing_predictions import write_predictions
from lcnet.metrics import ap, blocks

READERS = (prediction_arrays, prediction_csv, prediction_lines, prediction_parquet)


@pytest.fixture
def tiny(monkeypatch):
    """Blocks of a few numbers, and no row in memory; called when the usual way has measured."""

    def set_tiny() -> None:
        monkeypatch.setattr(kept_rows, "IN_MEMORY", 0)
        monkeypatch.setattr(blocks, "VALUES_AT_ONCE", 10)
        monkeypatch.setattr(ap, "RANKED_AT_ONCE", 30)
        for reader in READERS:
            monkeypatch.setattr(reader, "VALUES_AT_ONCE", 50)

    return set_tiny


def write_lines(file, made) -> None:
    rows = (
        {"image": name, "probabilities": dict(zip(made.labels, values, strict=True))}
        for name, values in zip(made.pictures, made.probabilities.tolist(), strict=True)
    )
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def write_truth(file, made) -> None:
    rows = zip(made.pictures, made.targets.clip(0).tolist(), strict=True)
    lines = [",".join(["picture", *made.labels])]
    lines += [",".join([name, *map(str, values)]) for name, values in rows]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz"])
def test_the_metrics_are_the_same_from_files_on_the_disk(tmp_path, tiny, suffix, dtype):
    made = drawn(40)
    wide = made.probabilities.astype(dtype) * (dtype(1) / 3 if dtype == np.float64 else 1)
    write_predictions(file := tmp_path / f"p.{suffix}", replace(made, probabilities=wide))
    usual = evaluate(file, out=tmp_path / "usual.json", intervals=True, quiet=True)
    tiny()
    assert evaluate(file, out=tmp_path / "tiny.json", intervals=True, quiet=True) == usual
    assert (tmp_path / "tiny.json").read_text() == (tmp_path / "usual.json").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        file.name,
        "tiny.json",
        "usual.json",
    ]
    read = gathered_from(file, place=tmp_path)
    assert isinstance(read.probabilities, np.memmap)
    assert read.probabilities.dtype == dtype
    assert list(read.pictures) == list(made.pictures)


def test_lines_and_a_table_have_the_same_metrics_from_the_disk(tmp_path, tiny):
    made = drawn(30, "abcd")
    made = replace(made, pictures=tuple(f"p{place}.jpg" for place in range(30)))
    write_lines(tmp_path / "p.jsonl", made)
    write_truth(tmp_path / "t.csv", made)
    usual = evaluate(tmp_path / "p.jsonl", data=tmp_path / "t.csv", quiet=True)
    tiny()
    assert evaluate(tmp_path / "p.jsonl", data=tmp_path / "t.csv", quiet=True) == usual


@pytest.mark.parametrize("mean", ["probabilities", "logits"])
@pytest.mark.parametrize("is_fitted", [False, True])
def test_several_files_have_the_same_metrics_from_the_disk(
    tmp_path, tiny, monkeypatch, mean, is_fitted
):
    files, fits = [], []
    for kind, found in (("test", files), ("val", fits)):
        first, second = drawn(150, seed=len(kind)), drawn(150, seed=9)
        names = [f"{kind}/{place}.jpg" for place in range(150)]
        first = replace(first, pictures=names)
        second = replace(second, pictures=names, targets=first.targets)
        mixed = np.random.default_rng(0).permutation(150)
        for number, one in enumerate((first, second.chosen(mixed).in_order_of(made_labels()))):
            found.append(tmp_path / f"{kind}{number}.npz")
            write_predictions(found[-1], one)
    wanted = {"mean": mean, "fit": fits if is_fitted else (), "quiet": True}
    usual = evaluate(files, predictions=tmp_path / "usual.npz", **wanted)
    tiny()
    monkeypatch.setattr(blocks, "VALUES_AT_ONCE", blocks.TOGETHER * len(made_labels()))
    assert evaluate(files, predictions=tmp_path / "tiny.npz", **wanted) == usual
    ours, theirs = (read_predictions(tmp_path / f"{name}.npz") for name in ("tiny", "usual"))
    assert ours.pictures == theirs.pictures
    assert np.array_equal(ours.probabilities, theirs.probabilities)


def made_labels() -> list[str]:
    return sorted(drawn().labels)


def test_a_disk_that_is_too_small_is_said_before_it_is_full(tmp_path, tiny, monkeypatch):
    write_predictions(tmp_path / "p.parquet", drawn(100))
    tiny()
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage(9, 9, 100))
    with pytest.raises(DataError, match=r"expected 0\.0 MB free for the rows of .*, got 0\.0 MB"):
        evaluate(tmp_path / "p.parquet", quiet=True)
    assert [path.name for path in tmp_path.iterdir()] == ["p.parquet"]


def test_a_disk_that_fills_is_said_too(tmp_path, tiny, monkeypatch):
    write_predictions(tmp_path / "p.csv", drawn(100))
    tiny()

    class Full:
        def write(self, data: object) -> None:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            pass

    monkeypatch.setattr(kept_rows.tempfile, "TemporaryFile", lambda dir: Full())
    with pytest.raises(DataError, match="set TMPDIR to a folder on a larger disk"):
        evaluate(tmp_path / "p.csv", quiet=True)


def test_names_come_back_from_the_disk(tmp_path, tiny):
    tiny()
    kept = NamesKept(tmp_path)
    wanted = [*ODD_NAMES, "", "\ud800.jpg", *map(str, range(99))]
    for first in range(0, len(wanted), 7):
        kept.add(wanted[first : first + 7])
    names = kept.names()
    assert list(names) == wanted == [names[place] for place in range(len(wanted))]
    assert names[-1] == "98"
    assert names[2:4] == wanted[2:4]
    assert names == wanted
    assert names != wanted[:-1]


def test_a_name_that_is_there_twice_is_found_by_its_text(monkeypatch):
    assert named_twice(["a", "b", "a", "b", "a"]) == ("a", 3)
    monkeypatch.setattr(picture_names, "hash", lambda name: 1, raising=False)  # all numbers collide
    assert named_twice(["a", "b", "c"]) is None
    assert named_twice(["a", "b", "b"]) == ("b", 2)


@pytest.mark.parametrize(
    ("ours", "theirs", "root", "found", "by"),
    [
        (["x/a.jpg", "b.jpg"], ["/r/x/a.jpg", "/r/y/b.jpg"], "/r", {0: 0, 1: 1}, "relative path"),
        (["/q/r/x/a.jpg"], ["/r/x/a.jpg", "/r/a.jpg"], "/r", {0: 0}, "relative path"),
        (["/q/x/a.jpg"], ["/r/a.jpg", "/r/x/a.jpg"], "/r", {0: 1}, "relative path"),
        (["q/a.jpg", "n"], ["z/a.jpg"], "", {0: 0}, "file name alone"),
        (["q/a"], ["z/a.jpg"], "", {0: 0}, "file name without suffix"),
        (["./a", "b"], ["b", "a"], "", {0: 1, 1: 0}, "path"),
    ],
)
def test_pictures_are_matched_by_the_first_way_that_finds_any(ours, theirs, root, found, by):
    matched = match(ours, theirs, "ours and theirs", root=root)
    assert dict(zip(matched.ours.tolist(), matched.theirs.tolist(), strict=True)) == found
    assert matched.by == by


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        (["a.jpg"], ["x/a.jpg", "y/a.jpg"], "'a.jpg', which fits 2 pictures"),
        (["p/a.jpg", "q/a.jpg"], ["x/a.jpg"], "'p/a.jpg', 'q/a.jpg' for one picture"),
    ],
)
def test_a_name_of_several_pictures_is_refused(ours, theirs, said):
    with pytest.raises(DataError, match=said):
        match(ours, theirs, "ours and theirs")
