"""A small world in which every command works: data sets, runs, models, checkpoints, pictures.

Bad inputs are made from it by spoiling one of its files.
"""

import argparse
import csv
import io
import json
import tarfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import onnx
import pyarrow
import pyarrow.parquet
import timm
import torch
from onnx import TensorProto, helper
from PIL import Image
from tests.published import layouts
from tests.tiny import TINY

from lcnet.config import Config, Data, Train
from lcnet.model_folder import read_info
from lcnet.model_folder.exported import KEY, describe
from lcnet.runs.train import train
from lcnet.training.loop import Loop

LABELS = ("red", "green", "blue")
COLOURS = ((200, 40, 40), (40, 180, 60), (40, 60, 200))
SPLITS = {"train": 8, "val": 6}
CONFIG = Config(
    model=TINY,
    data=Data(
        format="table", root="table", train="train.csv", val="val.csv", test="val.csv", workers=0
    ),
    train=Train(epochs=2, batch_size=4, lr=2e-3, ema_decay=0.9),
)


def make_world(folder: Path) -> None:
    """Write everything into `folder`, which is the working directory of the commands."""
    torch.manual_seed(0)
    _data_sets(folder)
    CONFIG.save(folder / "config.yaml")
    (folder / "variants.yaml").write_text("plain: {model.graph: none}\nlcnet: {model.depth: 1}\n")
    _run(folder)
    _checkpoints(folder)
    _exported(folder)
    _label_files(folder)
    _collections(folder)


def picture(shown: list[int], seed: int) -> Image.Image:
    """24 px, with a quarter in each colour that is shown."""
    pixels = np.random.default_rng(seed).integers(90, 110, size=(24, 24, 3)).astype(np.uint8)
    for place, colour in enumerate(COLOURS):
        if shown[place]:
            top, left = 12 * (place // 2), 12 * (place % 2)
            pixels[top : top + 12, left : left + 12] = colour
    return Image.fromarray(pixels)


def _data_sets(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for number, (split, count) in enumerate(SPLITS.items()):
        marks = [[int(one) for one in rng.random(3) < 0.5] for _ in range(count)]
        marks[0], marks[1] = [1, 1, 1], [0, 0, 0]
        names = [f"{split}{place}.png" for place in range(count)]
        pictures = [picture(row, 100 * number + place) for place, row in enumerate(marks)]
        # table and rope
        for root, table, inside in (
            (folder / "table", f"{split}.csv", "images"),
            (folder / "rope", f"imageLabels{split.title()}.csv", f"rope{split.title()}"),
        ):
            (root / inside).mkdir(parents=True, exist_ok=True)
            prefix = "images/" if inside == "images" else ""
            rows = [[f"{prefix}{name}", *row] for name, row in zip(names, marks, strict=True)]
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows([["image", *LABELS], *rows])
            (root / table).write_text(text.getvalue())
            for name, image in zip(names, pictures, strict=True):
                image.save(root / inside / name)
        _coco(folder / "coco", split, names, marks, pictures)
        _voc(folder / "voc" / "VOC2007", split, names, marks, pictures)
        for name, row, image in zip(names, marks, pictures, strict=True):
            for label, present in zip(LABELS, row, strict=True):
                place = folder / "folder" / split / (label if present else ".")
                place.mkdir(parents=True, exist_ok=True)
                if present or not any(row):
                    image.save(place / name)


def _coco(
    root: Path, split: str, names: list[str], marks: list[list[int]], pictures: list[Image.Image]
) -> None:
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    (root / split).mkdir()
    content = {
        "images": [{"id": place, "file_name": name} for place, name in enumerate(names)],
        "categories": [{"id": place, "name": label} for place, label in enumerate(LABELS)],
        "annotations": [
            {"id": 10 * image + label, "image_id": image, "category_id": label}
            for image, row in enumerate(marks)
            for label, present in enumerate(row)
            if present
        ],
    }
    (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    for name, image in zip(names, pictures, strict=True):
        image.save(root / split / name)


def _voc(
    year: Path, split: str, names: list[str], marks: list[list[int]], pictures: list[Image.Image]
) -> None:
    for inside in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (year / inside).mkdir(parents=True, exist_ok=True)
    stems = [name.removesuffix(".png") for name in names]
    (year / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(stems) + "\n")
    for stem, row, image in zip(stems, marks, pictures, strict=True):
        objects = "".join(
            f"<object><name>{label}</name><difficult>0</difficult></object>"
            for label, present in zip(LABELS, row, strict=True)
            if present
        )
        text = f"<annotation><filename>{stem}.jpg</filename>{objects}</annotation>"
        (year / "Annotations" / f"{stem}.xml").write_text(text)
        image.save(year / "JPEGImages" / f"{stem}.jpg", quality=95)


def _run(folder: Path) -> None:
    """`run`, finished, and `cut`, stopped after its first epoch."""
    data = replace(CONFIG.data, root=str(folder / "table"))
    config = replace(CONFIG, data=data)

    def stop(loop: Loop, whole: Callable[[Loop], None] = Loop.train_epoch) -> None:
        if loop.state.epochs == 1:
            raise KeyboardInterrupt
        whole(loop)

    train(replace(config, train=replace(CONFIG.train, epochs=1)), folder / "run")
    with (
        patch.object(Loop, "train_epoch", stop),
        suppress(KeyboardInterrupt),
    ):
        train(config, folder / "cut")
    for run in ("run", "cut"):  # from the working directory
        file = folder / run / "config.yaml"
        file.write_text(file.read_text().replace(str(folder / "table"), "table"))


def _checkpoints(folder: Path) -> None:
    """Published ones, backbone weights, and a backbone's folder in timm's format."""
    said = {"arch": argparse.Namespace(img_size=32, CropLevels=1)}
    torch.save(
        {"state_dict": layouts.by_rule(layouts.released(3)), **said}, folder / "released.pth"
    )
    torch.save(
        {"model": layouts.by_rule(layouts.ml_decoder(3, groups=3))}, folder / "ml_decoder.pth"
    )
    features = timm.create_model("test_resnet", pretrained=False, num_classes=0)
    torch.save(features.state_dict(), folder / "backbone.pth")
    local = folder / "backbone"
    local.mkdir()
    described = {"architecture": "test_resnet", "pretrained_cfg": {"input_size": [3, 32, 32]}}
    (local / "config.json").write_text(json.dumps(described))
    whole = timm.create_model("test_resnet", pretrained=False)
    torch.save(whole.state_dict(), local / "pytorch_model.bin")


def _exported(folder: Path) -> None:
    """An ONNX file of the simplest model, with the run's description."""
    info = read_info(folder / "run")
    weights = np.random.default_rng(0).normal(size=(3, len(LABELS))).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["images"], ["mean"]),
            helper.make_node("Flatten", ["mean"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        ],
        "simplest",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 32, 32])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(LABELS)])],
        [helper.make_tensor("weights", TensorProto.FLOAT, weights.shape, weights.ravel())],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    model.metadata_props.add(key=KEY, value=describe(info))
    onnx.save(model, folder / "model.onnx")


def _label_files(folder: Path) -> None:
    rng = np.random.default_rng(0)
    (folder / "labels.txt").write_text("\n".join(LABELS) + "\n")
    np.save(folder / "correlation.npy", rng.random((3, 3)).astype(np.float32))
    np.save(folder / "vectors.npy", rng.normal(size=(3, 5)).astype(np.float32))
    rows = [f"{label} " + " ".join(f"{one:.3f}" for one in rng.normal(size=5)) for label in LABELS]
    (folder / "vectors.txt").write_text("\n".join(rows) + "\n")


def _collections(folder: Path) -> None:
    """Pictures alone, in a list, in a tar file, in a Parquet file."""
    files = sorted((folder / "table" / "images").glob("val*.png"))[:3]
    (folder / "pictures").mkdir()
    for file in files:
        (folder / "pictures" / file.name).write_bytes(file.read_bytes())
    names = [f"pictures/{file.name}" for file in files]
    (folder / "list.txt").write_text("\n".join(names) + "\n")
    with tarfile.open(folder / "pictures.tar", "w") as tar:
        for file in files:
            tar.add(file, file.name)
    table = pyarrow.table({"image": [file.read_bytes() for file in files], "id": [1, 2, 3]})
    pyarrow.parquet.write_table(table, folder / "pictures.parquet")
