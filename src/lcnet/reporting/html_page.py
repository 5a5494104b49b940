"""Pages that are one file: rendered from a template, with their pictures inside."""

import base64
import io
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from lcnet.data.dataset import Sample, read_image
from lcnet.errors import DataError
from lcnet.files import write_text

THUMBNAIL_PX = 120


def write_page(file: Path, template: str, **values: Any) -> None:
    """Write what a file of templates/ makes of the values, which are escaped; whole or not."""
    write_text(file, render(template, **values))


def render(template: str, **values: Any) -> str:
    """What a file of templates/ makes of the values, which are escaped."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("lcnet.reporting"),
        autoescape=lambda name: not (name or "").endswith(".md"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def thumbnail(picture: Path | Sample) -> str:
    """The picture, small, as a data URI; empty if it cannot be read any more."""
    try:
        image = picture.read() if isinstance(picture, Sample) else read_image(picture)
        return small_picture(image, THUMBNAIL_PX)
    except DataError:
        return ""


def small_picture(picture: Image.Image, side: int) -> str:
    """The picture with sides of at most `side` pixels, as a JPEG in a data URI."""
    small = picture.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    stored = io.BytesIO()
    small.save(stored, "JPEG", quality=80)
    return data_uri(stored.getvalue(), "image/jpeg")


def data_uri(content: bytes, kind: str) -> str:
    """A file of a media type such as image/png, as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
