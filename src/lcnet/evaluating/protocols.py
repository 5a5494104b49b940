"""How published work measures: which pictures count, and with which formulas.

Numbers of two papers can be compared only under one protocol. docs/reference/metrics.md has
the table with the sources, and says which values a source does not state.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ProtocolName = Literal["", "lcnet", "ml-gcn", "csra", "ml-decoder", "query2label"]
"""A key of `PROTOCOLS`, or empty for none."""


@dataclass(frozen=True)
class Protocol:
    """One way to measure; the fields have the names of the settings and of the metrics."""

    images: Literal["all", "annotated"]
    """COCO: all pictures, or only those with an annotation. On VOC everybody uses all."""
    difficult: Literal["positive", "negative", "unknown"]
    """VOC: how to count a label whose objects are all marked difficult, when measuring."""
    ap_formula: Literal["step", "envelope", "11-point"]
    """How average precision is computed from precision and recall."""
    threshold: float
    """Probability above which a label counts as predicted."""
    class_f1: Literal["CF1", "mean_label_F1"]
    """The metric that it calls CF1."""
    splits: Mapping[str, str]
    """The split that it reports, by data format."""
    training: Mapping[str, str]
    """The pictures that it trains on, by data format, in words."""


_REPORTED = {"coco": "val2014", "voc": "test"}

PROTOCOLS: dict[str, Protocol] = {
    "lcnet": Protocol(
        images="all",
        difficult="positive",
        ap_formula="step",
        threshold=0.85,
        class_f1="mean_label_F1",
        splits={**_REPORTED, "rope": "test"},
        training={
            "coco": "train2014",
            "voc": "train, difficult positive, with the epoch picked on val",
            "rope": "train, with the epoch picked on val",
        },
    ),
    "ml-gcn": Protocol(
        images="annotated",
        difficult="unknown",
        ap_formula="step",
        threshold=0.5,
        class_f1="CF1",
        splits=_REPORTED,
        training={"coco": "train2014, annotated", "voc": "trainval, difficult positive"},
    ),
    "csra": Protocol(
        images="annotated",
        difficult="unknown",
        ap_formula="step",
        threshold=0.5,
        class_f1="CF1",
        splits=_REPORTED,
        training={"coco": "train2014, annotated", "voc": "trainval, difficult negative"},
    ),
    "ml-decoder": Protocol(
        images="annotated",
        difficult="unknown",  # not stated
        ap_formula="step",
        threshold=0.8,
        class_f1="mean_label_F1",
        splits=_REPORTED,
        training={"coco": "train2014, annotated", "voc": "trainval, difficult not stated"},
    ),
    "query2label": Protocol(
        images="all",
        difficult="unknown",  # not stated
        ap_formula="envelope",
        threshold=0.5,  # not stated
        class_f1="CF1",  # not stated
        splits=_REPORTED,
        training={"coco": "train2014", "voc": "trainval, difficult not stated"},
    ),
}
