"""The layouts in which data sets are stored: one file each, listed here."""

from collections.abc import Mapping
from pathlib import Path

from lcnet.data.readers.by_folders import (
    recognise_digits,
    recognise_rope,
    recognise_shards,
)
from lcnet.data.readers.celeba import CELEBA
from lcnet.data.readers.chestxray14 import CHESTXRAY14
from lcnet.data.readers.chexpert import CHEXPERT
from lcnet.data.readers.coco import read_coco, recognise_coco
from lcnet.data.readers.cvat import CVAT
from lcnet.data.readers.datumaro import DATUMARO
from lcnet.data.readers.digits import read_digits
from lcnet.data.readers.fiftyone import FIFTYONE
from lcnet.data.readers.folder_layout import FOLDER
from lcnet.data.readers.hpa import HPA
from lcnet.data.readers.huggingface import HUGGINGFACE
from lcnet.data.readers.json_rows import JSON_ROWS
from lcnet.data.readers.label_studio import LABEL_STUDIO
from lcnet.data.readers.layout import Layout
from lcnet.data.readers.listing import given_place
from lcnet.data.readers.mmpretrain import MMPRETRAIN
from lcnet.data.readers.open_images import OPEN_IMAGES
from lcnet.data.readers.paddleclas import PADDLECLAS
from lcnet.data.readers.rope import read_rope
from lcnet.data.readers.shards import read_shards
from lcnet.data.readers.table_layout import table_layout
from lcnet.data.readers.voc import read_voc, recognise_voc
from lcnet.data.readers.yolo import YOLO

LAYOUTS: Mapping[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout(
            "digits",
            lambda data, split, labels: read_digits(Path(data.root), split, labels),
            recognise_digits,
        ),
        Layout(
            "coco",
            lambda data, split, labels: read_coco(
                Path(data.root), split, labels, place=given_place(data)
            ),
            recognise_coco,
        ),
        Layout(
            "voc",
            lambda data, split, labels: read_voc(
                Path(data.root), split, labels, difficult=data.difficult, place=given_place(data)
            ),
            recognise_voc,
        ),
        Layout(
            "shards",
            lambda data, split, labels: read_shards(
                Path(data.root), split, labels, separator=data.separator or "|"
            ),
            recognise_shards,
        ),
        Layout(
            "rope",
            lambda data, split, labels: read_rope(Path(data.root), split, labels),
            recognise_rope,
        ),
        CELEBA,
        CHESTXRAY14,
        CHEXPERT,
        HPA,
        OPEN_IMAGES,
        table_layout(),
        JSON_ROWS,
        FOLDER,
        CVAT,
        DATUMARO,
        FIFTYONE,
        HUGGINGFACE,
        LABEL_STUDIO,
        MMPRETRAIN,
        PADDLECLAS,
        YOLO,
    )
}
"""By their value of `data.format`. Of the general ones, those further up go before the others."""
