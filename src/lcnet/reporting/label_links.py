"""Links from the report to a picture on the page of `lcnet label`, where its labels are mended."""

from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
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
