"""`lcnet check`: find faults of a data set before training on it."""

from pathlib import Path
from typing import TYPE_CHECKING

from lcnet.config import Data
from lcnet.files import AnyPath

if TYPE_CHECKING:
    from lcnet.checking.check_page import CheckReport


def check(
    data: Data | AnyPath = Data(),  # noqa: B008 -- it is frozen
    *,
    model: AnyPath | None = None,
    split: str = "",
    json: Path | None = None,
    html: Path | None = None,
    summary: Path | None = None,
    facts: Path | None = None,
    quiet: bool = False,
) -> "CheckReport":
    """Find what is wrong with a data set before training.

    Args:
        data: Data set to check, or its folder or label file; the built-in `digits` if none is
            given. Not shards: check the data set that they were packed from.
        model: Run or model folder. Its predictions show suspicious labels; needs lcnet[check].
        split: Split that the model judges; val and test if not given. Not the training split:
            its wrong labels were learned, and are not noticed.
        json: JSON file for the findings: a list of kind, where, detail.
        html: HTML file for the same, with pictures and label counts.
        summary: JSON file for what was understood: layout, labels, and for each split the number of
            pictures and, by label, of present, absent and unknown entries.
        facts: File that keeps what was read of each picture. A check that was killed goes on from
            it, and the next one reads only pictures that are new or changed. If not given, the
            first of --json, --html and --summary with the suffix .facts; none without them, or
            for up to 256 pictures.
        quiet: Print nothing.

    Returns:
        The label counts of the splits, the findings, and whether training is safe.

    Raises:
        DataError: if no split can be read, or `facts` is another file.
        ConfigError: if the data set has no such `split` or is in shards, or cleanlab is missing.
        CheckpointError: if the model cannot be read or lacks a label of the data set.
    """
    from lcnet.checking.data_check import check_data

    return check_data(
        data,
        model=model,
        split=split,
        json_file=json,
        html=html,
        summary=summary,
        facts=facts,
        quiet=quiet,
    )
