"""The labels that a trained model contradicts: cleanlab's confident learning, label by label."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcnet.checking.findings import CheckedSplit, Finding, finding
from lcnet.config import Data
from lcnet.data.dataset import POSITIVE, UNKNOWN, ImageLabels
from lcnet.data.loading import eval_loader
from lcnet.data.readers.checks import unnamed
from lcnet.data.transforms import eval_transform
from lcnet.errors import CheckpointError, ConfigError
from lcnet.evaluating.measuring import predict_batches
from lcnet.model_folder import for_data, load_model, read_info
from lcnet.progress import track

MOST = 50
"""Most findings per split, the worst first.

With 1 % of the labels changed on purpose, 13 to 19 of the worst 20 findings and 18 to 31 of the
worst 50 were changed ones (docs/log/checking.md).
"""
BATCH_SIZE = 32


class LabelError(NamedTuple):
    """One label of one picture that is probably wrong."""

    picture: int
    label: int
    confidence: float
    """Probability that the model gives to the label as it is marked, 0 to 1."""


def check_model(run: Path) -> None:
    """Raises ConfigError if cleanlab is not installed, CheckpointError if there is no model."""
    try:
        import cleanlab.filter  # noqa: F401
    except ImportError:
        raise ConfigError.missing("cleanlab", "check", use="--model") from None
    read_info(run)


def suspicious_labels(
    run: Path, checked: CheckedSplit, data: Data, *, quiet: bool = False
) -> Iterator[Finding]:
    """A finding for each label of a split that the model in `run` contradicts, the worst first.

    Pictures that cannot be read are left out. Raises CheckpointError if the model cannot be read or
    lacks a label of the split.
    """
    readable = [index for index, facts in enumerate(checked.facts) if not facts.fault]
    split = checked.split.chosen(np.array(readable, dtype=np.int64))
    info = for_data(read_info(run), data)
    columns = _columns(info.labels, split.labels, run)
    pictures = ImageLabels(split, eval_transform(info.preprocessing))
    loader = eval_loader(pictures, batch_size=BATCH_SIZE, workers=data.workers)
    title = f"Judging labels of {split.name}, batches"
    batches = track(loader, title, len(loader), quiet=quiet)
    probabilities, targets = predict_batches(load_model(run), batches, info.preprocessing)
    for entry in wrong_entries(probabilities[:, columns], targets)[:MOST]:
        index, name = readable[entry.picture], split.labels[entry.label]
        marked = "present" if targets[entry.picture, entry.label] == POSITIVE else "absent"
        detail = (
            f"{name!r} is marked {marked}; the model gives that probability {entry.confidence:.3f}"
        )
        path = checked.split.samples[index].path
        yield finding("suspicious-label", checked.place(index), detail, path)


def _columns(known: Sequence[str], labels: Sequence[str], run: Path) -> list[int]:
    """The index of each of the split's labels among the model's."""
    if tuple(known) == unnamed(len(known)) and len(labels) == len(known):
        return list(range(len(labels)))
    if lacking := [name for name in labels if name not in known]:
        raise CheckpointError(
            f"{run}: expected a model with the labels of the data set, got one without "
            f"{', '.join(map(repr, lacking[:3]))}. Choose the model of this data set."
        )
    return [list(known).index(name) for name in labels]


def wrong_entries(
    probabilities: NDArray[np.float32], targets: NDArray[np.int8]
) -> list[LabelError]:
    """The labels that are probably wrong by confident learning, the most suspicious first.

    Both have the shape (pictures, labels); unknown targets are not judged. Each label is a problem
    of two classes (Northcutt et al. 2021, confident joint), as in cleanlab's
    multilabel_classification, which itself does not allow unknown targets.
    """
    from cleanlab.filter import find_label_issues

    errors = []
    for label, (column, marks) in enumerate(zip(probabilities.T, targets.T, strict=True)):
        known = np.flatnonzero(marks != UNKNOWN)
        given = (marks[known] == POSITIVE).astype(np.int64)
        if len(np.unique(given)) < 2:
            continue  # nothing to compare with
        present = column[known].astype(np.float64)
        both = np.stack([1 - present, present], axis=1)
        issues = find_label_issues(
            given,
            both,
            filter_by="confident_learning",
            return_indices_ranked_by="self_confidence",
            n_jobs=1,
        )
        errors += [
            LabelError(int(known[row]), label, float(both[row, given[row]])) for row in issues
        ]
    return sorted(errors, key=lambda entry: entry.confidence)
