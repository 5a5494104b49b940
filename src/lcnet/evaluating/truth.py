"""The truth for a file of predictions, from a data set or a label file."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lcnet.config import Data
from lcnet.data.dataset import Split
from lcnet.data.label_names import SEPARATORS
from lcnet.data.readers import read_split
from lcnet.data.readers.layout import Given
from lcnet.data.readers.split_names import naming_splits, split_called
from lcnet.data.readers.table_file import is_table
from lcnet.data.readers.table_understanding import understand
from lcnet.data.recognising import data_at
from lcnet.errors import DataError, LCNetError
from lcnet.evaluating.kept_rows import KeptRows
from lcnet.evaluating.matching import match
from lcnet.evaluating.predictions import Predictions, named
from lcnet.files import AnyPath
from lcnet.metrics.blocks import spans
from lcnet.progress import tell


@dataclass(frozen=True)
class Judged:
    """Predictions with the truth of a data set."""

    predictions: Predictions
    rows: NDArray[np.intp]
    """The places of these in the predictions that were given."""
    said: str
    """What was matched with what, in a line."""


def with_truth(
    predictions: Predictions, data: Data | Given | AnyPath, split: str, *, quiet: bool
) -> Judged:
    """The predictions of pictures whose truth the data set has, with that truth.

    Pictures are matched by name, so that their files need not be there. Raises DataError if the
    data set cannot be read, has other labels or no such picture.
    """
    try:
        data, name, samples = _read(predictions, data, split, quiet=quiet)
    except DataError:
        parted = _read_by_names(predictions, data, split, quiet=quiet)
        if parted is None:
            raise
        data, name, samples = parted
    if set(samples.labels) != set(predictions.labels):
        samples = read_split(data, name, predictions.labels)  # it knows what the others are
    columns = [samples.labels.index(label) for label in predictions.labels]
    theirs = [Path(sample.path).as_posix() for sample in samples.samples]
    where = f"{predictions.source} and {name} of {data.root}"
    found = match(predictions.pictures, theirs, where, root=Path(data.root).as_posix())
    missing = len(theirs) - len(found.theirs)
    without = len(predictions) - len(found.ours)
    said = f"truth: {name}, pictures matched by {found.by}"
    if found.by.startswith("file name"):
        said += f", such as {predictions.pictures[found.ours[0]]!r} as {theirs[found.theirs[0]]!r}"
    if missing:
        rest = np.setdiff1d(np.arange(len(theirs)), found.theirs)
        said += f"; without a prediction, not counted: {missing:,} of {len(theirs):,}, such as "
        said += repr(theirs[rest[0]])
    if without:
        rest = np.setdiff1d(np.arange(len(predictions)), found.ours)
        said += f"; without truth, not counted: {without:,} predictions, such as "
        said += repr(predictions.pictures[rest[0]])
    chosen = predictions.chosen(found.ours)
    targets = KeptRows(predictions.place)
    for rows in spans(len(found.theirs), len(columns)):
        targets.add(samples.targets[found.theirs[rows]][:, columns])
    return Judged(replace(chosen, targets=targets.array(), split=name), found.ours, said)


def _read(
    predictions: Predictions, data: Data | Given | AnyPath, split: str, *, quiet: bool
) -> tuple[Data, str, Split]:
    """The settings of a data set, the name of the split, and the split."""
    data = _settings(data, quiet=quiet)
    if not data.val and not data.test:
        data = replace(data, train="", val=data.train)
    name = split_called(data, split or data.test or data.val)
    with naming_splits(data, name, whose="this data set"):
        samples = read_split(data, name)
    _check_labels(set(samples.labels), predictions, f"{Path(data.root, name)}")
    return data, name, samples


def _read_by_names(
    predictions: Predictions, data: Data | Given | AnyPath, split: str, *, quiet: bool
) -> tuple[Data, str, Split] | None:
    """The same, with the sign between names under which all of them are predicted labels.

    None if there is no such sign, or the settings say one. A table of few rows may not show by
    itself whether `cat, dog` is one name or two.
    """
    given = data if isinstance(data, Data | Given) else Given(Path(data))
    if isinstance(given, Data) or given.data.separator:
        return None
    for sign in SEPARATORS:
        parted = replace(given, data=replace(given.data, separator=sign))
        try:
            found = _read(predictions, parted, split, quiet=True)
        except LCNetError:
            continue
        if not quiet:
            why = "each of them is a predicted label then"
            tell(f"{given.path}: read again with names separated at {sign!r}, as {why}")
        return found
    return None


def _settings(data: Data | Given | AnyPath, *, quiet: bool) -> Data:
    """The settings of a data set; of a label file also if no picture is near it."""
    if isinstance(data, Data):
        return data
    try:
        return data_at(data, quiet=quiet, divide=False)
    except DataError:
        given = data if isinstance(data, Given) else Given(Path(data))
        if not is_table(given.file) or not given.path.is_file():
            raise
        wanted = replace(given.data, format="table", root=str(given.root), train=given.file)
        try:
            understood = understand(wanted, given.file)
        except DataError:
            understood = None
        if understood is None or understood.has_pictures:
            raise
        if not quiet:
            tell(f"{understood.said}; its pictures were not found and are not needed")
        return replace(understood.data, val="", test="")


def _check_labels(theirs: set[str], predictions: Predictions, where: str) -> None:
    """Raise DataError if the data set has a label that is not predicted, or none in common."""
    ours = set(predictions.labels)
    if unknown := sorted(theirs - ours):
        lacking = sorted(ours - theirs)
        also = f", and lacks {len(lacking):,} predicted ones: {named(lacking)}" if lacking else ""
        raise DataError(
            f"{where}: expected the {len(ours):,} labels of {predictions.source}, got "
            f"{len(unknown):,} others: {named(unknown)}{also}. Rename the labels in one of the two."
        )
