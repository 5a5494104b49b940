"""Where a picture lies in the square that a model takes, and the way back."""

import numpy as np
from numpy.typing import NDArray

from lcnet.config import Fit


def place_in_square(fit: Fit, size: tuple[int, int], side: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a picture of `size` (width, height) in a square of `side`.

    `pad` leaves a border around it. With `crop` it goes beyond the square, so left and top can be
    below 0, and right and bottom above `side`.
    """
    if fit == "squash":
        return 0, 0, side, side
    scale = side / (max(size) if fit == "pad" else min(size))
    width, height = (max(1, round(length * scale)) for length in size)
    left, top = (side - width) // 2, (side - height) // 2
    return left, top, left + width, top + height


def over_picture(heat: NDArray[np.float32], fit: Fit, size: tuple[int, int]) -> NDArray[np.float32]:
    """A map over a model's square (H H, not negative) as one over the whole picture: it sums to 1.

    `size` is the picture's width and height. What lies on the border of `pad` is left out; what
    `crop` has cut off is 0. If nothing is left, the map is the same everywhere.
    """
    side = heat.shape[0]
    left, top, right, bottom = place_in_square(fit, size, side)
    inside = heat[max(0, top) : min(side, bottom), max(0, left) : min(side, right)]
    missing = [
        (max(0, -top), max(0, bottom - side)),
        (max(0, -left), max(0, right - side)),
    ]
    whole = np.pad(inside, missing)
    total = whole.sum()
    if not total > 0:
        return np.full_like(whole, 1 / whole.size)
    return whole / total
