"""From a picture's file to its pixels."""

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from lcnet.errors import DataError, reason_of

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
"""Files in a folder are pictures if they have one of these suffixes, in upper or lower case."""
PICTURE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
"""The only decoders used, whatever a file is called. Pillow has others that are unsafe: the one for
EPS runs a program on the file's content."""


def upright_rgb(image: Image.Image, *, size: int = 0) -> Image.Image:
    """The picture in RGB, turned as its EXIF data says; 16 bits a pixel become 8.

    The result may be `image` itself. With `size`, a JPEG that is not decoded yet is decoded at the
    smallest scale that suffices, see `read_image`.
    """
    if size:
        image.draft("RGB", (size, size))  # square, so it holds for a turned picture too
    upright = image
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):
        values = np.asarray(upright).astype(np.float64)
        scale = 257 if values.max(initial=0) > 255 else 1
        upright = Image.fromarray((values / scale).clip(0, 255).astype(np.uint8))
    # Without this test Pillow would copy an RGB picture, which takes as long as decoding it.
    upright.load()
    return upright if upright.mode == "RGB" else upright.convert("RGB")


def read_image(
    path: Path, source: str = "", *, size: int = 0, data: bytes | None = None
) -> Image.Image:
    """The picture at `path`, upright (EXIF rotation applied), in RGB.

    If `data` holds its bytes, no file is read and `path` is only its name.

    With `size`, a JPEG is decoded at the smallest of the scales 1/1, 1/2, 1/4 and 1/8 that leaves
    both sides at least that long, which is about 2, 4 and 6 times as fast (libjpeg's scaled
    decoding). Other formats and smaller pictures keep their size.

    Raises DataError, naming the file and `source`, if it is missing or cannot be decoded.
    """
    where = f" (listed in {source})" if source else ""
    try:
        with _open(path if data is None else io.BytesIO(data)) as image:
            return upright_rgb(image, size=size)
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such picture{where}. Correct the path or drop the row."
        ) from None
    except Exception as error:  # Pillow's decoders raise a dozen types on a broken file
        raise DataError(
            f"{path}: not a readable picture{where}: {reason_of(error)}. "
            "Replace the file or drop the row."
        ) from None


def _open(opened: Path | io.BytesIO) -> Image.Image:
    """The picture, not yet decoded, without Pillow's warning about large pictures (89 MP).

    Pillow still refuses a picture of more than twice that, 179 million pixels.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(opened, formats=PICTURE_FORMATS)


def upright_size(path: Path) -> tuple[int, int]:
    """Width and height of a picture that `read_image` can read, from its header."""
    with _open(path) as image:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        return (image.height, image.width) if turned else (image.width, image.height)
