"""Renders pages from templates, each as a single file with its pictures inside."""

import base64
import io
import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from lcnet.data.dataset import Sample
from lcnet.data.decoding import PixelForm, as_shown, read_pixels
from lcnet.errors import DataError
from lcnet.files import write_text

THUMBNAIL_PX = 120
ROWS_SHOWN = 100
"""Rows of a long table that a page shows at a time; a shorter table needs no script."""


def write_page(file: Path, template: str, **values: Any) -> None:
    """Write a file of templates/ filled with the values, as in `render`; whole or not at all."""
    write_text(file, render(template, **values))


def render(template: str, **values: Any) -> str:
    """A file of templates/ filled with the values, which are escaped except in Markdown."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("lcnet.reporting"),
        autoescape=lambda name: not (name or "").endswith(".md"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["rows_shown"] = ROWS_SHOWN
    made.filters["breakable"] = breakable
    return made


def breakable(text: str) -> Markup:
    """The text, escaped, which breaks at folders and parts before inside a word; flags stay whole.

    So `labels.csv[train]` on a phone becomes `labels.csv` and `[train]`.
    """
    places = re.sub(r"(?<=[/:])(?=\S)|(?<=\S)(?=\[)", "<wbr>", str(escape(text)))
    whole = re.sub(r"--[a-z][\w.]*", r'<span class="flag">\g<0></span>', places)
    return Markup(whole)


def thumbnail(picture: Path | Sample, form: PixelForm) -> str:
    """A small copy of the picture as a data URI; empty if the picture can no longer be read.

    `form` says what the values of a deep picture mean, and how many channels there are.
    """
    try:
        if isinstance(picture, Sample):
            pixels = picture.read(form=form)
        else:
            pixels = read_pixels(picture, form=form)
        return small_picture(as_shown(pixels), THUMBNAIL_PX)
    except DataError:
        return ""


def small_picture(picture: Image.Image, side: int) -> str:
    """A copy with sides of at most `side` pixels, as a JPEG in a data URI."""
    small = picture.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    stored = io.BytesIO()
    small.save(stored, "JPEG", quality=80)
    return data_uri(stored.getvalue(), "image/jpeg")


def data_uri(content: bytes, kind: str) -> str:
    """A file's content as a data URI; `kind` is its media type, such as image/png."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
