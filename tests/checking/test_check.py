"""`lcnet check` finds each planted fault and cries wolf at none."""

import io
import json
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter
from tests.cli.test_cli import run

from lcnet.checking import label_errors
from lcnet.checking import picture_facts as facts_module
from lcnet.checking.check import check
from lcnet.checking.check_page import CheckReport
from lcnet.checking.findings import ALWAYS_UNSAFE, KINDS
from lcnet.checking.label_errors import wrong_entries
from lcnet.config import Data
from lcnet.data.readers.digits import write_scenes
from lcnet.errors import CheckpointError, ConfigError, DataError
from lcnet.runs.train import train

LABELS = ("cat", "dog", "sofa")


def draw(seed: int, size: int = 96) -> Image.Image:
    """A picture of shapes on a soft ground, another for each seed."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(0, 256, size=(4, 4, 3)).astype(np.uint8)
    picture = Image.fromarray(ground).resize((size, size), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    for _ in range(12):
        left, top, width, height = (rng.random(4) * size * [0.9, 0.9, 0.4, 0.4]).tolist()
        colour = tuple(rng.integers(0, 256, size=3).tolist())
        shape = pen.ellipse if rng.random() < 0.5 else pen.rectangle
        shape((left, top, left + width + 3, top + height + 3), fill=colour)
    return picture


class Planted:
    """A table data set without a fault, to which a test adds one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "images").mkdir(parents=True)
        self.rows: dict[str, list[str]] = {}
        for split, (start, count) in {"train": (0, 16), "val": (100, 8), "test": (200, 8)}.items():
            self.rows[split] = []
            for seed in range(start, start + count):
                self.add(
                    split, draw(seed), f"{seed}.png", f"{seed % 2},{seed // 2 % 2},{seed // 4 % 2}"
                )

    def add(self, split: str, picture: Image.Image | bytes, name: str, marks: str) -> None:
        path = self.root / "images" / name
        if isinstance(picture, bytes):
            path.write_bytes(picture)
        else:
            picture.save(path)
        self.row(split, name, marks)

    def row(self, split: str, name: str, marks: str) -> None:
        self.rows[split].append(f"images/{name},{marks}")

    def write(self, header: str = ",".join(LABELS)) -> Data:
        for split, rows in self.rows.items():
            (self.root / f"{split}.csv").write_text("\n".join([f"image,{header}", *rows]) + "\n")
        return Data("table", str(self.root), "train.csv", "val.csv", "test.csv", workers=0)

    def check(self) -> CheckReport:
        return check(self.write(), quiet=True)


@pytest.fixture
def planted(tmp_path) -> Planted:
    return Planted(tmp_path / "data")


def kinds(report: CheckReport) -> list[str]:
    return [one.kind for one in report.findings]


def png(picture: Image.Image) -> bytes:
    stored = io.BytesIO()
    picture.save(stored, "PNG")
    return stored.getvalue()


def plant_missing(data: Planted) -> None:
    data.row("train", "nowhere.png", "1,0,0")


def plant_truncated(data: Planted) -> None:
    whole = png(draw(1))
    data.add("train", whole[: len(whole) * 2 // 3], "cut.png", "1,0,0")


def plant_unreadable(data: Planted) -> None:
    data.add("val", b"no picture", "broken.jpg", "1,0,0")


def plant_empty(data: Planted) -> None:
    data.add("val", b"", "empty.jpg", "1,0,0")


def plant_huge(data: Planted) -> None:
    # Only the header says so: were it decoded, it would be called truncated.
    header = png(Image.new("L", (1, 1))).replace(
        (1).to_bytes(4, "big") * 2, (12_000).to_bytes(4, "big") * 2
    )
    data.add(
        "train",
        header[:29] + crc32(header[12:29]).to_bytes(4, "big") + header[33:],
        "huge.png",
        "1,0,0",
    )


def plant_duplicate(data: Planted) -> None:
    data.add("train", draw(3), "again.bmp", "1,1,0")


def plant_near(data: Planted) -> None:
    draw(5).resize((70, 70)).save(data.root / "images" / "near.jpg", quality=60)
    data.row("train", "near.jpg", "1,0,1")


def plant_leak(data: Planted) -> None:
    data.add("val", draw(3), "leak.png", "1,1,0")


def plant_near_leak(data: Planted) -> None:
    draw(101).crop((2, 2, 94, 94)).save(data.root / "images" / "leak.jpg", quality=70)
    data.row("test", "leak.jpg", "1,0,1")


def plant_unlabelled(data: Planted) -> None:
    data.add("train", draw(300), "unknown.png", ",-1,")


@pytest.mark.parametrize(
    ("plant", "kind", "where", "safe"),
    [
        (plant_missing, "missing-image", "train.csv:18: images/nowhere.png", False),
        (plant_truncated, "unreadable-image", "train.csv:18: images/cut.png", False),
        (plant_unreadable, "unreadable-image", "val.csv:10: images/broken.jpg", False),
        (plant_empty, "unreadable-image", "val.csv:10: images/empty.jpg", False),
        (plant_huge, "huge-image", "train.csv:18: images/huge.png", False),
        (plant_duplicate, "duplicate-image", "train.csv:18: images/again.bmp", True),
        (plant_near, "near-duplicate-image", "train.csv:18: images/near.jpg", True),
        (plant_leak, "split-leak", "val.csv:10: images/leak.png", False),
        (plant_near_leak, "split-leak", "test.csv:10: images/leak.jpg", False),
        (plant_unlabelled, "unlabelled-row", "train.csv:18: images/unknown.png", True),
    ],
)
def test_a_planted_fault_is_found_and_no_other(planted, plant, kind, where, safe):
    assert kinds(planted.check()) == []
    plant(planted)
    report = planted.check()
    assert [(one.kind, one.where) for one in report.findings] == [(kind, where)]
    assert report.is_safe == safe
    assert ("Not safe to train" in report.verdict) != safe


def test_all_faults_together_are_all_found(planted):
    for plant in (plant_missing, plant_truncated, plant_huge, plant_duplicate, plant_near):
        plant(planted)
    for plant in (plant_leak, plant_near_leak, plant_unlabelled):
        plant(planted)
    found = kinds(planted.check())
    assert sorted(found) == sorted([*set(found), "split-leak"])
    assert set(found) == {
        *("missing-image", "unreadable-image", "huge-image", "split-leak", "unlabelled-row"),
        *("duplicate-image", "near-duplicate-image"),
    }


def test_copies_with_other_labels_say_so(planted):
    planted.add("train", draw(3), "again.bmp", "0,1,0")
    (one,) = planted.check().findings
    assert one.detail == "the same pixels as train.csv:5: images/3.png; only one has cat"


def test_a_copy_in_an_earlier_split_is_one_leak_however_often(planted):
    for split, name in (("train", "a.png"), ("val", "b.png"), ("test", "c.png")):
        planted.add(split, draw(3), name, "1,1,0")
    found = planted.check().findings
    assert [(one.kind, one.where.split("/")[-1]) for one in found] == [
        ("split-leak", "b.png"), ("split-leak", "c.png"), ("duplicate-image", "a.png"),
    ]  # fmt: skip


@pytest.mark.parametrize(("split", "safe"), [("train", False), ("val", True), ("test", True)])
def test_a_label_without_a_positive_is_unsafe_in_training_only(planted, split, safe):
    planted.rows[split] = [row[:-1] + "0" for row in planted.rows[split]]
    report = planted.check()
    assert [(one.kind, one.where) for one in report.findings] == [
        ("label-without-positives", f"{split}.csv: label 'sofa'")
    ]
    assert report.is_safe == safe


def test_validation_that_measures_nothing_is_unsafe(planted):
    planted.rows["val"] = [f"{row.split(',')[0]},0,0,0" for row in planted.rows["val"]]
    report = planted.check()
    assert kinds(report) == ["nothing-measurable", *["label-without-positives"] * 3]
    assert not report.is_safe


def test_names_that_differ_in_case_or_space_are_found_in_one_split_and_between_two(planted):
    data = planted.write("cat,dog,C at")
    one, *others = check(data, quiet=True).findings
    assert (one.kind, one.where) == ("similar-label-names", "train.csv: label 'C at'")
    assert others == []
    planted.write()
    file = planted.root / "val.csv"
    file.write_text(file.read_text().replace("cat", "Cat"))
    report = check(data, quiet=True)
    assert [(one.kind, one.where) for one in report.findings] == [
        ("similar-label-names", "val.csv: label 'Cat'")
    ]
    assert not report.is_safe


def test_a_split_that_a_reader_refuses_is_a_finding_and_the_rest_is_checked(planted):
    plant_duplicate(planted)
    data = planted.write()
    (planted.root / "val.csv").write_text("image,cat,dog,sofa\nimages/100.png,1,0,maybe\n")
    found = check(data, quiet=True).findings
    assert [one.kind for one in found] == ["unreadable-split", "duplicate-image"]
    assert "got 'maybe'" in found[0].detail
    with pytest.raises(DataError, match="no folder nowhere"):
        check(replace(data, root="nowhere"), quiet=True)


def test_a_test_split_that_nobody_named_may_be_missing(planted, capsys):
    report = check(replace(planted.write(), test="test"))
    assert (kinds(report), report.is_safe) == ([], True)
    assert "test is left out: test: no such split" in capsys.readouterr().out
    assert kinds(check(replace(planted.write(), test="tst.csv"), quiet=True)) == [
        "unreadable-split"
    ]


def test_validating_on_the_training_split_is_a_leak_and_testing_on_validation_none(planted):
    data = planted.write()
    assert kinds(check(replace(data, val="train.csv"), quiet=True))[:1] == ["split-leak"]
    assert kinds(check(replace(data, test="val.csv"), quiet=True)) == ["passed-over"]


# Other formats


def test_boxes_of_no_category_are_found(tmp_path):
    root = tmp_path / "coco"
    for number, split in enumerate(("train", "val")):
        (root / split).mkdir(parents=True)
        for place in range(4):
            draw(10 * number + place).save(root / split / f"{place}.jpg")
        boxes = [{"image_id": place, "category_id": 1 + place % 2} for place in range(3)]
        if split == "train":
            boxes += [{"image_id": 3, "category_id": 9}, {"image_id": 3}]
        content = {
            "images": [{"id": place, "file_name": f"{place}.jpg"} for place in range(4)],
            "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
            "annotations": boxes,
        }
        (root / "annotations").mkdir(exist_ok=True)
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    report = check(Data("coco", str(root), "train", "val", "", workers=0), quiet=True)
    assert [(one.kind, one.where) for one in report.findings] == [
        ("unlabelled-row", "instances_train.json: annotations[3]"),
        ("unlabelled-row", "instances_train.json: annotations[4]"),
    ]
    assert "no category_id 9 exists" in report.findings[0].detail
    assert not report.is_safe


def test_folders_are_checked_by_picture(tmp_path):
    for split, start in (("train", 0), ("val", 50)):
        for place in range(6):
            folder = tmp_path / split / LABELS[place % 3]
            folder.mkdir(parents=True, exist_ok=True)
            draw(start + place).save(folder / f"{place}.png")
    data = Data("folder", str(tmp_path), "train", "val", "", workers=0)
    assert kinds(check(data, quiet=True)) == []
    (tmp_path / "val" / "cat" / "0.png").write_bytes(b"")
    (one,) = check(data, quiet=True).findings
    assert (one.kind, one.where) == ("unreadable-image", "val: val/cat/0.png")


def test_scenes_of_one_kind_are_no_near_duplicates(tmp_path):
    for split in ("train", "val", "test"):
        write_scenes(tmp_path / split, split, scenes=60)
    report = check(Data(root=str(tmp_path), workers=0), quiet=True)
    assert kinds(report) == []


# The command


def command(data: Data, *more: str) -> str:
    named = ("format", "root", "train", "val", "test", "workers")
    flags = [f"--data.{name} {shlex.quote(str(getattr(data, name)))}" for name in named]
    return " ".join(["check", *flags, *more])


def test_the_command_prints_writes_and_exits(planted, capsys, tmp_path, read_json):
    data = planted.write()
    out = tmp_path / "out"
    files = f"--json {out}/found.json --html {out}/page.html"
    code, printed, error = run(capsys, command(data, files))
    assert (code, read_json(out / "found.json")) == (0, []), error
    assert "Safe to train." in printed
    pairs = "cat and dog in 4 (50 % of cat); cat and sofa in 4 (50 % of cat); dog and sofa in 4"
    assert f"most often together: {pairs}" in printed
    plant_missing(planted)
    plant_duplicate(planted)
    planted.write()
    code, printed, error = run(capsys, command(data, files))
    assert (code, "Reading train.csv, pictures: 18" in error) == (1, True)
    assert read_json(out / "found.json") == [
        {
            "kind": "missing-image",
            "where": "train.csv:18: images/nowhere.png",
            "detail": f"no such picture: {planted.root}/images/nowhere.png. Correct the paths, set "
            f"--data.folders '[FOLDER]' to where the pictures are (as seen from {planted.root}), "
            "or drop the rows to train without them.",
        },
        {
            "kind": "duplicate-image",
            "where": "train.csv:19: images/again.bmp",
            "detail": "the same pixels as train.csv:5: images/3.png",
        },
    ]
    assert "missing-image: 1 " in printed
    assert "train.csv:18: images/nowhere.png: no such picture" in printed
    assert "Not safe to train: 1 missing-image." in printed
    assert "written: " in printed


def test_a_run_s_config_says_what_to_check_and_flags_override_it(planted, capsys, tiny_config):
    plant_missing(planted)
    file = planted.root / "run.yaml"
    replace(tiny_config, data=planted.write()).save(file)
    assert run(capsys, f"check --config {file}")[0] == 1
    assert run(capsys, f"check --config {file} --data.train val.csv --data.val test.csv")[0] == 0


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        ("--data.root nowhere", 1, "no folder nowhere"),
        ("--split val.csv", 2, "--split: expected --model as well"),
        ("--model nowhere --split other.csv", 2, "expected one of train.csv, val.csv, test.csv"),
        ("--config nowhere.yaml", 2, "nowhere.yaml: no such config file"),
        ("--data.rot x", 2, "Did you mean --data.root?"),
    ],
)
def test_a_mistake_is_one_line(planted, capsys, tmp_path, monkeypatch, flags, code, message):
    monkeypatch.chdir(tmp_path)
    got, _, error = run(capsys, command(planted.write(), "--json x.json", flags))
    assert (got, error.count("\n")) == (code, 1), error
    assert message in error
    assert not (tmp_path / "x.json").exists()


def test_kinds_are_documented_with_what_they_mean_for_training():
    page = (Path(__file__).parent.parent.parent / "docs" / "guide" / "check.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| .* \| (.+) \|$", page, re.M))
    assert rows.keys() >= KINDS.keys()
    assert {kind for kind in KINDS if rows[kind] == "no"} == ALWAYS_UNSAFE


# Near duplicates


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: picture.resize((50, 50)),
        lambda picture: picture.resize((300, 280)),
        lambda picture: picture.crop((3, 3, 117, 117)),
        lambda picture: picture.crop((5, 0, 120, 118)),
        lambda picture: picture.point([min(255, int(value * 1.15)) for value in range(256)] * 3),
        lambda picture: picture.convert("L"),
        lambda picture: picture.filter(ImageFilter.GaussianBlur(0.7)),
    ],
)
def test_changed_copies_are_near_duplicates(tmp_path, change: Callable[[Image.Image], Image.Image]):
    data = Planted(tmp_path / "data")
    for seed in range(400, 410):
        data.add("train", draw(seed, 120), f"{seed}.png", "1,0,1")
        change(draw(seed, 120)).save(data.root / "images" / f"{seed}.jpg", quality=50)
        data.row("val", f"{seed}.jpg", "1,0,1")
    found = data.check().findings
    leaks = [one for one in found if one.kind != "other-depth"]
    assert [(one.kind, Path(one.where).stem, Path(one.detail).stem[:3]) for one in leaks] == [
        ("split-leak", str(seed), str(seed)) for seed in range(400, 410)
    ]


def test_pictures_that_share_a_ground_are_not_near_duplicates(planted):
    ground = draw(7, 120).filter(ImageFilter.GaussianBlur(8))
    for seed in range(12):
        picture = ground.copy()
        picture.paste(draw(500 + seed, 50), (5 * seed, 60 - 5 * seed))
        planted.add("train", picture, f"g{seed}.png", "1,0,1")
    assert kinds(planted.check()) == []


def test_flat_pictures_are_duplicates_only_if_equal(planted):
    for name, grey in (("black", 0), ("dark", 2), ("white", 255), ("night", 0)):
        planted.add("train", Image.new("RGB", (64, 64), (grey,) * 3), f"{name}.png", "1,0,1")
    one, *flat = planted.check().findings
    assert (one.kind, one.where) == ("duplicate-image", "train.csv:21: images/night.png")
    assert [each.kind for each in flat] == ["flat-image"] * 4
    assert flat[1].detail == "every pixel is 2 of 255, so it shows nothing"


def test_several_processes_find_the_same(planted):
    paths = [planted.root / "images" / f"{seed}.png" for seed in (0, 1, 99)]
    alone = list(facts_module.read_facts(paths, 0))
    assert [one.fault for one in alone] == ["", "", "missing"]
    assert list(facts_module.read_facts(paths, 2)) == alone


# The page


class Page(HTMLParser):
    """What a page shows and what it would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.sources += [value for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data):
        self.words += data


def test_the_page_is_whole_in_itself_and_escapes_names(planted, tmp_path):
    hostile = "<script>alert(1)</script>&amp"
    planted.row("train", "<b>no.png", "1,0,0")
    plant_near(planted)
    plant_leak(planted)
    data = planted.write(f"cat,dog,{hostile}")
    check(data, html=tmp_path / "page.html", quiet=True)
    text = (tmp_path / "page.html").read_text()
    page = Page(text)
    assert not {"script", "b", "link"} & set(page.tags)
    assert hostile in page.words
    assert "images/<b>no.png" in page.words
    assert page.tags.count("img") == 4
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.sources)
    assert not re.search(r"https?:|url\(|@import", text)
    assert {"svg", "table", "title"} <= set(page.tags)


def test_bars_and_cells_say_what_was_counted(planted, tmp_path):
    check(planted.write(), html=tmp_path / "page.html", quiet=True)
    words = " ".join(Page((tmp_path / "page.html").read_text()).words.split())
    assert "cat 8 50.0 % 4 50.0 % 4 50.0 %" in words
    assert "50 % of pictures with cat show dog too (4)" in words
    assert "8 pictures show sofa" in words


# Suspicious labels


def test_wrong_labels_are_named_and_unknown_ones_are_not_judged():
    rng = np.random.default_rng(0)
    targets = (rng.random((200, 3)) < 0.4).astype(np.int8)
    probabilities = np.clip(targets * 0.8 + 0.1 + rng.normal(0, 0.05, targets.shape), 0, 1)
    given = targets.copy()
    planted = {(3, 0), (50, 1), (120, 2), (121, 0)}
    for picture, label in planted:
        given[picture, label] = 1 - given[picture, label]
    given[10:20, 1] = -1
    given[:, 2] = np.where(np.arange(200) == 120, given[:, 2], targets[:, 2])
    entries = wrong_entries(probabilities.astype(np.float32), given)
    assert {(entry.picture, entry.label) for entry in entries} == planted
    assert [entry.confidence for entry in entries] == sorted(entry.confidence for entry in entries)
    assert all(entry.confidence < 0.3 for entry in entries)
    given[:, 1] = 1
    assert 1 not in {entry.label for entry in wrong_entries(probabilities, given)}


@pytest.fixture
def judge(tiny_config, monkeypatch):
    """A run on the colours whose predictions are what the pictures show."""
    folder = Path(tiny_config.data.root)
    out = train(
        replace(tiny_config, train=replace(tiny_config.train, epochs=1)), folder / "run"
    ).path
    rows = (folder / "val.csv").read_text().splitlines()[1:]
    truth = np.array([[float(cell) for cell in row.split(",")[1:]] for row in rows])

    def predict(model, batches, preprocessing):
        targets = np.concatenate([marks.numpy() for _, marks in batches])
        return (truth * 0.8 + 0.1).astype(np.float32), targets

    monkeypatch.setattr(label_errors, "predict_batches", predict)
    return out


def test_a_model_shows_suspicious_labels(judge, tiny_config, capsys):
    file = Path(tiny_config.data.root) / "val.csv"
    header, first, *rows = file.read_text().splitlines()
    name, red, green, blue = first.split(",")
    turned = f"{name},{1 - int(red)},{green},{blue}"
    file.write_text("\n".join([header, turned, *rows]) + "\n")
    report = check(tiny_config.data, model=judge, quiet=True)
    suspicious = [one for one in report.findings if one.kind == "suspicious-label"]
    assert [one.where for one in suspicious] == [f"val.csv:2: {name}"]
    marked = "absent" if int(red) else "present"
    assert (
        suspicious[0].detail == f"'red' is marked {marked}; the model gives that probability 0.100"
    )
    assert not suspicious[0].unsafe

    with pytest.raises(CheckpointError, match="a model with the labels of the data set"):
        renamed = file.with_name("other.csv")
        renamed.write_text(file.read_text().replace("red", "pink"))
        check(replace(tiny_config.data, train="other.csv", val="other.csv", test=""),
              model=judge, split="other.csv", quiet=True)  # fmt: skip


def test_without_cleanlab_the_hint_says_how_to_get_it(planted, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "cleanlab.filter", None)
    with pytest.raises(ConfigError, match=re.escape("pip install 'lcnet[check]'")):
        check(planted.write(), model=planted.root, quiet=True)


# What the values and the bands of pictures mean


def deep(seed: int, kind: type = np.uint16) -> Image.Image:
    """A picture of 12 bits, by itself in grey."""
    grey = np.asarray(draw(seed).convert("L")).astype(kind)
    return Image.fromarray(grey * kind(16))


def test_deep_pictures_are_safe_and_their_range_is_said(planted):
    for split, rows in planted.rows.items():
        for row in rows:
            name = row.partition(",")[0].removeprefix("images/")
            deep(int(name.removesuffix(".png"))).save(planted.root / "images" / name)
            assert split
    report = planted.check()
    assert report.is_safe and not report.findings
    (note,) = report.notes
    assert re.fullmatch(r"pixel range \d+ \(black\) to \d+ \(white\), found in 16 16-bit .*", note)
    assert len({facts.look for facts in report.splits[0].facts}) == 16


@pytest.mark.parametrize("split", ["train", "val"])
def test_kinds_of_values_that_cannot_be_compared_are_unsafe(planted, split):
    planted.add(split, deep(50), "deep.png", "1,0,0")
    planted.add(split, deep(51, np.float32), "float.tif", "1,0,0")
    report = planted.check()
    assert not report.is_safe
    if split == "train":  # in val they are refused, as the training pictures give no range
        (fault,) = report.findings
        assert fault.kind == "pixels"
        for named in ("8-bit (train.csv:2", "16-bit (train.csv:18", "floating-point (train.csv:19"):
            assert named in fault.detail
    else:
        assert kinds(report) == ["unreadable-image"] * 2
        assert "16-bit picture, but which of its values" in report.findings[0].detail
    given = replace(planted.write(), pixel_range=[0, 4080])
    assert check(given, quiet=True).is_safe


def test_bands_that_a_model_would_lose_are_unsafe(planted):
    infrared = draw(60).convert("RGBA")
    infrared.putalpha(draw(61).convert("L"))
    planted.add("train", infrared, "infrared.png", "1,0,0")
    opaque = draw(62).convert("RGBA")
    planted.add("train", opaque, "opaque.png", "1,0,0")
    (fault,) = planted.check().findings
    assert fault.kind == "pixels" and "infrared.png" in fault.where
    assert fault.detail.startswith("1 pictures have 4 bands, the others 3")


def test_a_file_of_several_pictures_is_to_look_at(planted):
    pages = [draw(70), draw(71)]
    planted.add("train", b"", "pages.tif", "1,0,0")
    pages[0].save(planted.root / "images" / "pages.tif", save_all=True, append_images=pages[1:])
    report = planted.check()
    assert report.is_safe
    (fault,) = report.findings
    assert (fault.kind, fault.detail) == (
        "several-frames",
        "2 pictures in the file; the first is used",
    )
