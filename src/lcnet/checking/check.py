"""`lcnet check`: what is wrong with a data set, before anyone trains on it."""

from pathlib import Path
from typing import TYPE_CHECKING

from lcnet.config import Data

if TYPE_CHECKING:
    from lcnet.checking.check_page import CheckReport


def check(
    data: Data = Data(),  # noqa: B008 -- it is frozen
    *,
    model: Path | str | None = None,
    split: str = "",
    json: Path | None = None,
    html: Path | None = None,
    quiet: bool = False,
) -> "CheckReport":
    """Find what is wrong with a data set before training.

    Args:
        data: Data set. All its splits are read.
        model: Run or model folder. Its predictions show suspicious labels; needs lcnet[check].
        split: Split that the model judges; val and test if not given, since a model has learned the
            wrong labels of the pictures that it was trained on.
        json: File for the findings: a list of kind, where, detail.
        html: File for the page.
        quiet: Print nothing.

    Returns:
        What the splits hold, what is wrong, and whether training on them is safe.

    Raises:
        DataError: if no split can be read.
        ConfigError: if cleanlab is missing or the data set has no such split.
        CheckpointError: if the model cannot be read or knows other labels.
    """
    from lcnet.checking.data_check import check_data

    return check_data(data, model=model, split=split, json_file=json, html=html, quiet=quiet)
