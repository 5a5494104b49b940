"""What a user may rely on when naming a protocol."""

import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from lcnet.config import Data
from lcnet.evaluating.protocols import PROTOCOLS, Protocol
from lcnet.metrics import ApFormula, Rates

METRICS = Path(__file__).parent.parent.parent / "docs" / "reference" / "metrics.md"


def test_the_protocols_of_the_papers_are_there():
    assert list(PROTOCOLS) == ["lcnet", "ml-gcn", "csra", "ml-decoder", "query2label"]


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_its_values_are_those_of_the_settings_and_of_the_metrics(protocol: Protocol):
    settings = {setting.name: setting.type for setting in fields(Data)}
    assert protocol.images in get_args(settings["images"])
    assert protocol.difficult in get_args(settings["difficult"])
    assert protocol.ap_formula in get_args(ApFormula)
    assert protocol.class_f1 in {rate.name for rate in fields(Rates)}
    assert 0 < protocol.threshold < 1
    assert protocol.splits.keys() == protocol.training.keys() <= {"coco", "voc", "rope"}
    assert {"coco", "voc"} <= protocol.splits.keys() <= set(get_args(settings["format"]))


@pytest.mark.parametrize(("name", "protocol"), PROTOCOLS.items())
def test_the_documents_say_the_same(name: str, protocol: Protocol):
    row = re.search(rf"^\| `{name}` \|(.*)\|$", METRICS.read_text(encoding="utf-8"), re.M)
    assert row is not None
    cells = [cell.strip().replace(" (not stated)", "") for cell in row[1].split("|")]
    assert cells == [
        protocol.images,
        protocol.difficult,
        protocol.ap_formula,
        f"{protocol.threshold:g}",
        protocol.class_f1,
        ", ".join(f"{data} {split}" for data, split in protocol.splits.items()),
    ]
