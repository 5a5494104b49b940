"""From the bands of a picture to the channels of a model; no band is lost without a word."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lcnet.data.pixel_form import LEVELS, PixelForm, Unfit
from lcnet.data.values import BYTES, Values

Pixels = Image.Image | Tensor
"""Levels from 0 to 255: a picture in L, LA, RGB or RGBA; or with other bands C H W in uint8."""
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
UNFOLDED = {"RGBa": "RGBA", "La": "LA", "PA": "RGBA"}
COLOURS = ("P", "CMYK", "YCbCr", "HSV")
"""Modes that are another way to write RGB."""
PLAIN_SHARE = 0.5
"""A fourth band is plainly transparency if this share of it is 0 or the largest value."""


def in_channels(image: Image.Image, channels: int) -> Image.Image:
    """A picture of 8 bits with the channels of a model; 0 keeps four bands, and makes others RGB.

    Grey becomes RGB and RGB becomes grey. Transparency is dropped. Raises Unfit for another number
    of bands, and for a fourth band that is no transparency where it would be lost.
    """
    if image.mode == MODES.get(channels):
        return image
    if image.mode == "LAB":
        raise Unfit("LAB picture, which is not taken. Save it as RGB")
    image = image.convert(UNFOLDED[image.mode]) if image.mode in UNFOLDED else image
    bands = 3 if image.mode in COLOURS else len(image.getbands())
    if image.mode in ("RGBA", "LA") and not _is_plain_alpha(image):
        if not channels:
            return image
        if bands != channels:
            raise _lost(bands)
    if channels not in (0, 1, 3):
        if bands == channels:
            return image
        raise _misfit(bands, image.mode, channels)
    return image.convert(MODES[channels or 3])


def _is_plain_alpha(image: Image.Image) -> bool:
    """Whether the last band of a picture with a possible alpha is one value, or mostly 0 or 255."""
    counts = image.getchannel("A").histogram()
    total = sum(counts)
    return max(counts) == total or counts[0] + counts[LEVELS] >= PLAIN_SHARE * total


def of_values(values: Values, form: PixelForm) -> Pixels:
    """The pixels of deep values, or of more bands; raises Unfit as `in_channels` does."""
    numbers = values.read()
    numbers = numbers[:, :, None] if numbers.ndim == 2 else numbers
    if values.bands in (2, 4) and form.channels in (0, 1, 3):
        numbers = _without_alpha(numbers, values, form.channels)
    levels = numbers if values.kind == BYTES else form.levels(numbers, values.kind)
    levels = np.ascontiguousarray(LEVELS - levels if values.white_is_low else levels, np.uint8)
    bands = levels.shape[2]
    if bands in MODES and form.channels in (0, 1, 3, 4):
        image = Image.fromarray(levels[:, :, 0] if bands == 1 else levels, MODES[bands])
        return image if bands == form.channels else _converted(image, form.channels)
    if form.channels not in (0, bands):
        raise _misfit(bands, values.kind, form.channels)
    return torch.from_numpy(levels).permute(2, 0, 1)


def _converted(image: Image.Image, channels: int) -> Image.Image:
    """Grey as RGB or RGB as grey; four bands have been judged before."""
    if channels and (channels == 4 or image.mode == "RGBA"):
        raise _misfit(len(image.getbands()), image.mode, channels)
    return image.convert(MODES[channels]) if channels else image


def _without_alpha(numbers: NDArray[Any], values: Values, channels: int) -> NDArray[Any]:
    """The bands without a last one that is transparency, or the same everywhere."""
    last = numbers[:, :, -1]
    low, high = last.min(), last.max()
    if low == high or (values.has_alpha and _is_extreme(last)):
        return numbers[:, :, :-1]
    if not channels:
        return numbers
    raise _lost(numbers.shape[2])


def _is_extreme(band: NDArray[Any]) -> bool:
    """Whether most values of a band are 0 or the largest that its type can hold."""
    largest = np.iinfo(band.dtype).max if band.dtype.kind in "iu" else 1
    return bool(((band == 0) | (band == largest)).mean() >= PLAIN_SHARE)


def _lost(bands: int) -> Unfit:
    return Unfit(
        f"picture of {bands} bands whose last is not transparency, so it would be lost. Train with "
        f"--model.channels {bands}, or save the pictures without it"
    )


def _misfit(bands: int, what: str, channels: int) -> Unfit:
    return Unfit(
        f"expected a picture of {channels} bands, as the model has channels, got {bands} ({what}). "
        f"Train with --model.channels {bands}, or give pictures of {channels} bands"
    )


def one_band(pixels: Pixels) -> NDArray[np.uint8]:
    """The only band of a file that holds one channel: H W.

    A file in colours is taken if its bands are equal, or if all but one are 0. Raises Unfit for
    others.
    """
    bands = as_array(pixels)
    filled = [band for band in bands if band.any()] or [bands[0]]
    if len(filled) > 1 and not all((band == filled[0]).all() for band in bands):
        raise Unfit(f"expected one channel in the file, got {len(bands)} bands that differ")
    return filled[0]


def as_array(pixels: Pixels) -> NDArray[np.uint8]:
    """The pixels as an array: C H W."""
    if isinstance(pixels, Tensor):
        return pixels.numpy()
    array = np.asarray(pixels)
    return array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)


def as_shown(pixels: Pixels) -> Image.Image:
    """The pixels as a picture in RGB to look at: grey of one channel or two, else the first three.

    Transparency, or a fourth channel, is left out.
    """
    if isinstance(pixels, Image.Image):
        return pixels if pixels.mode == "RGB" else pixels.convert("RGB")
    array = as_array(pixels)
    chosen = array[:3] if len(array) >= 3 else np.repeat(array[:1], 3, axis=0)
    return Image.fromarray(np.ascontiguousarray(np.moveaxis(chosen, 0, -1)))


def side_by_side(bands: list[NDArray[np.uint8]], channels: int) -> Pixels:
    """The pixels of a picture whose channels are files of their own (H W each).

    Raises Unfit if their sizes differ or their number is not that of the model.
    """
    if len({band.shape for band in bands}) > 1:
        sizes = ", ".join(f"{band.shape[1]} x {band.shape[0]}" for band in bands)
        raise Unfit(f"expected one size of all channels, got {sizes}. Correct the files")
    if channels not in (0, len(bands)):
        raise _misfit(len(bands), "a file each", channels)
    stacked = np.stack(bands, axis=-1)
    if len(bands) in (3, 4):
        return Image.fromarray(stacked, MODES[len(bands)])
    return torch.from_numpy(stacked).permute(2, 0, 1)
