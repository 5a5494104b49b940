"""Pictures of more than 8 bits a value, or of more bands than Pillow holds: their numbers."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from lcnet.data.pixel_form import Unfit

Source = Path | io.BytesIO
"""A picture's file, or its bytes."""
BYTES = "8-bit"
KINDS = {
    "u1": BYTES,
    "u2": "16-bit",
    "i1": "signed 8-bit",
    "i2": "signed 16-bit",
    "u4": "32-bit integer",
    "i4": "32-bit integer",
    "u8": "64-bit integer",
    "i8": "64-bit integer",
    "f2": "floating-point",
    "f4": "floating-point",
    "f8": "floating-point",
}
"""The kinds of numbers, by NumPy's name of their type. Values of one kind can be compared."""


@dataclass(frozen=True)
class Values:
    """A picture whose numbers are read when they are asked for. Closes its file as a context."""

    kind: str
    """One of `KINDS`, or DICOM with its modality."""
    size: tuple[int, int]
    """Width and height in pixels, upright."""
    read: Callable[[], NDArray[Any]]
    """The numbers, upright: H W, or H W and bands."""
    bands: int = 1
    has_alpha: bool = False
    """Whether the file says that its last band is transparency."""
    white_is_low: bool = False
    """Whether the lowest value is white."""
    frames: int = 1
    close: Callable[[], None] = lambda: None

    def __enter__(self) -> "Values":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def turned(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    """The picture (H W ...) upright, from how EXIF says that it lies."""
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    return values


def upright_sides(width: int, height: int, orientation: int) -> tuple[int, int]:
    """Width and height of an upright picture, from those of a stored one."""
    return (height, width) if orientation >= 5 else (width, height)


def orientation_of(image: Image.Image) -> int:
    """How EXIF says that the picture lies: 1 (upright) to 8."""
    return int(image.getexif().get(ExifTags.Base.Orientation, 1))


def deep_values(image: Image.Image, source: Source | None = None) -> Values | None:
    """The values of a picture that is open in Pillow; None if it has 8 bits, as most have.

    `source` is its file; without one, only a picture in memory can be asked for.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        return _one_band(image)
    if source and image.format == "PNG" and _raw_mode(image).endswith(";16B"):
        return _png_colours(image, source)
    if image.format == "PPM" and image.mode == "RGB" and _most(image) > 255:
        raise Unfit("16-bit PNM picture in colour, which is not taken. Save it as a 16-bit PNG")
    return None


def _one_band(image: Image.Image) -> Values:
    """Grey values that Pillow keeps as they are."""

    def read() -> NDArray[Any]:
        values = np.asarray(ImageOps.exif_transpose(image))
        if most:  # Pillow stretches those of PNM to 65,535
            return np.rint(values * (most / 65_535)).astype(np.uint16)
        return values.view(np.uint32) if kind == KINDS["u4"] and is_unsigned else values

    most, tags = _most(image), getattr(image, "tag_v2", {})
    bits, number = tags.get(258, (0,))[0], tags.get(339, (1,))[0]
    kind, is_unsigned = KINDS[_type_of(image)], bits == 32 and number == 1
    if bits in (8, 16) and number == 2:
        kind = KINDS[f"i{bits // 8}"]
    # Pillow itself turns a TIFF.
    orientation = 1 if image.format == "TIFF" else orientation_of(image)
    return Values(
        kind,
        upright_sides(*image.size, orientation),
        read,
        white_is_low=tags.get(262) == 0,
        frames=getattr(image, "n_frames", 1) if image.format == "TIFF" else 1,
        close=image.close,
    )


def _type_of(image: Image.Image) -> str:
    if image.mode.startswith("I;16") or _most(image):
        return "u2"
    return {"I": "i4", "F": "f4"}[image.mode]


def _most(image: Image.Image) -> int:
    """The declared largest value of a PNM picture of more than 8 bits, else 0."""
    if image.format != "PPM" or image.mode == "F":
        return 0
    arguments = _packing(image)
    most = arguments[1] if isinstance(arguments, tuple) and len(arguments) == 2 else 0
    return int(most) if most > 255 else 0


def _packing(image: Image.Image) -> Any:
    """What Pillow tells its decoder of the first tile; empty if the picture is in memory."""
    tiles: Any = getattr(image, "tile", None)
    return tiles[0][3] if tiles else ""


def _raw_mode(image: Image.Image) -> str:
    """How the file packs its pixels, in Pillow's words."""
    arguments = _packing(image)
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def _png_colours(image: Image.Image, source: Source) -> Values:
    """A PNG of several bands and 16 bits, of which Pillow keeps 8."""
    packing = _raw_mode(image)
    bands = packing.partition(";")[0]
    orientation = orientation_of(image)  # which decodes it, as EXIF can stand at the file's end

    def read() -> NDArray[Any]:
        if bands == "LA":  # four bytes a pixel, as RGBA has
            pairs = _unpacked(source, "RGBA")
            high, low = pairs[:, :, 0::2], pairs[:, :, 1::2]
        else:
            high, low = (_unpacked(source, f"{bands};16{order}") for order in "BL")
        return turned(high * np.uint16(256) + low, orientation)

    return Values(
        KINDS["u2"],
        upright_sides(*image.size, orientation),
        read,
        bands=len(bands),
        has_alpha=bands.endswith("A"),
        close=image.close,
    )


def _unpacked(source: Source, packing: str) -> NDArray[np.uint16]:
    """A PNG read as if its pixels were packed in another way of the same length.

    Of 16 bits Pillow keeps the first byte that comes, or the second: big-endian or little-endian.
    """
    if isinstance(source, io.BytesIO):
        source.seek(0)
    with Image.open(source, formats=("PNG",)) as image:
        tiles: Any = vars(image)["tile"]
        image.tile = [tile._replace(args=packing) for tile in tiles]
        return np.asarray(image).astype(np.uint16)
