"""Test-time augmentation: a model sees a picture in several ways, and its logits are the mean."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lcnet.errors import ConfigError
from lcnet.model.crops import Crops

WAYS = ("mirror", "zoom", "shift")
"""The ways that can be added to the plain picture: its mirror image, its middle enlarged, and its
tiles moved by half a tile."""
ZOOM = 0.125
"""Share of a side that a zoom leaves out."""


class TestTime(nn.Module):
    """The views (B V 3 S S) of each way in which images are seen; the plain way comes first."""

    __test__ = False  # no test of pytest's, which goes by the name

    def __init__(self, ways: Sequence[str] = ()) -> None:
        super().__init__()
        self.ways = check_ways(ways)

    def forward(self, images: Tensor, crops: Crops) -> list[Tensor]:
        """A list of views, each as `crops` makes them, of images (B 3 H W)."""
        plain: Tensor = crops(images)
        return [plain, *(self._seen(way, images, crops, plain) for way in self.ways)]

    def _seen(self, way: str, images: Tensor, crops: Crops, plain: Tensor) -> Tensor:
        """The views of one way; `plain` are those of the images as they are."""
        changed = {"mirror": _mirrored, "zoom": self._zoomed}
        if way in changed:
            return crops(changed[way](images))
        tiles = crops(_shifted(images, crops))[:, :-1]
        return torch.cat([tiles, plain[:, -1:]], dim=1)

    def _zoomed(self, images: Tensor) -> Tensor:
        """The middle of images (B 3 H W), enlarged to their size."""
        height, width = images.shape[-2:]
        top, left = left_out(height), left_out(width)
        middle = images[..., top : height - top, left : width - left]
        return F.interpolate(middle, (height, width), mode="bilinear", align_corners=False)


class ConstantTestTime(TestTime):
    """The same for square images of one size, which enlarges by matrix products.

    See `exportable.ConstantCrops`.
    """

    matrix: Tensor

    def __init__(self, ways: Sequence[str], image_size: int) -> None:
        super().__init__(ways)
        out = left_out(image_size)
        middle = torch.eye(image_size)[None, None, out : image_size - out]
        size = (image_size, image_size)
        matrix = F.interpolate(middle, size, mode="bilinear", align_corners=False)
        self.register_buffer("matrix", matrix[0, 0], persistent=False)  # size size

    def _zoomed(self, images: Tensor) -> Tensor:
        return self.matrix @ images @ self.matrix.T


def parse_ways(text: str) -> tuple[str, ...]:
    """The ways that a flag names, such as `mirror,zoom`; none for `none`.

    Raises ConfigError for other words.
    """
    names = [] if text == "none" else [name.strip() for name in text.split(",")]
    try:
        return check_ways(names)
    except ValueError:
        raise ConfigError(
            f"--tta: expected none, or some of {', '.join(WAYS)}, each once and separated by "
            f"commas, got {text!r}."
        ) from None


def left_out(length: int) -> int:
    """Pixels that a zoom leaves out at each end of a side."""
    return round(length * ZOOM / 2)


def _mirrored(images: Tensor) -> Tensor:
    return images.flip(-1)


def _shifted(images: Tensor, crops: Crops) -> Tensor:
    """Images (B 3 H W) moved right and down by half a tile; the gap shows their reflection."""
    down, right = (length // (2 * crops.level) for length in images.shape[-2:])
    moved = F.pad(images, (right, 0, down, 0), mode="reflect")
    return moved[..., : images.shape[-2], : images.shape[-1]]


def check_ways(ways: object) -> tuple[str, ...]:
    """The ways in the order of `WAYS`. Raises ValueError unless they are some of it, each once."""
    if not isinstance(ways, list | tuple) or not set(map(str, ways)) <= set(WAYS):
        raise ValueError(f"test_time: expected some of {', '.join(WAYS)}")
    if len(set(ways)) < len(ways):
        raise ValueError("test_time: expected each way once")
    return tuple(way for way in WAYS if way in ways)
