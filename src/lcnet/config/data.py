"""The settings of the data set."""

from dataclasses import dataclass
from typing import Annotated, Literal

from lcnet.bounds import AtLeast, Within, check_bounds, require

MOST_WORKERS = 1_024
"""Most loader processes."""
Workers = Annotated[int, Within(-1, MOST_WORKERS, f"-1 (automatic) or 0 to {MOST_WORKERS:,}")]


@dataclass(frozen=True)
class Data:
    """The pictures and their labels."""

    format: Literal["digits", "coco", "voc", "table", "folder", "rope", "shards"] = "digits"
    """Format of the labels; docs/reference/formats.md shows each."""
    root: str = "data/digits"
    """Folder of the data set; `digits` creates it."""
    train: str = "train"
    """Training split: its name, or for `table` a CSV file relative to the root."""
    val: str = "val"
    """Validation split, which selects the best model."""
    test: str = "test"
    """Test split, used only to measure finished models; empty if there is none."""
    images: Literal["all", "annotated"] = "all"
    """Use all pictures, or only those with at least one present label."""
    separator: str = "|"
    """`table`: what separates labels if one column lists all labels of a picture."""
    difficult: Literal["positive", "negative", "unknown"] = "unknown"
    """`voc`: how to treat a label whose objects are all marked difficult."""
    shuffle_window: Annotated[int, AtLeast(1)] = 1000
    """`shards`: training reads pictures in the order of the files and shuffles among this many."""
    workers: Workers = -1
    """Loader processes; -1 chooses by the number of cores."""
    broken: Literal["stop", "skip"] = "stop"
    """What to do with a picture that cannot be read: stop, or skip it and report how many were
    skipped."""
    cache_images: str = ""
    """Folder for shrunk copies of the pictures, so that large files are decoded only once; empty
    keeps none. Later runs with the same folder reuse them."""

    def __post_init__(self) -> None:
        check_bounds(self, "data")
        require(
            bool(self.separator),
            "data.separator",
            expected="at least one character",
            got=self.separator,
        )
