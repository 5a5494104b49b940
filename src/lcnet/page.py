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
        loader=PackageLoader("lcnet"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def thumbnail(picture: Path | Sample) -> str:
    """The picture, small, as a data URI; empty if it cannot be read any more."""
    try:
        image = picture.read() if isinstance(picture, Sample) else read_image(picture)
    except DataError:
        return ""
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)
    stored = io.BytesIO()
    image.save(stored, "JPEG", quality=75)
    return f"data:image/jpeg;base64,{base64.b64encode(stored.getvalue()).decode()}"
