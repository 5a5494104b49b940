"""From the data settings to the samples of a split, whatever the format."""

from collections.abc import Callable, Sequence
from pathlib import Path

from lcnet import config
from lcnet.data.coco import read_coco
from lcnet.data.dataset import Split
from lcnet.data.digits import read_digits
from lcnet.data.folder import read_folder
from lcnet.data.table import read_table
from lcnet.data.voc import read_voc
from lcnet.errors import DataError

Reader = Callable[[config.Data, Path, str, Sequence[str] | None], Split]

READERS: dict[str, Reader] = {
    "digits": lambda data, root, split, labels: read_digits(root, split, labels),
    "coco": lambda data, root, split, labels: read_coco(root, split, labels),
    "voc": lambda data, root, split, labels: read_voc(
        root, split, labels, difficult=data.difficult
    ),
    "table": lambda data, root, split, labels: read_table(
        root, split, labels, separator=data.separator
    ),
    "folder": lambda data, root, split, labels: read_folder(root, split, labels),
}


def load_split(data: config.Data, split: str, labels: Sequence[str] | None = None) -> Split:
    """The samples of a split, their targets in the order of `labels` (the reader's own if none).

    Raises DataError if the data cannot be read, is empty, has a label that is not among `labels`,
    or lists a picture that does not exist.
    """
    samples = READERS[data.format](data, Path(data.root), split, labels)
    if not samples.samples:
        raise DataError(f"{data.root}: split {split!r} is empty (expected at least one picture).")
    missing = [sample for sample in samples.samples if not sample.path.is_file()]
    if missing:
        first = missing[0]
        more = f", and {len(missing) - 1:,} more" if len(missing) > 1 else ""
        raise DataError(
            f"{first.source or split}: no picture {first.path}{more}. "
            "Correct the paths, set --data.root, or drop the rows."
        )
    return samples
