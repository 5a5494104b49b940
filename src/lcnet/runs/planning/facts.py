"""What a plan knows of the pictures and of the machine."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from lcnet.compute import best_precision, usual_device
from lcnet.config import Data
from lcnet.data.dataset import NEGATIVE, POSITIVE, UNKNOWN, Split, evenly
from lcnet.data.decoding import upright_size
from lcnet.data.loading import available_cores, chosen_workers
from lcnet.errors import DataError
from lcnet.runs.memory import free_memory

LOOKED_AT = 60
"""Training pictures whose headers are read for their size."""
RARE = 10
"""A label that is present in fewer training pictures is rare."""
SMALL = 10
"""Percent of the objects that are smaller than `DataFacts.object_side`."""


@dataclass(frozen=True)
class DataFacts:
    """A data set in numbers."""

    training: int
    validation: int
    labels: int
    width: int
    """Median of the training pictures, in pixels."""
    height: int
    labels_a_picture: float = 1.0
    rarest: int = RARE
    """Training pictures in which the rarest label is present."""
    rare: int = 0
    """Labels that are present in fewer than `RARE` training pictures."""
    unjudged: int = 0
    """Labels that validation cannot judge: present in none of its pictures, or absent in none."""
    unknown: float = 0.0
    """Share of the training entries that are unknown, 0 to 1."""
    object_side: float = 0.0
    """Pixels: a tenth of the objects are smaller. 0 if the data set has no boxes."""
    has_sides: bool = False
    """Whether left and right mean something, as in handwriting, so that nothing is mirrored."""

    @property
    def side(self) -> float:
        """The side in pixels of a square with as many pixels as a picture."""
        return (self.width * self.height) ** 0.5


@dataclass(frozen=True)
class Machine:
    """What there is to compute with."""

    cores: int
    memory: int
    """Free memory of the machine, in bytes."""
    disk: int
    """Free bytes where the run will be."""
    accelerator: str = ""
    """Its name; empty without one."""
    workers: int = 0
    """Loader processes, which decode pictures while the network computes."""
    has_bf16: bool = False
    """Whether it multiplies in bfloat16, so that runs end with a comparison with float32."""
    slowness: float = 1.0
    """How many times as long work takes as on an idle machine; 1 or more."""


def data_facts(data: Data, training: Split, validation: Split) -> DataFacts:
    """The facts of a data set. Of some pictures the headers are read, and nothing is decoded."""
    present = (training.targets == POSITIVE).sum(axis=0)
    judged = (validation.targets == POSITIVE).any(axis=0) & (validation.targets == NEGATIVE).any(
        axis=0
    )
    width, height = _median_size(training)
    return DataFacts(
        training=len(training),
        validation=len(validation),
        labels=len(training.labels),
        width=width,
        height=height,
        labels_a_picture=float(present.sum()) / len(training),
        rarest=int(present.min(initial=len(training))),
        rare=int((present < RARE).sum()),
        unjudged=int((~judged).sum()),
        unknown=float((training.targets == UNKNOWN).mean()),
        object_side=_object_side(data),
        has_sides=data.format == "digits",
    )


def machine_facts(folder: Path, data: Data) -> Machine:
    """The facts of this machine, for a run in `folder`, which need not exist."""
    device = usual_device()
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return Machine(
        cores=available_cores(),
        memory=free_memory(torch.device("cpu")),
        disk=shutil.disk_usage(there).free,
        accelerator=torch.cuda.get_device_name() if device.type == "cuda" else "",
        workers=chosen_workers(data.workers),
        has_bf16=best_precision(device) == "bf16",
    )


def _median_size(split: Split) -> tuple[int, int]:
    """Width and height of the usual picture. Raises DataError if no header can be read."""
    sizes = []
    for index in evenly(len(split), LOOKED_AT):
        try:
            sizes.append(upright_size(split.samples[int(index)].sources()[0]))
        except (DataError, OSError):  # whoever reads the picture says what is wrong with it
            continue
    if not sizes:
        raise DataError(
            f"{split.name}: expected pictures, got none that can be read among {LOOKED_AT} of them."
            " Look for what is wrong with: lcnet check DATA"
        )
    width, height = (median(side) for side in zip(*sizes, strict=True))
    return int(width), int(height)


def _object_side(data: Data) -> float:
    """The side that a tenth of the objects do not reach; 0 unless it is a COCO file with boxes."""
    file = Path(data.root, data.train)
    if data.format != "coco" or not file.is_file():
        return 0.0
    try:
        sides = [*_sides(json.loads(file.read_text(encoding="utf-8")))]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return 0.0  # its boxes are not needed to train
    return float(np.percentile(sides, SMALL)) if sides else 0.0


def _sides(content: Any) -> Iterator[float]:
    for entry in content["annotations"]:
        _, _, width, height = entry["bbox"]
        if width > 0 and height > 0:
            yield (float(width) * float(height)) ** 0.5
