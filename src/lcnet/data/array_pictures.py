"""Pictures that are arrays already: NumPy H W or H W C, torch H W or C H W, in RGB order."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lcnet.data.bands import Pixels, in_channels, of_values
from lcnet.data.pixel_form import PixelForm, Unfit, in_figures
from lcnet.data.values import BYTES, KINDS, Values

Array = NDArray[Any] | Tensor
"""The values of one picture."""
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
MOST_BANDS = 64
"""More values than this in the last place are no bands."""
STRAY = 0.01
"""Floats are taken if at most this share of them lies outside the model's range."""
TYPES = "uint8, uint16, int16, float32 or another whole or real number"


def pixels_of_array(array: Array, form: PixelForm) -> Pixels:
    """The pixels of a picture in an array, as `read_pixels` gives them for its file.

    NumPy's layout is H W or H W C, torch's H W or C H W; colours come as RGB. 8 bits mean 0 to 255;
    other values need the form's range, as they do in a file. Raises Unfit for another shape or
    type, and for floats that are not in that range.
    """
    values = _height_width_bands(array, form.channels)
    kind = KINDS.get(values.dtype.str[1:])
    if kind is None:
        raise Unfit(f"expected an array of {TYPES}, got {values.dtype}. Convert it")
    bands = values.shape[2]
    if kind == BYTES:
        if bands in MODES:
            flat = values[:, :, 0] if bands == 1 else values
            return in_channels(Image.fromarray(flat, MODES[bands]), form.channels)
    else:
        _refuse_range(values, form, kind)
    height, width = values.shape[:2]
    # Of 2 and 4 bands the last may be transparency, as in a picture of 8 bits.
    deep = Values(kind, (width, height), lambda: values, bands=bands, has_alpha=bands in (2, 4))
    return of_values(deep, form)


def _height_width_bands(array: Array, channels: int) -> NDArray[Any]:
    """The array as H W C, a copy; raises Unfit if it has another shape."""
    is_tensor = isinstance(array, Tensor)
    layout = "C H W (or H W)" if is_tensor else "H W C (or H W)"
    shape = " x ".join(map(str, array.shape)) or "a single number"
    if array.ndim not in (2, 3) or 0 in array.shape:
        many = "Give several pictures one by one. " if array.ndim == 4 else ""
        raise Unfit(f"{many}Expected an array of {layout}, got {shape}")
    values = _as_numpy(array)
    if values.ndim == 2:
        return values[:, :, None].copy()
    if is_tensor:
        values = values.transpose(1, 2, 0)
    first, last = values.shape[0], values.shape[2]
    is_turned = first in (1, 3, 4, channels) and last not in (1, 2, 3, 4)
    if last != channels and (last > MOST_BANDS or is_turned):
        turned = "permute(2, 0, 1)" if is_tensor else "transpose(1, 2, 0)"
        raise Unfit(
            f"expected an array of {layout}, got {shape}, which would be {last} bands. If its "
            f"bands stand elsewhere, give array.{turned}"
        )
    return values.copy()


def _as_numpy(array: Array) -> NDArray[Any]:
    if not isinstance(array, Tensor):
        return np.asarray(array)
    if array.dtype in (torch.bfloat16, torch.complex64, torch.complex128) or array.is_quantized:
        raise Unfit(f"expected a tensor of {TYPES}, got {array.dtype}. Convert it")
    return array.detach().cpu().numpy()


def _refuse_range(values: NDArray[Any], form: PixelForm, kind: str) -> None:
    """Raise Unfit where a model has no range, or floats are plainly not in it."""
    if form.pixel_range is None:
        raise Unfit(
            f"expected an array of uint8, as the model knows pictures of 8 bits alone, got "
            f"{values.dtype}. Give levels from 0 to 255 as array.astype('uint8') (of values from 0 "
            "to 1 first multiply by 255), or train with --data.pixel_range '[BLACK, WHITE]'"
        )
    if values.dtype.kind != "f":
        return
    low, high = form.pixel_range
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise Unfit("expected an array of finite numbers, got none")
    least, most = finite.min(), finite.max()
    outside = float(((finite < low) | (finite > high)).mean())
    got = f"{kind} values from {in_figures(float(least))} to {in_figures(float(most))}"
    range_ = f"{in_figures(low)} (black) to {in_figures(high)} (white)"
    if outside > STRAY:
        raise Unfit(
            f"expected values from {range_}, as the model was trained with, got {got}, "
            f"{100 * outside:.0f} % of them outside. Scale them as in training; if they are to be "
            f"cut off there, give numpy.clip(array, {in_figures(low)}, {in_figures(high)})"
        )
    if least < most and len(np.unique(form.levels(np.stack([least, most]), kind))) == 1:
        raise Unfit(
            f"expected values from {range_}, as the model was trained with, got {got}, which all "
            "become one level. Scale them as in training"
        )
