"""Bad input of every kind, and what lcnet says of it: the tests run it, the docs show it.

`python -m tests.bad_input.cases` prints the tables of docs/reference/bad_input.md.
"""

import io
import json
import re
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
import yaml
from PIL import Image
from tests.bad_input.spoil import bomb_png

Change = Callable[[Path], object]
"""Makes the bad input in a copy of the world."""


@dataclass(frozen=True)
class Case:
    """A bad input, the command that is given it, and how that ends."""

    kind: str
    what: str
    command: str
    change: Change
    says: str
    """Part of the message; of a picture that cannot be read, of its row."""
    code: int = 1

    @property
    def row(self) -> str:
        """Its row in the docs."""
        words = re.sub(r" --(out|json) \S+", "", self.command).replace("x" * 99_990, "...")
        says = self.says.replace("<", "&lt;") or "nothing: it is read"
        return f"| {self.what} | `lcnet {words}` | {says} | {self.code} |"


def write(name: str, content: str | bytes) -> Change:
    """Give a file another content."""

    def change(place: Path) -> None:
        (place / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return change


def edit(name: str, old: str, new: str) -> Change:
    """Replace a text in a file."""
    return lambda place: (place / name).write_text(
        (place / name).read_text().replace(old, new, 1), encoding="utf-8"
    )


def described(**changes: Any) -> Change:
    """Change fields of model.json: `model__width=3` is `model: {width: 3}`."""

    def change(place: Path) -> None:
        file = place / "run" / "model" / "model.json"
        content = json.loads(file.read_text())
        for path, value in changes.items():
            *parts, last = path.split("__")
            inside = content
            for part in parts:
                inside = inside[part]
            inside[last] = value
        file.write_text(json.dumps(content))

    return change


def configured(**changes: Any) -> Change:
    """Change settings of config.yaml: `train__lr=-1`."""

    def change(place: Path) -> None:
        content = yaml.safe_load((place / "config.yaml").read_text())
        for path, value in changes.items():
            section, setting = path.split("__")
            content.setdefault(section, {})[setting] = value
        (place / "config.yaml").write_text(yaml.safe_dump(content))

    return change


def picture(image: Image.Image, form: str, **options: Any) -> Change:
    """Save a picture as `picture.png`, whatever it is."""

    def change(place: Path) -> None:
        image.save(place / "picture.png", form, **options)

    return change


def _half(place: Path) -> None:
    stored = io.BytesIO()
    Image.effect_noise((99, 99), 50).save(stored, "JPEG")
    (place / "picture.png").write_bytes(stored.getvalue()[:1500])


def _nothing(place: Path) -> None:
    """The command alone is wrong."""


def _weights(place: Path) -> None:
    weights = torch.load(place / "released.pth", weights_only=False)
    weights["state_dict"]["query_embed.weight"] = torch.zeros(1, 1).expand(200_000, 24)
    torch.save(weights, place / "released.pth")


def _lying_weights(place: Path) -> None:
    file = place / "run" / "model" / "model.safetensors"
    content = file.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    next(iter(header.values()))["shape"] = [10**6, 10**6]
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + size :])


def _without_description(place: Path) -> None:
    model = onnx.load(place / "model.onnx")
    del model.metadata_props[:]
    onnx.save(model, place / "model.onnx")


def _many_labels(place: Path) -> None:
    labels = [f"label {number}" for number in range(20_000)]
    thresholds, statistics = [0.5] * len(labels), None
    described(labels=labels, thresholds=thresholds, statistics=statistics, calibration=None)(place)


TABLE, COCO = "table/train.csv", "coco/annotations/instances_train.json"
OF_COCO = "--data.format coco --data.root coco --data.train train --data.val val"
OF_VOC = "--data.format voc --data.root voc --data.train train --data.val val"
OF_FOLDER = "--data.format folder --data.root folder --data.train train --data.val val"
TRAIN = "train --config config.yaml --out out"
PREDICT = "predict run picture.png --out out/rows.jsonl"
PICTURES = "predict run pictures --out out/rows.jsonl"
MEASURE = "evaluate p.csv --out out/metrics.json"
MEASURE_WITH = "evaluate p.csv table/val.csv --out out/metrics.json"
EVALUATE = "evaluate run --out out/metrics.json"
BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
)
CASES = (
    Case("data", "no bytes", TRAIN, write(TABLE, b""), "expected a table, got an empty file"),
    Case("data", "bytes of no usual encoding", TRAIN, write(TABLE, b"image,T\x81r\na.png,1\n"),
         "expected text in UTF-8, UTF-16 or cp1252, got another encoding"),
    Case("data", "two byte order marks", TRAIN,
         lambda place: write(TABLE, b"\xef\xbb\xbf" * 2 + (place / TABLE).read_bytes())(place),
         "", 0),
    Case("data", "a comma in a cell without quotes", TRAIN,
         edit(TABLE, "train0.png", "train,0.png"), "train.csv:2: expected 4 cells, got 5"),
    Case("data", "a label column twice", TRAIN, edit(TABLE, "green", "red"),
         "train.csv:1: expected each column once, got 'red' twice"),
    Case("data", "a cell that is no mark", TRAIN, edit(TABLE, ",1,1,1", ",1,maybe,1"),
         "train.csv: column 'green': expected 1 and 0, or other cells that mean present"),
    Case("data", "a label name of 100,000 characters", TRAIN, edit(TABLE, "red", "r" * 100_000),
         "expected names of at most 500 characters, got one of 100,000"),
    Case("data", "a label name with an escape code", TRAIN, edit(TABLE, "red", "r\x1b[31m"),
         "expected names without line ends, controls and broken characters"),
    Case("data", "a label name with HTML in it", f"{TRAIN} --train.epochs 1",
         lambda place: [edit(f"table/{split}.csv", "red", "<b onclick=x>")(place)
                        for split in ("train", "val")], "", 0),
    Case("data", "a picture listed that is not there", TRAIN,
         edit(TABLE, "train0.png", "nowhere.png"), "no picture table/images/nowhere.png"),
    Case("data", "a picture that is a link to itself", TRAIN,
         lambda place: [(place / "table/images/train0.png").unlink(),
                        (place / "table/images/train0.png").symlink_to("train0.png")],
         "no picture table/images/train0.png"),
    Case("data", "COCO without categories", f"{TRAIN} {OF_COCO}",
         edit(COCO, "categories", "classes"), "expected a list under 'categories', got no such"),
    Case("data", "COCO with 100,000 brackets", f"{TRAIN} {OF_COCO}", write(COCO, "[" * 100_000),
         "expected JSON, got: maximum recursion depth"),
    Case("data", "COCO with a number of 10,000 digits", f"{TRAIN} {OF_COCO}",
         write(COCO, '{"images": ' + "9" * 10_000 + "}"), "expected JSON, got: Exceeds the limit"),
    Case("data", "COCO with half a character in a name", f"{TRAIN} {OF_COCO}",
         edit(COCO, '"red"', '"r\\ud800"'), "expected names without line ends, controls and"),
    Case("data", "COCO with a category that is a list", f"check {OF_COCO} --json out/f.json",
         edit(COCO, '"category_id": 0', '"category_id": [0]'), "no category_id [0] exists"),
    Case("data", "VOC with entities in its XML", f"{TRAIN} {OF_VOC}",
         edit("voc/VOC2007/Annotations/train0.xml", "<annotation>",
              "<!DOCTYPE a [<!ENTITY b 'c'>]><annotation>"),
         "expected XML without DOCTYPE and ENTITY"),
    Case("data", "a folder that is no label", f"{TRAIN} {OF_FOLDER}",
         lambda place: shutil.copytree(place / "folder/val/red", place / "folder/val/rad"),
         "unknown label 'rad', the nearest of the 3 known ones is 'red'"),
    Case("data", "label vectors of another shape", f"{TRAIN} --model.label_vectors vectors.npy",
         lambda place: np.save(place / "vectors.npy", np.zeros((4, 5))),
         "expected an array of shape (3, length), one row per label, got shape (4, 5)"),
    Case("data", "label vectors that say they are 12 TB",
         f"{TRAIN} --model.label_vectors vectors.npy",
         write("vectors.npy", b"\x93NUMPY\x01\x00v\x00" +
               b"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 1000000000000), }".ljust(117)
               + b"\n"), "vectors.npy: expected an array of numbers in .npy form, got: Unable to"),
    Case("config", "not there", "train --config nowhere.yaml --out out", _nothing,
         "nowhere.yaml: no such config file", 2),
    Case("config", "an unknown key", TRAIN, configured(train__epoch=3),
         "no setting is called train.epoch. Did you mean train.epochs?", 2),
    Case("config", "text in place of a number", TRAIN, configured(model__width="wide"),
         "model.width", 2),
    Case("config", "a learning rate of infinity", TRAIN, configured(train__lr=float("inf")),
         "train.lr: expected a finite number, got inf", 2),
    Case("config", "a width of 10^12", TRAIN, configured(model__width=10**12),
         "model.width: expected 6 to 16,384, got 1000000000000", 2),
    Case("config", "10,000,000 loader processes", TRAIN, configured(data__workers=10**7),
         "data.workers: expected -1 (automatic) or 0 to 1,024, got 10000000", 2),
    Case("config", "aliases that stand for 10^9 values", TRAIN, write("config.yaml", BOMB),
         "not a YAML file (aliases (*name) are not read", 2),
    Case("config", "20,000 brackets", TRAIN, write("config.yaml", "model: " + "[" * 20_000),
         "not a YAML file (values nested too deeply)", 2),
    Case("config", "a tag that names code", TRAIN,
         write("config.yaml", "model: !!python/object/apply:os.mkdir [it_ran]"),
         "not a YAML file (could not determine a constructor for the tag", 2),
    Case("config", "no UTF-8", TRAIN, write("config.yaml", b"model: \xff\xfe"),
         "not a YAML file ('utf-8' codec can't decode", 2),
    Case("config", "a megabyte", TRAIN, write("config.yaml", b"#" * 10**6),
         "expected at most 200,000 bytes of YAML, got more", 2),
    Case("config", "label rules that contradict each other", f"{TRAIN} --data.rules rules.yaml",
         write("rules.yaml", "exclusive: [[red, green]]\nimplies: {blue: [red, green]}\n"),
         "rules.yaml: 'blue' implies 'red' and 'green', which exclude each other", 2),
    Case("config", "label rules of a label that is not there", f"{TRAIN} --data.rules rules.yaml",
         write("rules.yaml", "implies: {blue: [gren]}\n"),
         "rules.yaml: implies: no label is called 'gren', the nearest of the 3 is 'green'", 2),
    Case("model", "label rules with another label", EVALUATE,
         described(rules={"exclusive": [["red", "pink"]]}),
         "not a model description (exclusive: no label is called 'pink'"),
    Case("model", "a pickle under the weights' name", EVALUATE,
         write("run/model/model.safetensors", b"\x80\x04\x95\x0a."),
         "model.safetensors: the weights cannot be used"),
    Case("model", "weights cut short", EVALUATE,
         lambda place: write("run/model/model.safetensors", (
             place / "run/model/model.safetensors").read_bytes()[:-9])(place),
         "model.safetensors: the weights cannot be used"),
    Case("model", "weights that say they are 4 TB", EVALUATE, _lying_weights,
         "model.safetensors: the weights cannot be used"),
    Case("model", "another description", EVALUATE, described(model__width=48),
         "model.safetensors: the weights cannot be used"),
    Case("model", "a width of 10^12", EVALUATE, described(model__width=10**12),
         "not a model description (model.width: expected 6 to 16,384, got 1000000000000"),
    Case("model", "20,000 labels, with weights for 3", PICTURES, _many_labels,
         "the weights cannot be used (20,000 labels are more than the weights can hold)"),
    Case("model", "a field that is missing", EVALUATE,
         edit("run/model/model.json", '"thresholds"', '"cuts"'),
         "not a model description (no 'thresholds')"),
    Case("model", "a threshold that is text", EVALUATE, described(thresholds=["a", 0.5, 0.5]),
         "not a model description (thresholds: expected finite numbers, got 'a')"),
    Case("model", "a setting that does not exist", EVALUATE, described(model__colour="red"),
         "not a model description (model: unknown 'colour')"),
    Case("model", "a backbone to be fetched", EVALUATE,
         described(backbone__architecture="hf-hub:someone/else"),
         "not a model description (backbone: timm has no model 'hf-hub:someone/else')"),
    Case("model", "a backbone that reads a file", EVALUATE,
         described(backbone__options={"checkpoint_path": "evil.pth"}),
         "(backbone.options: expected sizes or switches, got 'checkpoint_path')"),
    Case("model", "a history of another program", "report run --out out/report.html",
         write("run/history.csv", "step,loss\n1,2\n"), "history.csv: not the history of a run"),
    Case("model", "ONNX of another program", "predict model.onnx pictures --out out/rows.jsonl",
         _without_description, "expected a file that lcnet export wrote"),
    Case("model", "ONNX cut short", "predict model.onnx pictures --out out/rows.jsonl",
         lambda place: write("model.onnx", (place / "model.onnx").read_bytes()[:300])(place),
         "not an ONNX file that onnxruntime can run"),
    Case("predictions", "cut in the last line", MEASURE,
         write("p.csv", "picture,target:red,probability:red\na.png,1,0.9\nb.png,0,0.1"),
         "p.csv: cut short: its last line has no end"),
    Case("predictions", "a cell too many", MEASURE,
         write("p.csv", "picture,target:red,probability:red\na.png,1,0.9\nb.png,0,0.1,0.2\n"),
         "p.csv: not a readable file of predictions ("),
    Case("predictions", "a cell too few", MEASURE,
         write("p.csv", "picture,target:red,probability:red\na.png,1,0.9\nb.png,0\n"),
         "picture 'b.png', label 'red': expected a finite number, got nan"),
    Case("predictions", "a cell that is no number", MEASURE,
         write("p.csv", "picture,target:red,probability:red\na.png,1,0.9\nb.png,0,high\n"),
         "p.csv:3: column 'probability:red': expected a number, got 'high'"),
    Case("predictions", "a picture twice", MEASURE,
         write("p.csv", "picture,target:red,probability:red\na.png,1,0.9\na.png,0,0.1\n"),
         "p.csv: expected each picture once, got 'a.png' 2 times"),
    Case("predictions", "no picture", MEASURE, write("p.csv", "picture,probability:red\n"),
         "p.csv: expected a picture or more, got none"),
    Case("predictions", "probabilities above 1", MEASURE,
         write("p.csv", "picture,target:red,probability:red\na.png,1,1.5\n"),
         "p.csv: expected probabilities from 0 to 1, got 1.5 to 1.5"),
    Case("predictions", "logits without a name", MEASURE_WITH,
         write("p.csv", "image,red,green,blue\nval0.png,-3,2,1.5\n"),
         "the columns do not say what they are. If they are logits, set --scores logits"),
    Case("predictions", "without targets or labels", MEASURE,
         write("p.csv", "image,red,green,blue\nval0.png,0.5,0.2,0.1\n"),
         "p.csv: expected targets, got none, so nothing can be measured"),
    Case("predictions", "without a column of pictures", MEASURE,
         write("p.csv", "red,green,blue\n1,0.2,0.1\n"),
         "p.csv: expected a column of pictures that is called picture, image or filename"),
    Case("predictions", "other labels than the data set", MEASURE_WITH,
         write("p.csv", "image,red,green,pink\nval0.png,0.5,0.2,0.1\n"),
         "got 1 others: 'blue', and lacks 1 predicted ones: 'pink'"),
    Case("predictions", "no picture of the data set", MEASURE_WITH,
         write("p.csv", "image,red,green,blue\nx.png,0.5,0.2,0.1\n"),
         "expected pictures in common, got none"),
    Case("predictions", "a pickle", "evaluate p.npz --out out/metrics.json",
         lambda place: np.savez(
             place / "p.npz", pictures=np.array([{}], dtype=object), labels=np.array(["red"]),
             probabilities=np.array([[0.5]]), targets=np.array([[1]])),
         "p.npz: array pictures: expected a list of names, got type object"),
    Case("predictions", "no npz", "evaluate p.npz --out out/metrics.json",
         write("p.npz", b"PK"), "p.npz: not a readable file of predictions ("),
    Case("predictions", "no Parquet", "evaluate p.parquet --out out/metrics.json",
         write("p.parquet", b"PAR1"), "p.parquet: not a readable file of predictions ("),
    Case("predictions", "several, of which one is not there",
         "evaluate p.csv q.csv --out out/metrics.json",
         write("p.csv", "picture,target:red,probability:red\na.png,1,0.9\nb.png,0,0.1\n"),
         "q.csv: no such file of predictions"),
    Case("checkpoint", "a Git LFS pointer", "import released.pth --out out/model",
         write("released.pth", b"version https://git-lfs.github.com/spec/v1\n"),
         "a Git LFS pointer, not the checkpoint itself"),
    Case("checkpoint", "cut short", "import released.pth --out out/model",
         lambda place: write("released.pth", (place / "released.pth").read_bytes()[:9999])(place),
         "not a whole checkpoint"),
    Case("checkpoint", "20 bytes that say they are 200,000 labels",
         "import released.pth --out out/model", _weights,
         "expected as many numbers as the file has, got a shape of (200000, 24)"),
    Case("checkpoint", "a run's, of another program", "train --resume cut",
         lambda place: torch.save({"epoch": 0, "callbacks": {}},
                                  place / "cut/checkpoints/last.ckpt"), "last.ckpt"),
    Case("checkpoint", "weights of another backbone",
         f"{TRAIN} --model.backbone_weights released.pth", _nothing,
         "released.pth: has no weights"),
    Case("picture", "no bytes", PREDICT, write("picture.png", b""), "not a readable picture"),
    Case("picture", "a JPEG cut short", PREDICT, _half,
         "not a readable picture: image file is truncated"),
    Case("picture", "text under a picture's name", PREDICT, write("picture.png", "no picture"),
         "not a readable picture: cannot identify image file"),
    Case("picture", "30,000 x 30,000, in 100 bytes", PREDICT,
         write("picture.png", bomb_png(30_000)),
         "not a readable picture: Image size (900000000 pixels) exceeds limit"),
    Case("picture", "a PostScript program", PREDICT, picture(Image.new("RGB", (9, 9)), "EPS"),
         "not a readable picture: PostScript file"),
    Case("picture", "a page of the web", PREDICT, write("picture.png", "<!DOCTYPE html>"),
         "not a readable picture: HTML file"),
    Case("picture", "a JPEG under another name", PREDICT,
         picture(Image.new("RGB", (9, 9)), "JPEG"), "", 0),
    Case("picture", "16 bits", PREDICT,
         picture(Image.fromarray(np.full((9, 9), 40_000, np.uint16)), "PNG"),
         "16-bit picture, but which of its values are black and white is not known"),
    Case("picture", "a fourth band that is no transparency", PREDICT,
         picture(Image.merge("RGBA", [Image.linear_gradient("L")] * 4), "PNG"),
         "picture of 4 bands whose last is not transparency"),
    Case("picture", "CMYK", PREDICT, picture(Image.new("CMYK", (9, 9)), "JPEG"), "", 0),
    Case("picture", "a palette", PREDICT, picture(Image.new("P", (9, 9)), "PNG"), "", 0),
    Case("picture", "see-through", PREDICT, picture(Image.new("RGBA", (9, 9)), "PNG"), "", 0),
    Case("picture", "turned by EXIF", PREDICT, picture(
        Image.new("RGB", (9, 5)), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0"
        b"\x01\0\x06\0\0\0\0\0\0"), "", 0),
    Case("picture", "an animation", PREDICT, picture(
        Image.new("P", (9, 9)), "GIF", save_all=True, append_images=[Image.new("P", (9, 9), 1)]),
        "", 0),
    Case("picture", "1 x 1", PREDICT, picture(Image.new("RGB", (1, 1)), "PNG"), "", 0),
    Case("picture", "not there", PREDICT, _nothing, "picture.png: no picture"),
    Case("picture", "a tar file cut short", "predict run pictures.tar --out out/rows.jsonl",
         lambda place: write("pictures.tar", (place / "pictures.tar").read_bytes()[:900])(place),
         "not a whole, uncompressed tar file"),
    Case("picture", "no Parquet", "predict run pictures.parquet --out out/rows.jsonl",
         write("pictures.parquet", b"PAR1"), "not a readable Parquet file"),
    Case("picture", "a list that is no text", "predict run list.txt --out out/rows.jsonl",
         write("list.txt", b"\xff\xfe\x00"), "expected a text file in UTF-8"),
    Case("command", "no such verb", "trian", _nothing, "Did you mean train?", 2),
    Case("command", "no such flag", f"{TRAIN} --train.epohcs 3", _nothing,
         "Did you mean --train.epochs?", 2),
    Case("command", "a value of another type", "predict run pictures --batch_size many", _nothing,
         "--batch_size", 2),
    Case("command", "a value out of range", "evaluate run --threshold 2", _nothing,
         "--threshold: expected from 0 to 1, got 2.0", 2),
    Case("command", "a value of 100,000 characters",
         f"evaluate run --protocol {'x' * 100_000}", _nothing, "--protocol: expected one of", 2),
    Case("command", "a label that the model has not", f"{PICTURES} --only red,gren", _nothing,
         "--only: no label is called 'gren', the nearest of the 3 is 'green'", 2),
    Case("command", "embeddings in a file of another kind",
         f"{PICTURES} --embeddings out/them.csv", _nothing,
         "--embeddings out/them.csv: expected a file name that ends in .npz or .parquet", 2),
    Case("command", "embeddings of an exported file",
         "predict model.onnx pictures --out out/rows.jsonl --embeddings out/them.npz", _nothing,
         "got an exported file, which gives logits alone", 2),
    Case("command", "a folder that is there", "train --config config.yaml --out run", _nothing,
         "--out run: already there. Choose another folder, replace it with --overwrite", 2),
)  # fmt: skip
HEADINGS = {
    "data": "Data",
    "config": "Config",
    "model": "Model and run folders, exported files",
    "predictions": "Files of predictions",
    "checkpoint": "Checkpoints",
    "picture": "Pictures",
    "command": "Command lines",
}


def table() -> str:
    """The tables of the docs, one a kind."""
    lines = []
    for kind, heading in HEADINGS.items():
        lines += [f"### {heading}", "", "| bad input | command | what lcnet says | exit |"]
        lines += ["|---|---|---|---|"]
        for case in CASES:
            if case.kind == kind:
                lines.append(case.row)
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
