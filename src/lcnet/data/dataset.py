"""A picture with its labels, and the data set that a loader reads."""

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, overload

import numpy as np
import torch
from numpy.typing import NDArray
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
SUBSTITUTES = 20
"""So many pictures are tried in place of a broken one; then most of them must be broken."""


class Enclosed(Protocol):
    """A picture's bytes inside a larger file."""

    @property
    def file(self) -> Path:
        """That file."""

    def read(self) -> bytes:
        """The bytes; raises OSError if the file is gone, DataError if it is damaged."""


@dataclass(frozen=True)
class Sample:
    """One picture and what is known of its labels."""

    path: Path
    """The picture's file; of a picture inside a larger file, that file's path and its name."""
    targets: tuple[int, ...]
    """One value per label, in the order of the label names: 1 present, 0 absent, -1 unknown."""
    source: str = ""
    """Where the row stands, such as `train.csv:17`; error messages quote it."""
    inside: Enclosed | None = None
    """Where its bytes are, if not in a file of their own."""

    @property
    def file(self) -> Path:
        """The file that holds the picture."""
        return self.path if self.inside is None else self.inside.file

    def read(self, size: int = 0) -> Image.Image:
        """The picture, as `read_image` gives it."""
        try:
            data = None if self.inside is None else self.inside.read()
        except OSError as error:
            raise DataError(
                f"{self.path}: not there any more ({reason_of(error)}). Copy {self.file} again."
            ) from None
        return read_image(self.path, self.source, size=size, data=data)


class StoredSamples(Sequence[Sample]):
    """Samples that are made when they are asked for, of a data set that is kept as arrays."""

    targets: NDArray[np.int8]
    """N x L: 1, 0 and -1."""
    runs: NDArray[np.int64]
    """How many samples lie behind each other in each file; they sum to N."""

    def sample(self, place: int) -> Sample:
        """The sample at a place from 0 to N - 1."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self.targets)

    @overload
    def __getitem__(self, place: int) -> Sample: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Sample]: ...
    def __getitem__(self, place: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(place, slice):
            return [self.sample(one) for one in range(*place.indices(len(self)))]
        if not -len(self) <= place < len(self):
            raise IndexError(place)
        return self.sample(place % len(self))


@dataclass(frozen=True)
class Split:
    """The pictures of one split and the label names they are marked with."""

    labels: tuple[str, ...]
    samples: Sequence[Sample]
    name: str = ""
    """What the user called it, such as `train` or `val.csv`."""

    def __len__(self) -> int:
        return len(self.samples)

    def targets(self) -> np.ndarray:
        """All targets as one int8 array of shape (samples, labels), with values 1, 0 and -1."""
        if isinstance(self.samples, StoredSamples):
            return self.samples.targets
        return np.array([sample.targets for sample in self.samples], dtype=np.int8).reshape(
            len(self.samples), len(self.labels)
        )


@dataclass(frozen=True)
class Draw:
    """Which sample to take, and the seed of its augmentation."""

    index: int
    seed: int


class PictureTransform(Protocol):
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

    def __init__(
        self,
        split: Split,
        transform: PictureTransform,
        pixels: Pixels | None = None,
        *,
        skip_broken: bool = False,
    ) -> None:
        """Take the pictures and what makes tensors of them.

        With `skip_broken` a picture that cannot be read does not raise: a `Draw` takes another in
        its place, always the same, and an index gives a black one whose targets are all unknown.
        """
        self.split = split
        self.transform = transform
        self.pixels = pixels
        self.skip_broken = skip_broken
        self._broken = torch.zeros(len(split), dtype=torch.bool)
        if skip_broken:  # what a loader process finds is then known to the run
            self._broken.share_memory_()

    def __len__(self) -> int:
        """The number of pictures."""
        return len(self.split)

    def broken(self) -> list[Path]:
        """The pictures that could not be read so far, by any process."""
        return [self.split.samples[int(index)].path for index in self._broken.nonzero()]

    def __getitem__(self, draw: Draw | int) -> tuple[Tensor, Tensor]:
        """The transformed picture (3 H W, uint8) and its targets (L, int8: 1, 0, -1 unknown).

        Raises DataError if the picture cannot be read.
        """
        index = draw.index if isinstance(draw, Draw) else draw
        try:
            image, targets = self._read(index)
        except DataError:
            if not self.skip_broken:
                raise
            self._broken[index] = True
            image, targets = self._in_place_of(draw)
        return self._transformed(image, torch.tensor(targets, dtype=torch.int8), draw)

    def _read(self, index: int) -> tuple[Image.Image | Tensor, tuple[int, ...]]:
        """A picture, or its pixels, and its targets."""
        sample = self.split.samples[index]
        if self.pixels is not None:
            return self.pixels[index], sample.targets
        return sample.read(self.transform.decode_size), sample.targets

    def _in_place_of(self, draw: Draw | int) -> tuple[Image.Image | Tensor, tuple[int, ...]]:
        """What a draw, or an index, gives whose picture is broken."""
        if not isinstance(draw, Draw):
            return Image.new("RGB", (64, 64)), (UNKNOWN,) * len(self.split.labels)
        others = np.random.default_rng(draw.seed).integers(len(self.split), size=SUBSTITUTES)
        for index in others.tolist()[:-1]:
            try:
                return self._read(index)
            except DataError:
                self._broken[index] = True
        return self._read(int(others[-1]))

    def _transformed(
        self, image: Image.Image | Tensor, targets: Tensor, draw: Draw | int
    ) -> tuple[Tensor, Tensor]:
        if not isinstance(draw, Draw):
            return self.transform(image), targets
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(draw.seed)
            return self.transform(image), targets
