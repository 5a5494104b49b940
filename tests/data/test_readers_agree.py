"""The same pictures and labels, written in every format, are read alike."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from lcnet.config import Data
from lcnet.data.dataset import Split
from lcnet.data.decoding import read_image
from lcnet.data.readers.coco import read_coco
from lcnet.data.readers.folder import read_folder
from lcnet.data.readers.rope import read_rope
from lcnet.data.readers.table import read_table
from lcnet.data.readers.voc import read_voc

LABELS = ("bolt", "crack", "deep rust", "weld")
PICTURES = {
    "a.jpg": ("bolt",),
    "b.jpg": (),
    "c.jpg": ("crack", "weld"),
    "d.jpg": ("bolt", "crack", "deep rust", "weld"),
    "e.jpg": ("deep rust",),
    "f.jpg": ("crack", "bolt"),
}
TARGETS = [[1, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 1], [1, 1, 1, 1], [0, 0, 1, 0], [1, 1, 0, 0]]

Reader = Callable[[Path, Sequence[str] | None], Split]


def draw(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3), (200, 10, 10)).save(path)


def coco(root: Path, labels: Sequence[str] | None) -> Split:
    names = list(PICTURES)
    content = {
        "images": [{"id": names.index(name), "file_name": name} for name in names],
        "categories": [{"id": LABELS.index(label), "name": label} for label in LABELS],
        "annotations": [
            {"image_id": names.index(name), "category_id": LABELS.index(label)}
            for name, present in PICTURES.items()
            for label in present
        ],
    }
    (root / "annotations").mkdir()
    (root / "annotations/instances_train.json").write_text(json.dumps(content))
    for name in PICTURES:
        draw(root / "train" / name)
    return read_coco(root, "train", labels)


def voc(root: Path, labels: Sequence[str] | None) -> Split:
    write_year(root)
    return read_voc(root, "train", labels)


def voc_as_released(root: Path, labels: Sequence[str] | None) -> Split:
    write_year(root / "train/VOCdevkit/VOC2007")
    return read_voc(root, "train", labels)


def write_year(root: Path) -> None:
    for folder in ("Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    for name, present in PICTURES.items():
        objects = "".join(f"<object><name>{label}</name></object>" for label in present)
        path = root / "Annotations" / f"{Path(name).stem}.xml"
        path.write_text(f"<annotation>{objects}</annotation>")
        draw(root / "JPEGImages" / name)
    listed = "\n".join(Path(name).stem for name in PICTURES)
    (root / "ImageSets/Main/train.txt").write_text(listed)


def lines_of_columns() -> list[str]:
    rows = [
        ",".join([name, *(str(int(label in present)) for label in LABELS)])
        for name, present in PICTURES.items()
    ]
    return ["picture," + ",".join(LABELS), *rows]


def rope(root: Path, labels: Sequence[str] | None) -> Split:
    (root / "imageLabelsTrain.csv").write_text("\n".join(lines_of_columns()))
    for name in PICTURES:
        draw(root / "ropeTrain" / name)
    return read_rope(root, "train", labels)


def table_of_columns(root: Path, labels: Sequence[str] | None) -> Split:
    return table(root, labels, lines_of_columns())


def table_of_names(root: Path, labels: Sequence[str] | None) -> Split:
    rows = [f"{name},{'|'.join(present)}" for name, present in PICTURES.items()]
    return table(root, labels, ["picture,labels", *rows])


def table(root: Path, labels: Sequence[str] | None, lines: list[str]) -> Split:
    (root / "train.csv").write_text("\n".join(lines))
    for name in PICTURES:
        draw(root / name)
    return read_table(Data(format="table", root=str(root), train="train.csv"), "train.csv", labels)


def folder(root: Path, labels: Sequence[str] | None) -> Split:
    for name, present in PICTURES.items():
        for label in present or (".",):
            draw(root / "train" / label / name)
    return read_folder(root, "train", labels)


FORMATS = [coco, voc, voc_as_released, table_of_columns, table_of_names, folder, rope]


@pytest.mark.parametrize("reader", FORMATS)
def test_every_format_gives_the_same_labels_targets_and_pictures(
    tmp_path: Path, reader: Reader
) -> None:
    split = reader(tmp_path, None)
    assert split.labels == LABELS
    assert split.targets.tolist() == TARGETS
    assert [sample.path.name for sample in split.samples] == list(PICTURES)
    for sample in split.samples:
        assert read_image(sample.path, sample.source).size == (4, 3)


@pytest.mark.parametrize("reader", FORMATS)
def test_every_format_follows_the_given_order_of_labels(tmp_path: Path, reader: Reader) -> None:
    backwards = LABELS[::-1]
    split = reader(tmp_path, backwards)
    assert split.labels == backwards
    assert split.targets.tolist() == [row[::-1] for row in TARGETS]
