"""Open Images: a row per picture and label, with a confidence; a table has the labels' names."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lcnet.config import Data, Table
from lcnet.data.dataset import Split
from lcnet.data.readers.checks import unreadable
from lcnet.data.readers.layout import Layout
from lcnet.data.readers.table_layout import Known, table_layout

NAMES = "*class-descriptions*.csv"
"""The table of names: code and name a row."""


def settings(columns: tuple[str, ...]) -> Table | None:
    """A confidence of 1 is present, 0 absent; a label without a row was not looked at: unknown."""
    if not {"ImageID", "LabelName", "Confidence"} <= set(columns):
        return None
    others = [name for name in columns if name not in ("ImageID", "LabelName", "Confidence")]
    return Table(
        picture="ImageID",
        names="LabelName",
        confidence="Confidence",
        rows="label",
        unlisted="unknown",
        ignore=others,
    )


_TABLES = table_layout(Known("open_images", settings))


def read_open_images(data: Data, split: str, labels: Sequence[str] | None = None) -> Split:
    """The pictures of a table, with names for codes if the table of names is below the root."""
    name_of = _names(Path(data.root))
    code_of = {name: code for code, name in name_of.items()}
    codes = None if labels is None else [code_of.get(name, name) for name in labels]
    read = _TABLES.read(data, split, codes)
    return replace(read, labels=tuple(name_of.get(code, code) for code in read.labels))


def _names(root: Path) -> dict[str, str]:
    """The name of each code; a name that two codes have keeps the code beside it."""
    files = sorted(root.glob(NAMES)) or sorted(root.glob(f"*/{NAMES}"))
    if not files:
        return {}
    try:
        with files[0].open(encoding="utf-8-sig", newline="") as opened:
            names = {row[0]: row[1] for row in csv.reader(opened) if len(row) == 2}
    except (OSError, ValueError, csv.Error) as error:
        raise unreadable(files[0].name, "a code and a name a row", error) from None
    often = Counter(names.values())
    return {code: f"{name} ({code})" if often[name] > 1 else name for code, name in names.items()}


OPEN_IMAGES = Layout("open_images", read_open_images, _TABLES.recognise)
