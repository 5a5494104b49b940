"""Opens a picture's file: which formats are taken, by their content, and which are not."""

import io
import math
import warnings
from pathlib import Path
from threading import Lock

from PIL import Image, UnidentifiedImageError

from lcnet.data.dicom import dicom_values
from lcnet.data.pixel_form import NotTaken, Unfit
from lcnet.data.tiff import pillow_changes, tiff_values
from lcnet.data.values import Source, Values, deep_values, orientation_of

PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".heic", ".heif", ".dcm", ".dicom"}
)
"""Files in a folder are pictures if they have one of these suffixes, in upper or lower case."""
PICTURE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "PPM")
"""Pillow's only decoders in use, whatever a file is called. Pillow has others that are unsafe: the
one for EPS runs a program on the file's content."""
HEAD = 132
"""Bytes at the start of a file that tell its format."""
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
STARTS = (
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"8BPS", "Photoshop"),
    (b"%!PS", "PostScript"),
    (b"%PDF", "PDF"),
    (b"\x00\x00\x01\x00", "icon"),
    (b"PK\x03\x04", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"\x89HDF", "HDF5"),
    (b"\x93NUMPY", "NumPy"),
    (b"SIMPLE  =", "FITS"),
    (b"version https://git-lfs", "Git LFS pointer"),
    (b"<svg", "SVG"),
    (b"<?xml", "XML"),
    (b"<!DOCTYPE", "HTML"),
    (b"<!doctype", "HTML"),
    (b"<html", "HTML"),
)
"""How files of other formats start."""
_filters = Lock()


def open_picture(source: Source) -> Image.Image | Values:
    """A picture of 8 bits, not decoded yet, or the values of a deeper one or of more bands.

    Pillow's warning about large pictures (89 million pixels) is not shown; above twice that it is
    refused. Raises NotTaken for another format, Unfit for a kind that is not taken, and what the
    decoder raises for a broken file.
    """
    image = _by_pillow(source)
    if image is None:
        return _by_content(source)
    if image.format == "JPEG":
        return image
    try:
        if image.format == "TIFF" and pillow_changes(image):
            image.close()
            return _bounded(tiff_values(_rewound(source)))
        if image.format == "TIFF" and orientation_of(image) >= 5 and isinstance(source, Path):
            image.close()
            # Pillow 12 maps such a file into memory with width and height exchanged.
            return open_picture(io.BytesIO(source.read_bytes()))
        values = deep_values(image, source)
    except BaseException:
        image.close()
        raise
    return image if values is None else _bounded(values)


def _by_pillow(source: Source) -> Image.Image | None:
    """A picture that Pillow knows; None for another format."""
    # All threads share the filters of warnings: two that put them back in turn would spoil them.
    with _filters, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            return Image.open(source, formats=PICTURE_FORMATS)
        except UnidentifiedImageError:
            return None


def _bounded(values: Values) -> Values:
    width, height = values.size
    # RGBA in Pillow has four bands, so more bands count as more pixels.
    if width * height * max(1, values.bands / 4) > 2 * (Image.MAX_IMAGE_PIXELS or math.inf):
        values.close()
        raise Image.DecompressionBombError(
            f"{width:,} x {height:,} pixels of {values.bands} bands, could be an attack"
        )
    return values


def _by_content(source: Source) -> Image.Image | Values:
    """A picture that Pillow does not know, by how its file starts."""
    head = head_of(source)
    if head[128:132] == b"DICM":
        return _bounded(dicom_values(_rewound(source)))
    if head.startswith(TIFF_STARTS):
        return _bounded(tiff_values(_rewound(source)))
    if head[4:8] == b"ftyp" and head[8:12] in HEIC_BRANDS:
        return _heic(_rewound(source))
    named = next((name for start, name in STARTS if head.startswith(start)), "")
    if named or head[4:8] == b"ftyp":
        raise NotTaken(f"{named or 'video'} file")
    raise UnidentifiedImageError("cannot identify image file")


def _heic(source: Source) -> Image.Image:
    try:
        import pillow_heif
    except ImportError:
        raise Unfit(
            "HEIC picture: needs pillow-heif. Install it: pip install 'lcnet[heic]'"
        ) from None
    pillow_heif.register_heif_opener()
    return Image.open(source, formats=("HEIF",))


def head_of(source: Source) -> bytes:
    """The first bytes of a file."""
    if isinstance(source, Path):
        with source.open("rb") as opened:
            return opened.read(HEAD)
    return source.getvalue()[:HEAD]


def _rewound(source: Source) -> Source:
    if isinstance(source, io.BytesIO):
        source.seek(0)
    return source
