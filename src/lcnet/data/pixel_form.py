"""What the pixels of a model are: its channels, and the values that become black and white."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVELS = 255
"""White, after decoding; black is 0."""


class Unfit(ValueError):
    """A picture that is not taken as it is; the message says why and what to do."""


class NotTaken(Unfit):
    """A file of a format that is not taken; the message names the format."""


@dataclass(frozen=True)
class PixelForm:
    """How pictures become pixels from 0 to 255; it belongs to a model, never to one picture."""

    channels: int = 3
    """Channels of the model; 0 takes each picture with the bands that it has."""
    pixel_range: tuple[float, float] | None = None
    """Values of black and white in pictures of more than 8 bits; None if there are none."""

    def levels(self, values: NDArray[np.generic], kind: str) -> NDArray[np.uint8]:
        """Values of a deep picture of this kind as levels from 0 to 255, rounded and clipped.

        A value that is no number becomes black. Raises Unfit without a range.
        """
        if self.pixel_range is None:
            raise Unfit(
                f"{kind} picture, but which of its values are black and white is not known. "
                "Train with --data.pixel_range '[BLACK, WHITE]'; for a trained model, set "
                '"pixel_range": [BLACK, WHITE] under "preprocessing" in its model.json'
            )
        if values.dtype == np.uint16:  # a look into a table takes a fifth of the time
            return self._scaled(np.arange(2**16))[values]
        return self._scaled(values)

    def _scaled(self, values: NDArray[np.generic]) -> NDArray[np.uint8]:
        assert self.pixel_range is not None
        low, high = self.pixel_range
        exact = np.nan_to_num(values.astype(np.float64), nan=low, posinf=high, neginf=low)
        scaled = np.rint((exact - low) * (LEVELS / (high - low)))
        return scaled.clip(0, LEVELS).astype(np.uint8)


def in_figures(value: float) -> str:
    """A pixel value in figures, as a flag takes it."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else f"{value:.6g}"
