"""Uploaded pictures, and the limits that they must keep."""

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from lcnet.data.decoding import Pixels, upright_pixels
from lcnet.data.opening import open_picture
from lcnet.data.pixel_form import NotTaken, PixelForm, Unfit
from lcnet.errors import DataError, reason_of

LONGEST_NAME = 200
RGB = PixelForm()
SEND = "Send a JPEG, PNG, WebP, AVIF, BMP, GIF or TIFF."


class UploadTooLarge(DataError):
    """An upload with more bytes or pixels than the limits."""


@dataclass(frozen=True)
class Limits:
    """How much the server accepts."""

    megabytes: float
    """Size of a picture's file, or of all files of a request together."""
    pixels: int
    """Width times height of a picture, or of all pictures of a request together."""
    waiting: int
    """Requests in work at a time."""

    @property
    def file_bytes(self) -> int:
        """`megabytes` in bytes."""
        return int(self.megabytes * 1e6)


def shown_name(name: str | None) -> str:
    """A sender's file name without folders and control characters: its last letters."""
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    return "".join(sign for sign in last if sign.isprintable())[-LONGEST_NAME:] or "picture"


def pixels_of(stored: bytes) -> int:
    """Width times height of a picture, from its header; 0 if it cannot be read."""
    try:
        with open_picture(io.BytesIO(stored)) as picture:
            width, height = picture.size
    except Exception:  # `read_upload` says what is wrong
        return 0
    return width * height


def read_upload(
    stored: bytes | Path, name: str, limits: Limits, *, size: int, form: PixelForm = RGB
) -> Pixels:
    """The pixels as `read_pixels` returns them, decoded no larger than `size` needs.

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
        with open_picture(source) as picture:
            width, height = picture.size
            if width * height > limits.pixels:
                raise UploadTooLarge(
                    f"{name}: expected at most {limits.pixels:,} pixels, got {width:,} x "
                    f"{height:,}. Shrink the picture."
                )
            return upright_pixels(picture, form, size=size)
    except UploadTooLarge:
        raise
    except NotTaken as error:
        raise DataError(f"{name}: not a readable picture: {error}. {SEND}") from None
    except Unfit as error:
        raise DataError(f"{name}: {error}.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UploadTooLarge(
            f"{name}: expected at most {limits.pixels:,} pixels, got far more. Shrink the picture."
        ) from None
    except Exception as error:  # Pillow's decoders raise a dozen types on a broken file
        is_unknown = isinstance(error, UnidentifiedImageError)
        reason = "unknown format" if is_unknown else reason_of(error)
        raise DataError(f"{name}: not a readable picture: {reason}. {SEND}") from None
