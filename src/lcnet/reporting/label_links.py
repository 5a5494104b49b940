"""Links from the report to a picture on the page of `lcnet label`, where its labels are mended."""

from pathlib import Path
from shlex import quote as quoted
from typing import TYPE_CHECKING
from urllib.parse import quote

from lcnet.data.dividing import file_of

if TYPE_CHECKING:
    from lcnet.config import Data
    from lcnet.data.dataset import Sample

PAGE = "http://127.0.0.1:7870/"
"""Where `lcnet label` serves its page if nothing else is asked; a test holds the two together."""
DRAWN = ("digits", "rope")
"""Formats whose pictures and labels are drawn, so that no label is wrong."""


def label_link(sample: "Sample", path: str, data_format: str) -> str:
    """The address that opens a picture, named by its `path`, while `lcnet label` runs.

    Empty for pictures that it does not show: those inside larger files, in several files, or drawn.
    """
    if data_format in DRAWN or sample.inside is not None or sample.channel_files:
        return ""
    return f"{PAGE}?picture={quote(path, safe='/', errors='backslashreplace')}"


def correcting(folder: str, table: Path | None) -> str:
    """The command that opens the page: with the run, and the label file if that is known."""
    named = quoted(str(table)) if table else "TABLE"
    return f"lcnet label {quoted(folder)} {named} --out corrected.csv --correct"


def label_file(data: "Data", split: str) -> Path | None:
    """The file that says the labels of a split, as the data set's folder was given.

    None for a split that is no file of its own, as in layouts of folders.
    """
    file = Path(data.root, file_of(split))
    return file if file.is_file() else None
