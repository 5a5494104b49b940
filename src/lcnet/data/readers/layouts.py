"""The layouts in which data sets are stored: one file each, listed here."""

from collections.abc import Mapping
from pathlib import Path

from lcnet.data.readers.coco import read_coco
from lcnet.data.readers.digits import read_digits
from lcnet.data.readers.folder import read_folder
from lcnet.data.readers.layout import Layout
from lcnet.data.readers.rope import read_rope
from lcnet.data.readers.shards import read_shards
from lcnet.data.readers.table import read_table
from lcnet.data.readers.voc import read_voc

LAYOUTS: Mapping[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout("digits", lambda data, split, labels: read_digits(Path(data.root), split, labels)),
        Layout("coco", lambda data, split, labels: read_coco(Path(data.root), split, labels)),
        Layout(
            "voc",
            lambda data, split, labels: read_voc(
                Path(data.root), split, labels, difficult=data.difficult
            ),
        ),
        Layout(
            "table",
            lambda data, split, labels: read_table(
                Path(data.root), split, labels, separator=data.separator or "|"
            ),
        ),
        Layout("folder", lambda data, split, labels: read_folder(Path(data.root), split, labels)),
        Layout(
            "shards",
            lambda data, split, labels: read_shards(
                Path(data.root), split, labels, separator=data.separator or "|"
            ),
        ),
        Layout("rope", lambda data, split, labels: read_rope(Path(data.root), split, labels)),
    )
}
"""By their value of `data.format`."""
