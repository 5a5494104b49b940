"""From a picture's file to its pixels: one way for training, evaluation, prediction and pages."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageOps

from lcnet.data.bands import Pixels, as_shown, in_channels, of_values, one_band, side_by_side
from lcnet.data.opening import PICTURE_FORMATS, PICTURE_SUFFIXES, open_picture
from lcnet.data.pixel_form import NotTaken, PixelForm, Unfit
from lcnet.data.values import Source, Values, deep_values, orientation_of, upright_sides
from lcnet.errors import DataError, reason_of

__all__ = [
    "PICTURE_FORMATS",
    "PICTURE_SUFFIXES",
    "PixelForm",
    "Pixels",
    "Unfit",
    "as_shown",
    "read_image",
    "read_pixels",
    "upright_pixels",
    "upright_size",
]
RGB = PixelForm()


def read_image(
    path: Path,
    source: str = "",
    *,
    size: int = 0,
    data: bytes | None = None,
    form: PixelForm = RGB,
) -> Image.Image:
    """The picture as `read_pixels` returns it, in RGB to look at."""
    return as_shown(read_pixels(path, source, size=size, data=data, form=form))


def read_pixels(
    path: Path,
    source: str = "",
    *,
    size: int = 0,
    data: bytes | None = None,
    form: PixelForm = RGB,
    channel_files: Sequence[Path] = (),
) -> Pixels:
    """The picture at `path`, upright (EXIF rotation applied), with the channels of `form`.

    If `data` holds its bytes, no file is read and `path` is only its name. With `channel_files`
    each file is one channel. In pictures of more than 8 bits the form's range says which values
    are black and white. Of an animation or a file of several pages it is the first picture.

    With `size`, a JPEG is decoded at the smallest of the scales 1/1, 1/2, 1/4 and 1/8 that leaves
    both sides at least that long, which is about 2, 4 and 6 times as fast (libjpeg's scaled
    decoding). Other formats and smaller pictures keep their size.

    Raises DataError, naming the file and `source`, if it is missing, cannot be decoded, or does not
    fit the form.
    """
    where = f" (listed in {source})" if source else ""
    named = path
    try:
        if not channel_files:
            return decoded(path if data is None else io.BytesIO(data), form, size=size)
        bands, own = [], PixelForm(0, form.pixel_range)
        for named in (path, *channel_files):
            bands.append(one_band(decoded(named, own, size=size)))
        return side_by_side(bands, form.channels)
    except FileNotFoundError:
        raise DataError(
            f"{named}: no such picture{where}. Correct the path or drop the row."
        ) from None
    except NotTaken as error:
        raise DataError(
            f"{named}: not a readable picture{where}: {error}, a format that is not taken. "
            "Save it as PNG or drop the row."
        ) from None
    except Unfit as error:
        raise DataError(f"{named}{where}: {error}.") from None
    except Exception as error:  # Pillow's decoders raise a dozen types on a broken file
        raise DataError(
            f"{named}: not a readable picture{where}: {reason_of(error)}. "
            "Replace the file or drop the row."
        ) from None


def decoded(source: Source, form: PixelForm, *, size: int = 0) -> Pixels:
    """The pixels of a file, as `read_pixels`; raises Unfit, and what the decoders raise."""
    with open_picture(source) as picture:
        return upright_pixels(picture, form, size=size)


def upright_pixels(picture: Image.Image | Values, form: PixelForm, *, size: int = 0) -> Pixels:
    """The pixels of an open picture, as `read_pixels`; the result may be the picture itself.

    Raises Unfit if it does not fit the form, and what the decoder raises for a broken file.
    """
    if isinstance(picture, Values):
        return of_values(picture, form)
    if picture.mode[0] in "IF" and (values := deep_values(picture)):
        return of_values(values, form)
    if size:  # square, so it holds for a turned picture too
        picture.draft("L" if form.channels == 1 else "RGB", (size, size))
    upright = picture if orientation_of(picture) == 1 else ImageOps.exif_transpose(picture)
    # Without the test for its mode, Pillow would copy an RGB picture, which takes as long as
    # decoding it.
    upright.load()
    return in_channels(upright, form.channels)


def upright_size(source: Source) -> tuple[int, int]:
    """Width and height of a picture that `read_pixels` can read, from its header."""
    with open_picture(source) as picture:
        if isinstance(picture, Values):
            return picture.size
        if picture.format == "TIFF":  # Pillow itself turns these
            return picture.size
        return upright_sides(*picture.size, orientation_of(picture))
