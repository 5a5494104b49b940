"""The data sets of the release: their labels in its order, and its label correlations."""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from lcnet.data.readers.coco import COCO_LABELS
from lcnet.data.readers.voc import LABELS as VOC_LABELS


@dataclass(frozen=True)
class ReleasedSet:
    """What the release fixes for one data set."""

    name: str
    """Its name on the release's command line: coco14, voc or rope."""
    labels: tuple[str, ...]
    """In the order of the logits; empty if the data set may have any labels."""
    crop_level: int
    graph_low: float
    """Correlation from which on the graph joins two labels."""


RELEASED_SETS = {
    "coco14": ReleasedSet("coco14", COCO_LABELS, 2, 0.2),
    "voc": ReleasedSet("voc", VOC_LABELS, 3, 0.4),
    "rope": ReleasedSet("rope", (), 2, 0.2),
}


def released_set(labels: int, name: str = "") -> ReleasedSet:
    """The data set of a checkpoint, by its name if it has one, else by its number of labels.

    Any number but COCO's 80 and VOC's 20 counts as rope's.
    """
    named = RELEASED_SETS.get(name)
    if named and len(named.labels) in (0, labels):
        return named
    by_number = {len(known.labels): known for known in RELEASED_SETS.values()}
    return by_number.get(labels, RELEASED_SETS["rope"])


def released_correlation(data: ReleasedSet, labels: int) -> Tensor:
    """The label correlation (L L) that the release's graph starts from.

    They are cosines of GloVe vectors of the label names. **COCO's rows and columns are in
    alphabetical order while its labels are in the order of COCO's ids**: a fault of the release,
    kept because its checkpoint was trained with it. Rope's is the identity: its graph has no edges.
    """
    if not data.labels:
        return torch.eye(labels)
    file = Path(__file__).with_name("correlations.safetensors")
    return load_file(file)["coco" if data.name == "coco14" else data.name]
