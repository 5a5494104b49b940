"""Which values are black and white in a data set of deep pictures: one range for all of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from lcnet.data.dataset import Sample, Split
from lcnet.data.loading import FEW, available_cores
from lcnet.data.opening import open_picture
from lcnet.data.pixel_form import in_figures
from lcnet.data.values import BYTES, Source, Values
from lcnet.errors import DataError
from lcnet.progress import track

HEADERS = 256
"""Pictures whose headers are read to see whether a data set is deep."""
BULK = (1.0, 99.0)
"""Percentiles of a picture between which the bulk of its values lies."""
STRAY_SHARE = 0.05
"""If the bulk fills less than this share of the range, stray values have stretched it."""


@dataclass
class Found:
    """The values of all pictures of one kind."""

    example: Path
    pictures: int = 0
    low: float = np.inf
    high: float = -np.inf
    bulk_low: float = np.inf
    bulk_high: float = -np.inf

    def add(self, spread: Sequence[float]) -> None:
        """Count a picture: its least and largest value and those of its bulk."""
        low, high, bulk_low, bulk_high = spread
        self.pictures += 1
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.bulk_low = min(self.bulk_low, bulk_low)
        self.bulk_high = max(self.bulk_high, bulk_high)


@dataclass
class PixelKinds:
    """The kinds of the pictures of a split, each with the values that it has."""

    kinds: dict[str, Found] = field(default_factory=dict)

    @property
    def deep(self) -> dict[str, Found]:
        """The kinds of more than 8 bits."""
        return {kind: found for kind, found in self.kinds.items() if kind != BYTES}

    def checked(self, others: Mapping[str, Path] | None = None) -> tuple[float, float] | None:
        """The least and the largest value; None if all pictures have 8 bits.

        `others` are the kinds of another split, each with an example. Raises DataError if the
        pictures' values cannot be compared, or are all the same.
        """
        examples = {kind: found.example for kind, found in self.kinds.items()}
        examples |= {kind: path for kind, path in (others or {}).items() if kind not in examples}
        if not examples.keys() - {BYTES}:
            return None
        if len(examples) > 1:
            named = " and ".join(f"{kind} ({example})" for kind, example in examples.items())
            raise DataError(
                f"pictures whose values cannot be compared: {named}. Make them of one kind, or say "
                "which values are black and white with --data.pixel_range '[BLACK, WHITE]' (8 bits "
                "always mean 0 to 255)."
            )
        (kind, found), *_ = self.deep.items()
        if not found.low < found.high:
            raise DataError(
                f"{found.example}: expected {kind} pictures of different values, got "
                f"{in_figures(found.low)} everywhere. Set --data.pixel_range '[BLACK, WHITE]'."
                if np.isfinite(found.low)
                else f"{found.example}: expected numbers in {kind} pictures, got none."
            )
        return found.low, found.high

    def lines(self) -> Iterator[str]:
        """The range in words, and a warning if a few stray values have stretched it."""
        for kind, found in self.deep.items():
            low, high = in_figures(found.low), in_figures(found.high)
            yield (
                f"pixel range {low} (black) to {high} (white), found in {found.pictures:,} {kind} "
                "training pictures; --data.pixel_range sets another"
            )
            if found.bulk_high - found.bulk_low < STRAY_SHARE * (found.high - found.low):
                low, high = in_figures(found.bulk_low), in_figures(found.bulk_high)
                yield (
                    f"warning: nearly all of their values are from {low} to {high}, so a few stray "
                    "ones leave only dark or flat pictures. Set --data.pixel_range "
                    f"'[{low}, {high}]'"
                )


def pixel_kinds(
    split: Split, *, channels: int = 3, workers: int = -1, quiet: bool = False
) -> PixelKinds:
    """The kinds of pixels in a split, and the values of its deep pictures.

    If the headers of some pictures, spread over the split, all say 8 bits, no more are read: a deep
    one among the others is then refused when it is decoded. Broken pictures are left out.
    """
    kinds, count = header_kinds(split), len(split)
    found = PixelKinds({kind: Found(example) for kind, example in kinds.items()})
    if not found.deep:
        return found
    found = PixelKinds()
    loader = DataLoader(
        _Spreads(split, channels),
        batch_size=None,
        num_workers=_processes(workers, count),
    )
    for index, spreads in enumerate(
        track(loader, f"Pixel range of {split.name}", count, quiet=quiet)
    ):
        for kind, spread in spreads:
            entry = found.kinds.setdefault(kind, Found(split.samples[index].path))
            entry.add(spread)
    return found


def header_kinds(split: Split) -> dict[str, Path]:
    """The kinds of some pictures, spread over the split, by their headers; an example of each."""
    kinds: dict[str, Path] = {}
    last = len(split) - 1
    for index in np.unique(np.linspace(0, last, min(HEADERS, len(split))).astype(int)).tolist():
        sample = split.samples[index]
        for kind in _kinds_of(sample):
            kinds.setdefault(kind, sample.path)
    return kinds


def _processes(workers: int, count: int) -> int:
    if count <= FEW:
        return 0
    return available_cores() if workers < 0 else workers


def _kinds_of(sample: Sample) -> list[str]:
    """The kinds of a picture's files, by their headers; none if it cannot be read."""
    try:
        kinds = []
        for source in sample.sources():
            with open_picture(source) as picture:
                kinds.append(picture.kind if isinstance(picture, Values) else BYTES)
        return kinds
    except Exception:  # reported when its pixels are read
        return []


class _Spreads(Dataset[list[tuple[str, list[float]]]]):
    """The kind of each picture's files, and their least and largest values."""

    def __init__(self, split: Split, channels: int) -> None:
        self.split = split
        self.channels = channels

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> list[tuple[str, list[float]]]:
        sample = self.split.samples[index]
        try:
            return [self._of(source) for source in sample.sources()]
        except Exception:  # reported when its pixels are read
            return []

    def _of(self, source: Source) -> tuple[str, list[float]]:
        with open_picture(source) as picture:
            if not isinstance(picture, Values) or picture.kind == BYTES:
                return BYTES, [0.0, 255.0, 0.0, 255.0]
            numbers = picture.read()
            if picture.has_alpha and picture.bands != self.channels:
                numbers = numbers[:, :, :-1]  # transparency, which is dropped
            return picture.kind, _spread(numbers)


def _spread(numbers: NDArray[Any]) -> list[float]:
    """Least and largest value, and the percentiles of the bulk; of no numbers nothing."""
    finite = numbers[np.isfinite(numbers)] if numbers.dtype.kind == "f" else numbers.ravel()
    if not finite.size:
        return [np.inf, -np.inf, np.inf, -np.inf]
    bulk = np.percentile(finite, BULK).tolist()
    return [float(finite.min()), float(finite.max()), *bulk]
