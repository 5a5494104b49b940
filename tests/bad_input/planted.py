"""Files that would run code if somebody let them."""

import io
import json
import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import torch

MARK = "it_ran"
"""The file that the code would leave in the working directory."""


class Malicious:
    """What a pickle makes of it is a call."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (MARK,)


def has_run(folder: Path) -> bool:
    """Whether the planted code was run, as it leaves its mark."""
    return (folder / MARK).exists()


def pickled() -> bytes:
    return pickle.dumps({"state_dict": {"weight": Malicious()}, "epoch": 3})


def saved() -> bytes:
    """As torch saves it, a zip archive with a pickle inside."""
    stored = io.BytesIO()
    torch.save({"state_dict": {"weight": torch.ones(3), "other": Malicious()}}, stored)
    return stored.getvalue()


def saved_as_before() -> bytes:
    """As torch before 1.6 saved it, pickles one after another."""
    stored = io.BytesIO()
    content = {"state_dict": {"weight": torch.ones(3), "other": Malicious()}}
    torch.save(content, stored, _use_new_zipfile_serialization=False)
    return stored.getvalue()


def array() -> bytes:
    stored = io.BytesIO()
    np.save(stored, np.array([[Malicious()] * 3] * 3, dtype=object), allow_pickle=True)
    return stored.getvalue()


def archive_of_arrays() -> bytes:
    stored = io.BytesIO()
    np.savez(stored, np.array([[Malicious()] * 3] * 3, dtype=object))
    return stored.getvalue()


def yaml_tag() -> bytes:
    return f"model: !!python/object/apply:os.mkdir [{MARK}]\n".encode()


def json_tag() -> bytes:
    return json.dumps({"py/reduce": [{"py/type": "os.mkdir"}, [MARK]]}).encode()


def tar() -> bytes:
    """With members that decoders of other readers unpickle, and names that leave a folder."""
    stored = io.BytesIO()
    with tarfile.open(fileobj=stored, mode="w") as opened:
        for name in ("a.pyd", "a.pkl", "a.pth", "b.png", "../../c.png", "/d.png"):
            member = tarfile.TarInfo(name)
            member.size = len(pickled())
            opened.addfile(member, io.BytesIO(pickled()))
        link = tarfile.TarInfo("e.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        opened.addfile(link)
    return stored.getvalue()


def parquet() -> bytes:
    stored = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"image": [pickled(), array()]}), stored)
    return stored.getvalue()


def postscript() -> bytes:
    """A program that a decoder of pictures would give to Ghostscript."""
    head = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    return f"{head}({MARK}) (w) file closefile showpage\n%%EOF\n".encode()


LINES = {
    "released.pth": "import released.pth --out out/model",
    "ml_decoder.pth": "import ml_decoder.pth --out out/model",
    "init.pth": "train --config data.yaml --init init.pth --out out",
    "backbone.pth": "train --config config.yaml --model.backbone_weights backbone.pth --out out",
    "backbone/pytorch_model.bin": "train --config config.yaml --model.backbone local-dir:backbone "
    "--model.pretrained true --out out",
    "cut/checkpoints/last.ckpt": "train --resume cut",
    "run/model/model.safetensors": "predict run pictures --out out/rows.jsonl",
    "run/model/model.json": "evaluate run --out out/metrics.json",
    "run/config.yaml": "evaluate run --out out/metrics.json",
    "run/history.csv": "report run --out out/report.html",
    "config.yaml": "train --config config.yaml --out out",
    "variants.yaml": "compare --config config.yaml --variants variants.yaml --out out",
    "vectors.npy": "train --config config.yaml --model.label_vectors vectors.npy --out out",
    "vectors.txt": "train --config config.yaml --model.label_vectors vectors.txt --out out",
    "correlation.npy": "import released.pth --correlation correlation.npy --out out/model",
    "labels.txt": "import released.pth --labels labels.txt --out out/model",
    "model.onnx": "predict model.onnx pictures --out out/rows.jsonl",
    "model.pt2": "predict model.pt2 pictures --out out/rows.jsonl",
    "table/train.csv": "train --config config.yaml --out out",
    "coco/annotations/instances_train.json": "train --config config.yaml --data.format coco "
    "--data.root coco --data.train train --data.val val --out out",
    "pictures/val0.png": "predict run pictures/val0.png --out out/rows.jsonl",
    "pictures.tar": "predict run pictures.tar --out out/rows.jsonl",
    "pictures.parquet": "predict run pictures.parquet --out out/rows.jsonl",
    "list.txt": "predict run list.txt --out out/rows.jsonl",
}
"""Every place where a file is accepted, and a command that reads it."""
PAYLOADS: dict[str, Callable[[], bytes]] = {
    "a pickle": pickled,
    "a torch file": saved,
    "an old torch file": saved_as_before,
}
"""What is planted everywhere."""
OWN: dict[str, Callable[[], bytes]] = {
    ".npy": array,
    ".yaml": yaml_tag,
    ".json": json_tag,
    ".tar": tar,
    ".parquet": parquet,
    ".png": postscript,
}
"""What is planted besides, by suffix."""


def planted() -> list[tuple[str, str, Callable[[], bytes]]]:
    """Each place, payload by name and what makes it."""
    found = []
    for place in LINES:
        found += [(place, name, make) for name, make in PAYLOADS.items()]
        for suffix, make in OWN.items():
            if place.endswith(suffix):
                found.append((place, f"{make.__name__}", make))
    found.append(("vectors.npy", "an archive of arrays", archive_of_arrays))
    return found
