"""A picture with its labels, and the data set that a loader reads."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from lcnet.data.decoding import PixelForm, Pixels, read_pixels
from lcnet.errors import DataError, reason_of

POSITIVE, NEGATIVE, UNKNOWN = 1, 0, -1
SUBSTITUTES = 20
"""Pictures tried in place of a broken one; if all fail, most of the split must be broken."""


class Enclosed(Protocol):
    """A picture's bytes inside a larger file."""

    @property
    def file(self) -> Path:
        """The larger file that holds the picture."""

    def read(self) -> bytes:
        """The bytes; raises OSError if the file is gone, DataError if it is damaged."""


@dataclass(frozen=True)
class Sample:
    """One picture, and where it is listed."""

    path: Path
    """The picture's file; for a picture inside a larger file, that file's path / its name."""
    source: str = ""
    """Where the picture is listed, such as `train.csv:17`; error messages quote it."""
    inside: Enclosed | None = None
    """Its bytes inside a larger file; None if it has its own file."""
    channel_files: tuple[Path, ...] = ()
    """Further files of the picture, one channel each; `path` is then the first channel."""

    @property
    def file(self) -> Path:
        """The file that holds the picture."""
        return self.path if self.inside is None else self.inside.file

    def sources(self) -> list[Path | io.BytesIO]:
        """Its files, or its bytes inside a larger file; raises OSError if that is gone."""
        first = self.path if self.inside is None else io.BytesIO(self.inside.read())
        return [first, *self.channel_files]

    def read(self, size: int = 0, form: PixelForm = PixelForm()) -> Pixels:  # noqa: B008
        """The picture, as `read_pixels` returns it. Raises DataError if it cannot be read."""
        try:
            data = None if self.inside is None else self.inside.read()
        except OSError as error:
            raise DataError(
                f"{self.path}: no longer there ({reason_of(error)}). Copy {self.file} again."
            ) from None
        return read_pixels(
            self.path,
            self.source,
            size=size,
            data=data,
            form=form,
            channel_files=self.channel_files,
        )


class StoredSamples(Sequence[Sample]):
    """Samples that are kept as texts or arrays; each is made when it is asked for.

    A million of them take a tenth of the memory of a tuple of `Sample`.
    """

    missing: Sequence[int] = ()
    """Indices of the samples whose files were not there when the data set was read."""

    def sample(self, index: int) -> Sample:
        """The sample at an index from 0 to N - 1."""
        raise NotImplementedError

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(index, slice):
            return [self.sample(position) for position in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self.sample(index % len(self))


class _Some(StoredSamples):
    """Some of other samples."""

    def __init__(self, samples: StoredSamples, indices: NDArray[np.int64]) -> None:
        self.samples, self.indices = samples, indices
        self.missing = np.flatnonzero(np.isin(indices, samples.missing)).tolist()

    def __len__(self) -> int:
        return len(self.indices)

    def sample(self, index: int) -> Sample:
        """The sample at an index from 0 to N - 1."""
        return self.samples.sample(int(self.indices[index]))


class Streamed(StoredSamples):
    """Samples in large files, each of which is read from front to back."""

    runs: NDArray[np.int64]
    """The number of consecutive samples in each file; they sum to N."""


def evenly(count: int, most: int) -> NDArray[np.int64]:
    """At most `most` indices below `count`, spread evenly."""
    return np.linspace(0, count - 1, min(most, count)).round().astype(np.int64)


@dataclass(frozen=True, eq=False)
class Split:
    """The pictures of one split, its label names, and what is known of each picture's labels."""

    labels: tuple[str, ...]
    samples: Sequence[Sample]
    targets: NDArray[np.int8]
    """N x L, pictures by labels: 1 present, 0 absent, -1 unknown."""
    name: str = ""
    """What the user called it, such as `train` or `val.csv`."""
    groups: Sequence[str] = ()
    """What each picture belongs to, such as its patient; empty if that is not known."""
    parts: Sequence[str] = ()
    """The part of the data set that each picture is in, where the data set says it."""
    notes: tuple[str, ...] = ()
    """What a user should know of how it was read, a sentence each."""
    doubts: tuple[str, ...] = ()
    """What was read in one of two ways, with the setting for the other, a line each."""

    def __post_init__(self) -> None:
        expected = (len(self.samples), len(self.labels))
        if self.targets.shape != expected or self.targets.dtype != np.int8:
            raise ValueError(
                f"expected int8 targets of shape {expected}, "
                f"got {self.targets.dtype} of shape {self.targets.shape}"
            )

    def __len__(self) -> int:
        return len(self.samples)

    def __eq__(self, other: object) -> bool:
        """Whether pictures, labels, targets and name are the same."""
        return isinstance(other, Split) and (
            (self.labels, self.name) == (other.labels, other.name)
            and list(self.samples) == list(other.samples)
            and np.array_equal(self.targets, other.targets)
        )

    def chosen(self, rows: NDArray[Any], *, name: str | None = None) -> "Split":
        """Some of the pictures: those at the given indices, or where a boolean array is true."""
        indices = np.flatnonzero(rows) if rows.dtype == bool else rows

        def some(of_all: Sequence[Any]) -> Sequence[Any]:
            if isinstance(of_all, StoredSamples) and not isinstance(of_all, Streamed):
                return _Some(of_all, indices)
            return tuple(of_all[index] for index in indices.tolist()) if of_all else ()

        return replace(
            self,
            samples=some(self.samples),
            targets=self.targets[indices],
            name=self.name if name is None else name,
            groups=some(self.groups),
            parts=some(self.parts),
        )


@dataclass(frozen=True)
class Draw:
    """Which sample to take, and the seed of its augmentation."""

    index: int
    seed: int


class PictureTransform(Protocol):
    """From a picture, or its pixels (C H W in uint8), to the tensor that a loader carries."""

    @property
    def form(self) -> PixelForm:
        """The channels and the range of the pixels that it takes."""

    @property
    def decode_size(self) -> int:
        """Smallest side in pixels that loses nothing; 0 asks for every pixel."""

    def __call__(self, picture: Pixels) -> Tensor:
        """The tensor of a picture."""


class KeptPixels(Protocol):
    """The decoded pictures of a split, such as `image_cache.CachedImages`."""

    def __getitem__(self, index: int) -> Tensor:
        """The pixels of a picture, C H W in uint8."""


class ImageLabels(Dataset[tuple[Tensor, Tensor]]):
    """The pictures of a split as tensors, with their targets.

    They are read from their files, no larger than the transform needs them, or from `pixels`.

    An item is asked for by index, or by a `Draw` that also fixes the augmentation, so that an epoch
    is the same whatever the number of loader processes, and after a resume.
    """

    def __init__(
        self,
        split: Split,
        transform: PictureTransform,
        pixels: KeptPixels | None = None,
        *,
        skip_broken: bool = False,
    ) -> None:
        """Take the pictures, and the transform that makes tensors of them.

        With `skip_broken`, an unreadable picture raises no error. A `Draw` gets another picture,
        always the same one; an index gets a black picture whose targets are all unknown.
        """
        self.split = split
        self.transform = transform
        self.pixels = pixels
        self.skip_broken = skip_broken
        self._broken = torch.zeros(len(split), dtype=torch.bool)
        if skip_broken:  # loader processes and the run see one list
            self._broken.share_memory_()

    def __len__(self) -> int:
        """The number of pictures."""
        return len(self.split)

    def broken(self) -> list[Path]:
        """The pictures that could not be read so far, by any process."""
        return [self.split.samples[int(index)].path for index in self._broken.nonzero()]

    def __getitem__(self, draw: Draw | int) -> tuple[Tensor, Tensor]:
        """The transformed picture (C H W, uint8) and its targets (L, int8: 1, 0, -1 unknown).

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
        return self._transformed(image, targets, draw)

    def _read(self, index: int) -> tuple[Pixels, Tensor]:
        """A picture, or its pixels, and its targets."""
        targets = torch.from_numpy(self.split.targets[index])
        if self.pixels is not None:
            return self.pixels[index], targets
        sample = self.split.samples[index]
        return sample.read(self.transform.decode_size, self.transform.form), targets

    def _in_place_of(self, draw: Draw | int) -> tuple[Pixels, Tensor]:
        """The stand-in for an unreadable picture, and its targets."""
        if not isinstance(draw, Draw):
            nothing = torch.full((len(self.split.labels),), UNKNOWN, dtype=torch.int8)
            return torch.zeros(self.transform.form.channels, 64, 64, dtype=torch.uint8), nothing
        others = np.random.default_rng(draw.seed).integers(len(self.split), size=SUBSTITUTES)
        for index in others.tolist()[:-1]:  # the last one may raise
            try:
                return self._read(index)
            except DataError:
                self._broken[index] = True
        return self._read(int(others[-1]))

    def _transformed(
        self, image: Pixels, targets: Tensor, draw: Draw | int
    ) -> tuple[Tensor, Tensor]:
        if not isinstance(draw, Draw):
            return self.transform(image), targets
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(draw.seed)
            return self.transform(image), targets
