"""A picture with its labels, and the data set that a loader reads."""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset

from lcnet.errors import DataError, reason_of

POSITIVE, NEGATIVE, UNKNOWN = 1, 0, -1
PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
"""In a folder, files that end so, in upper or lower case, are pictures."""
PICTURE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
"""The decoders that are used, whatever a file is called. Of the others of Pillow one, for EPS, runs
a program on what is in the file."""


@dataclass(frozen=True)
class Sample:
    """One picture and what is known of its labels."""

    path: Path
    """The picture's file."""
    targets: tuple[int, ...]
    """One value per label, in the order of the label names: 1 present, 0 absent, -1 unknown."""
    source: str = ""
    """Where the row stands, such as `train.csv:17`; error messages quote it."""


@dataclass(frozen=True)
class Split:
    """The pictures of one split and the label names they are marked with."""

    labels: tuple[str, ...]
    samples: tuple[Sample, ...]
    name: str = ""
    """What the user called it, such as `train` or `val.csv`."""

    def __len__(self) -> int:
        return len(self.samples)

    def targets(self) -> np.ndarray:
        """All targets as one int8 array of shape (samples, labels), with values 1, 0 and -1."""
        return np.array([sample.targets for sample in self.samples], dtype=np.int8).reshape(
            len(self.samples), len(self.labels)
        )


@dataclass(frozen=True)
class Draw:
    """Which sample to take, and the seed of its augmentation."""

    index: int
    seed: int


class Transform(Protocol):
    """From a picture, or its pixels (3 H W in uint8), to what a model's loader carries."""

    @property
    def decode_size(self) -> int:
        """Sides in pixels from which nothing is lost; 0 wants every pixel that there is."""

    def __call__(self, picture: Image.Image | Tensor) -> Tensor:
        """The tensor of a picture."""


class Pixels(Protocol):
    """Pictures of a split that are decoded already; `image_cache.CachedImages` are."""

    def __getitem__(self, index: int) -> Tensor:
        """The pixels of a picture, 3 H W in uint8."""


def upright_rgb(image: Image.Image, *, size: int = 0) -> Image.Image:
    """The picture in RGB, turned as its EXIF data says; 16 bits a pixel become 8.

    It may be the picture itself. With `size` a JPEG that is not decoded yet comes at the smallest
    scale that suffices, see `read_image`.
    """
    if size:
        image.draft("RGB", (size, size))  # both sides alike, so turning changes nothing
    upright = image
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):
        values = np.asarray(upright).astype(np.float64)
        scale = 257 if values.max(initial=0) > 255 else 1
        upright = Image.fromarray((values / scale).clip(0, 255).astype(np.uint8))
    # Pillow copies also where there is nothing to convert, which of a large picture costs as much
    # as to decode it.
    upright.load()
    return upright if upright.mode == "RGB" else upright.convert("RGB")


def read_image(
    path: Path, source: str = "", *, size: int = 0, data: bytes | None = None
) -> Image.Image:
    """The picture at `path`, upright (EXIF rotation applied), in RGB.

    With `data`, its bytes, no file is read and `path` is but its name.

    With `size` a JPEG comes at the smallest of 1/1, 1/2, 1/4 and 1/8 whose sides are both at least
    that many pixels, by libjpeg's scaled decoding: about twice, 4 and 6 times as fast. Other
    formats, and smaller pictures, come as they are.

    Raises DataError, naming the file and `source`, if it is missing or cannot be decoded.
    """
    where = f" (listed in {source})" if source else ""
    try:
        with _open(path if data is None else io.BytesIO(data)) as image:
            return upright_rgb(image, size=size)
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such picture{where}. Correct the path or drop the row."
        ) from None
    except Exception as error:  # Pillow's decoders raise a dozen types on a broken file
        raise DataError(
            f"{path}: not a readable picture{where}: {reason_of(error)}. "
            "Replace the file or drop the row."
        ) from None


def _open(opened: Path | io.BytesIO) -> Image.Image:
    """The picture, not yet decoded, without Pillow's warning that it is large.

    From twice that size on, 179 million pixels, it is refused.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(opened, formats=PICTURE_FORMATS)


def upright_size(path: Path) -> tuple[int, int]:
    """Width and height of a picture that `read_image` can read, from its header."""
    with _open(path) as image:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        return (image.height, image.width) if turned else (image.width, image.height)


class ImageLabels(Dataset[tuple[Tensor, Tensor]]):
    """The pictures of a split as tensors, with their targets.

    They are read from their files, each no larger than the transform needs it, or from `pixels`.

    An item is asked for by index, or by a `Draw` that also fixes the augmentation, so that an epoch
    is the same however many processes load it and wherever it is resumed.
    """

    def __init__(self, split: Split, transform: Transform, pixels: Pixels | None = None) -> None:
        self.split = split
        self.transform = transform
        self.pixels = pixels

    def __len__(self) -> int:
        """The number of pictures."""
        return len(self.split)

    def __getitem__(self, draw: Draw | int) -> tuple[Tensor, Tensor]:
        """The transformed picture (3 H W, uint8) and its targets (L, int8: 1, 0, -1 unknown).

        Raises DataError if the picture cannot be read.
        """
        index = draw.index if isinstance(draw, Draw) else draw
        sample = self.split.samples[index]
        image: Image.Image | Tensor
        if self.pixels is not None:
            image = self.pixels[index]
        else:
            image = read_image(sample.path, sample.source, size=self.transform.decode_size)
        targets = torch.tensor(sample.targets, dtype=torch.int8)
        if not isinstance(draw, Draw):
            return self.transform(image), targets
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(draw.seed)
            return self.transform(image), targets
