"""Uploaded pictures, and the limits that they must keep."""

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from lcnet.data.decoding import PICTURE_FORMATS, upright_rgb
from lcnet.errors import DataError, reason_of

LONGEST_NAME = 200


class UploadTooLarge(DataError):
    """An upload with more bytes or pixels than the limits."""


@dataclass(frozen=True)
class Limits:
    """How much the server accepts."""

    megabytes: float
    """Size of one picture's file."""
    pixels: int
    """Width times height of one picture."""
    waiting: int
    """Requests in work at a time."""

    @property
    def file_bytes(self) -> int:
        """`megabytes` in bytes."""
        return int(self.megabytes * 1e6)

    @property
    def stored_bytes(self) -> int:
        """Bytes of the page's uploads on disk, at most: a file of full size per place."""
        return self.file_bytes * self.waiting


def shown_name(name: str | None) -> str:
    """A sender's file name without folders and control characters: its last letters."""
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    return "".join(sign for sign in last if sign.isprintable())[-LONGEST_NAME:] or "picture"


def read_upload(stored: bytes | Path, name: str, limits: Limits, *, size: int) -> Image.Image:
    """The picture, upright, in RGB, decoded no larger than `size` needs (as `read_image` does).

    Raises UploadTooLarge for too many bytes or pixels, before anything is decoded, and DataError
    if it is no picture. Messages call the picture `name`.
    """
    length = len(stored) if isinstance(stored, bytes) else stored.stat().st_size
    if length > limits.file_bytes:
        raise UploadTooLarge(
            f"{name}: expected at most {limits.megabytes:g} MB, got {length / 1e6:.1f}. "
            "Send a smaller file."
        )
    try:
        source = io.BytesIO(stored) if isinstance(stored, bytes) else stored
        with Image.open(source, formats=PICTURE_FORMATS) as image:
            pixels = image.width * image.height
            if pixels > limits.pixels:
                raise UploadTooLarge(
                    f"{name}: expected at most {limits.pixels:,} pixels, got {image.width:,} x "
                    f"{image.height:,}. Shrink the picture."
                )
            return upright_rgb(image, size=size)
    except UploadTooLarge:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UploadTooLarge(
            f"{name}: expected at most {limits.pixels:,} pixels, got far more. Shrink the picture."
        ) from None
    except Exception as error:  # Pillow's decoders raise a dozen types on a broken file
        is_unknown = isinstance(error, UnidentifiedImageError)
        reason = "unknown format" if is_unknown else reason_of(error)
        raise DataError(
            f"{name}: not a readable picture: {reason}. Send a JPEG, PNG, WebP, BMP, GIF or TIFF."
        ) from None
