"""CheXpert: train.csv and valid.csv with 1.0, 0.0, -1.0 and blank cells."""

import re
from dataclasses import replace

from lcnet.config import Data, Table
from lcnet.data.dataset import Split
from lcnet.data.readers.table_layout import Known, table_layout

FIRST = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA")
"""The columns before the 14 observations."""


def settings(columns: tuple[str, ...]) -> Table | None:
    """1 is present, -1 uncertain and so unknown; 0 and a blank, not mentioned, are absent.

    So Irvin et al. 2019 (arXiv 1901.07031), section 2.
    """
    if columns[: len(FIRST)] != FIRST or len(columns) == len(FIRST):
        return None
    return Table(
        picture="Path",
        labels=list(columns[len(FIRST) :]),
        ignore=list(FIRST[1:]),
        present=["1"],
        absent=["0", ""],
        unknown=["-1"],
    )


def with_patients(data: Data, split: Split) -> Split:
    """The split with the patient of each picture, which stands in its path."""
    found = [re.search(r"patient\d+", str(sample.path)) for sample in split.samples]
    if not all(found):
        return split
    return replace(split, groups=tuple(match[0] for match in found if match))


CHEXPERT = table_layout(Known("chexpert", settings, finish=with_patients))
