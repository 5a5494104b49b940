"""What is fuzzed: each takes any bytes as the content of a file that lcnet reads.

It may raise LCNetError, which is one line to the user; anything else is a fault.
"""

import argparse
import io
import json
import tarfile
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tests.kinds import dicom

from lcnet.config import Config, Data, Model
from lcnet.data.decoding import read_image
from lcnet.data.readers.coco import read_coco
from lcnet.data.readers.layout import Given
from lcnet.data.readers.layouts import LAYOUTS
from lcnet.data.readers.table import read_table
from lcnet.data.readers.voc import read_voc
from lcnet.data.sources import PictureSources
from lcnet.data.vectors import read_vectors
from lcnet.errors import LCNetError
from lcnet.evaluating.predictions import Predictions
from lcnet.evaluating.reading_predictions import peeked, read_predictions
from lcnet.evaluating.writing_predictions import write_predictions
from lcnet.model.backbone import BackboneSpec
from lcnet.model_folder import UNUSABLE, ModelInfo, why_unusable
from lcnet.published.reading import read_published

Target = Callable[[bytes], None]


@cache
def place() -> Path:
    """A folder for the files, gone with the process."""
    folder = Path(tempfile.mkdtemp(prefix="lcnet-fuzz-"))
    for name in ("coco/annotations", "voc/Annotations", "voc/ImageSets/Main", "voc/JPEGImages"):
        (folder / name).mkdir(parents=True)
    (folder / "voc" / "ImageSets" / "Main" / "train.txt").write_text("a\n")
    return folder


def held(content: bytes, name: str, read: Callable[[Path], object]) -> None:
    """Read the content as a file; what the user is told must be one line of bounded length."""
    file = place() / name
    file.write_bytes(content)
    try:
        read(file)
    except LCNetError as error:
        message = str(error)
        assert message
        assert "\n" not in message
        assert len(message) < 1200


def _as_table(file: Path) -> Data:
    return Data(format="table", root=str(file.parent), train=file.name)


def table(content: bytes) -> None:
    held(content, "train.csv", lambda file: read_table(_as_table(file), file.name))


def coco(content: bytes) -> None:
    name = "coco/annotations/instances_train.json"
    held(content, name, lambda file: read_coco(file.parents[1], "train"))
    held(content, name, lambda file: read_coco(file.parents[1], "train", unlabelled=[]))


def voc(content: bytes) -> None:
    held(content, "voc/Annotations/a.xml", lambda file: read_voc(file.parents[1], "train"))


FILES = {
    "coco_anywhere": ("coco", "train.json"),
    "cvat": ("cvat", "annotations.xml"),
    "datumaro": ("datumaro", "default.json"),
    "fiftyone": ("fiftyone", "labels.json"),
    "huggingface": ("huggingface", "metadata.jsonl"),
    "huggingface_csv": ("huggingface", "metadata.csv"),
    "huggingface_parquet": ("huggingface", "metadata.parquet"),
    "json": ("json", "rows.json"),
    "json_lines": ("json", "rows.jsonl"),
    "label_studio": ("label_studio", "tasks.json"),
    "mmpretrain": ("mmpretrain", "train.json"),
    "paddleclas": ("paddleclas", "train.txt"),
    "voc_folder": ("voc", "xml/a.xml"),
    "voc_lists": ("voc", "ImageSets/Main/cat_train.txt"),
    "yolo": ("yolo", "data.yaml"),
    "yolo_boxes": ("yolo", "labels/a.txt"),
}
"""The layout of each target, and the file of it that is fuzzed."""


@cache
def layout_place(name: str) -> Path:
    """A folder for a layout's file, with a picture."""
    root = place() / f"layout_{name}"
    for folder in ("images", "labels", "xml", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    Image.new("RGB", (2, 2)).save(root / "images" / "a.png")
    return root


def layout(name: str, content: bytes) -> None:
    """Recognise the file alone and its folder, and read both in that way and without asking."""
    form, file = FILES[name]
    root = layout_place(name)
    splits = {"voc_folder": "xml", "voc_lists": "train", "yolo_boxes": "images"}
    split = splits.get(name, "data.yaml[train]" if name == "yolo" else file)

    def read(given: Path) -> None:
        found = LAYOUTS[form].recognise(Given(given))
        if found is not None:
            assert found.said
            LAYOUTS[form].read(found.data, found.data.train, None)

    def unasked(given: Path) -> None:
        LAYOUTS[form].read(Data(form, str(root)), split, None)  # type: ignore[arg-type]

    inside = f"layout_{name}/{file}"
    for step in (read, lambda given: read(root), unasked):
        held(content, inside, step)


def vectors(content: bytes) -> None:
    for suffix in ("txt", "npy"):
        held(content, f"vectors.{suffix}", lambda file: read_vectors(file, ["cat", "dog"]))


def model_json(content: bytes) -> None:
    """As `read_info` does with model.json and exported files with what they say."""
    try:
        ModelInfo.from_dict(json.loads(content.decode("utf-8")))
    except UNUSABLE as error:
        assert why_unusable(error)


def published(content: bytes) -> None:
    for suffix in ("pth", "safetensors"):
        held(content, f"model.{suffix}", read_published)


def config(content: bytes) -> None:
    held(content, "config.yaml", Config.load)


def picture(content: bytes) -> None:
    held(content, "picture.jpg", lambda file: read_image(file, size=32))


def deep_picture(content: bytes) -> None:
    """As `picture`, for what other decoders read: DICOM, HEIC, and TIFF that Pillow leaves."""
    held(content, "picture", lambda file: read_image(file, size=32))


def sources(content: bytes) -> None:
    for suffix in ("txt", "tar"):
        held(content, f"pictures.{suffix}", lambda file: list(PictureSources([str(file)])))


def predictions(content: bytes) -> None:
    for suffix in ("csv", "jsonl", "npz", "parquet"):
        held(content, f"predictions.{suffix}", read_predictions)
        peeked(place() / f"predictions.{suffix}")


TARGETS: dict[str, Target] = {
    "table": table,
    "coco": coco,
    "voc": voc,
    "vectors": vectors,
    "model_json": model_json,
    "published": published,
    "config": config,
    "picture": picture,
    "deep_picture": deep_picture,
    "sources": sources,
    "predictions": predictions,
    **{name: partial(layout, name) for name in FILES},
}


CHOICES = {"from_name": "x", "type": "choices", "value": {"choices": ["cat"]}}
LAYOUT_SEEDS: dict[str, list[object]] = {
    "coco_anywhere": [
        {
            "images": [{"id": "x", "file_name": "images/a.png"}],
            "categories": [
                {"id": 0, "name": "p", "supercategory": "none"},
                {"id": 1, "name": "red", "supercategory": "p"},
            ],
            "annotations": [{"image_id": "x", "category_id": 1}],
        }
    ],
    "cvat": [
        "<annotations><meta><task><labels><label><name>cat</name><type>any</type></label></labels>"
        '</task></meta><image id="0" name="a.png" subset="Train"><tag label="cat"/>'
        '<box label="cat"/></image></annotations>'
    ],
    "datumaro": [
        {
            "categories": {"label": {"labels": [{"name": "cat"}]}},
            "items": [
                {
                    "id": "a",
                    "annotations": [{"type": "label", "label_id": 0}],
                    "media": {"path": ""},
                }
            ],
        }
    ],
    "fiftyone": [
        {"classes": ["cat", "dog"], "labels": {"a": [0, "dog"], "b": {"label": 1}, "c": None}},
        {
            "samples": [
                {
                    "filepath": "images/a.png",
                    "tags": ["train"],
                    "x": {
                        "_cls": "Classifications",
                        "classifications": [{"_cls": "Classification", "label": "cat"}],
                    },
                    "y": {"_cls": "Classification", "label": "dog"},
                }
            ]
        },
    ],
    "huggingface": ['{"file_name": "images/a.png", "labels": ["cat"], "is_cat": 1}\n'],
    "huggingface_csv": ["file_name,labels,x\nimages/a.png,\"['cat', 'dog']\",1\n"],
    "label_studio": [
        [
            {
                "id": 1,
                "data": {"image": "/data/upload/1/12345678-a.png"},
                "annotations": [{"result": [CHOICES]}, {"result": [], "ground_truth": True}],
            }
        ],
        [{"id": 1, "image": "a.png", "c": {"choices": ["x"]}, "annotation_id": 1, "lead_time": 1}],
    ],
    "json": [
        [{"image": "a.png", "labels": ["cat"], "split": "train"}],
        {"a.png": {"cat": 1, "dog": -1}},
        {"data": [{"path": "a.png", "objects": [{"label": "cat", "box": [0, 1]}]}]},
    ],
    "json_lines": ['{"image": "a.png", "tags": ["cat"]}\n{"image": "images/b.png", "tags": []}\n'],
    "mmpretrain": [
        {
            "metainfo": {"classes": ["cat", "dog"]},
            "data_list": [{"img_path": "a.png", "gt_label": [0, 1]}],
        },
        {"data_list": [{"img_path": "a.png", "instances": [{"bbox_label": 0}]}]},
    ],
    "paddleclas": ["a.png\t0,1\nimages/b.png 1,0\n"],
    "voc_folder": [
        "<annotation><filename>a.png</filename><object><name>red</name></object></annotation>"
    ],
    "voc_lists": ["a 1\nb -1\nc  0\n"],
    "yolo": ["path: .\ntrain: images\nval: [images]\nnc: 1\nnames: {0: cat}\n"],
    "yolo_boxes": ["0 0.5 0.5 0.1 0.1\n1 0 0 1 1 1 0\n"],
}


def _kept_predictions() -> list[bytes]:
    """Two pictures' predictions in each format that lcnet writes."""
    values = np.array([[0.25, 0.5], [0.75, 1]], dtype=np.float32)
    kept = Predictions(
        labels=("red", "blue"),
        pictures=("a.png", 'b "c", d.png'),
        probabilities=values,
        targets=np.array([[1, 0], [-1, 1]], dtype=np.int8),
        logits=values,
        thresholds=(0.5, 0.25),
    )
    contents = []
    for suffix in ("csv", "npz", "parquet"):
        write_predictions(file := place() / f"seed.{suffix}", kept)
        contents.append(file.read_bytes())
    return contents


def seeds(name: str) -> list[bytes]:
    """Valid files, from which fuzzing starts."""
    stored = io.BytesIO()
    match name:
        case "table":
            return [b"image,red,green\na.png,1,0\nb.png,,-1\n", b"image,labels\na.png,red|green\n"]
        case "coco":
            content = {
                "images": [{"id": 1, "file_name": "a.png"}],
                "categories": [{"id": 1, "name": "red"}],
                "annotations": [{"id": 1, "image_id": 1, "category_id": 1}],
            }
            return [json.dumps(content).encode()]
        case "voc":
            return [
                b"<annotation><filename>a.jpg</filename><object><name>red</name>"
                b"<difficult>0</difficult></object></annotation>"
            ]
        case name if name in LAYOUT_SEEDS:
            return [
                one.encode() if isinstance(one, str) else json.dumps(one).encode()
                for one in LAYOUT_SEEDS[name]
            ]
        case "huggingface_parquet":
            import pyarrow
            import pyarrow.parquet

            rows = [{"file_name": "a.png", "labels": ["cat"]}]
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), stored)
            return [stored.getvalue()]
        case "vectors":
            np.save(stored, np.ones((2, 3), np.float32))
            return [b"cat 1 2 3\ndog 4 5 6\n", b"2 3\ncat 1 2 3\ndog 4 5 6\n", stored.getvalue()]
        case "model_json":
            spec = BackboneSpec("test_resnet", {}, (0.5,) * 3, (0.5,) * 3, "bilinear")
            info = ModelInfo(("red", "green"), Model(), spec, (0.5, 0.5))
            return [info.to_json().encode()]
        case "published":
            said = argparse.Namespace(img_size=32)
            torch.save({"state_dict": {"a": torch.ones(2, 3)}, "arch": said, "epoch": 3}, stored)
            old = io.BytesIO()
            torch.save({"a": torch.ones(2)}, old, _use_new_zipfile_serialization=False)
            return [stored.getvalue(), old.getvalue()]
        case "predictions":
            return [
                b"image,red,blue\na.png,0.2,0.9\nb.png,1,0\n",
                b'{"image": "a.png", "labels": [], "probabilities": {"red": 0.2, "blue": 1}}\n',
                b"image,error,labels,red,blue\na.png,,red,0.9,0.1\nb.png,no picture,,,\n",
                *_kept_predictions(),
            ]
        case "config":
            return [b"model:\n  width: 24\ndata:\n  root: x\ntrain:\n  lr: 0.1\n"]
        case "picture":
            found = []
            for form in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"):
                stored = io.BytesIO()
                Image.effect_noise((16, 9), 50).save(stored, form)
                found.append(stored.getvalue())
            return found
        case "deep_picture":
            import pillow_heif
            import tifffile

            shades = np.arange(12 * 9).reshape(12, 9)
            tifffile.imwrite(stored, shades.astype("f4"), compression="zlib", predictor=True)
            many = io.BytesIO()
            tifffile.imwrite(many, np.stack([shades] * 5).astype("u2"), photometric="minisblack")
            pillow_heif.register_heif_opener()
            small = io.BytesIO()
            Image.effect_noise((16, 9), 50).convert("RGB").save(small, "HEIF")
            files = [file.getvalue() for file in (stored, many, small)]
            return [dicom(shades.astype("u2")), *files]
        case _:
            with tarfile.open(fileobj=stored, mode="w") as tar:
                member = tarfile.TarInfo("a.png")
                member.size = 5
                tar.addfile(member, io.BytesIO(b"hello"))
            return [b"a.png\nb.png\n", stored.getvalue()]
