"""The settings of the data set."""

import math
from dataclasses import dataclass, field
from typing import Annotated, Literal

from lcnet.bounds import AtLeast, Within, check_bounds, require
from lcnet.config.table import Table

MOST_WORKERS = 1_024
"""Most loader processes."""
Fit = Literal["squash", "pad", "crop"]
Workers = Annotated[int, Within(-1, MOST_WORKERS, f"-1 (automatic) or 0 to {MOST_WORKERS:,}")]


Format = Literal[
    "digits",
    "coco",
    "voc",
    "table",
    "folder",
    "rope",
    "shards",
    "celeba",
    "chestxray14",
    "chexpert",
    "cvat",
    "datumaro",
    "fiftyone",
    "hpa",
    "huggingface",
    "json",
    "label_studio",
    "mmpretrain",
    "open_images",
    "paddleclas",
    "yolo",
]


@dataclass(frozen=True)
class Data:
    """The pictures and their labels."""

    format: Format = "digits"
    """Format of the labels; docs/reference/formats.md shows each."""
    root: str = "data/digits"
    """Folder of the data set; `digits` creates it."""
    train: str = "train"
    """Training split: its name, or a label file relative to the root. `labels.csv[train]` is a part
    of labels.csv."""
    val: str = "val"
    """Validation split, which selects the best model."""
    test: str = "test"
    """Test split, used only to measure finished models; empty if there is none."""
    images: Literal["all", "annotated"] = "all"
    """Use all pictures, or only those with at least one present label."""
    separator: str = ""
    """What separates the names in a column that lists all labels of a picture; found if empty."""
    folders: list[str] = field(default_factory=list)
    """Folders of the listed pictures, relative to the root; found if none is given. `**` looks in
    all."""
    strip: Annotated[int, AtLeast(-1)] = 0
    """Leading folders of a listed path to leave out; -1 leaves only the file's name."""
    suffixes: list[str] = field(default_factory=list)
    """Suffix to add to a listed name, such as '[.jpg]'; `.*` is any. Several: a file for each
    channel."""
    labels_in: str = ""
    """Which labels to read, if a label file has several sorts: a control of Label Studio, a field
    of FiftyOne, a column of metadata, or `pictures` or `objects`."""
    splits: str = ""
    """CSV file that says which part of the data set each picture is in: picture, split. A run
    writes its own if the data set has no splits."""
    folds: str = ""
    """CSV file that says which fold each training and validation picture is in: picture, split.
    lcnet train --folds writes it."""
    fold: Annotated[int, AtLeast(0)] = 0
    """The fold of `folds` to validate on; the others are trained on. 0: the splits are as they
    are."""
    shares: list[float] = field(default_factory=lambda: [0.8, 0.1, 0.1])
    """Shares of training, validation and test where the data set has no splits."""
    rules: str = ""
    """YAML file with rules between labels, which decisions keep: `exclusive` and `one_of` are lists
    of groups, `implies` names the labels that a label implies. Empty: none."""
    difficult: Literal["positive", "negative", "unknown"] = "unknown"
    """`voc`: how to treat a label whose objects are all marked difficult."""
    shuffle_window: Annotated[int, AtLeast(1)] = 1000
    """`shards`: training reads pictures in the order of the files and shuffles among this many."""
    pixel_range: list[float] = field(default_factory=list)
    """Pictures of more than 8 bits: [low, high], the values that become black and white. Empty
    finds the least and the largest value of the training pictures. 8 bits always mean 0 to 255."""
    fit: Fit = "squash"
    """How a picture becomes the model's square. squash: it is stretched. pad: it keeps its shape
    and gets a border of the mean colour. crop: it keeps its shape and loses what lies beyond."""
    workers: Workers = -1
    """Loader processes; -1 chooses by the number of cores."""
    broken: Literal["stop", "skip"] = "stop"
    """What to do with a picture that cannot be read: stop, or skip it and report how many were
    skipped."""
    cache_images: str = ""
    """Folder for shrunk copies of the pictures, so that large files are decoded only once; empty
    keeps none. Later runs with the same folder reuse them."""

    table: Table = field(default_factory=Table)
    """How a table of labels is read."""

    def __post_init__(self) -> None:
        check_bounds(self, "data")
        require(
            not self.fold or bool(self.folds),
            "data.fold",
            expected="0, or also the file --data.folds",
            got=self.fold,
        )
        values = self.pixel_range
        require(
            not values
            or (len(values) == 2 and all(map(math.isfinite, values)) and values[0] < values[1]),
            "data.pixel_range",
            expected="two numbers such as '[0, 4095]', the lower one first, or '[]'",
            got=values,
        )

    @property
    def given_range(self) -> tuple[float, float] | None:
        """`pixel_range` as a pair; None if it is to be found."""
        return (self.pixel_range[0], self.pixel_range[1]) if self.pixel_range else None
