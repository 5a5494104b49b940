"""How near an exported file comes to the model it was made from, on real pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lcnet.config import Data
from lcnet.data.dataset import POSITIVE, read_image
from lcnet.data.loading import stack_images
from lcnet.data.readers import load_split_for
from lcnet.data.readers.digits import compose, handwriting
from lcnet.data.transforms import Normalize, Preprocessing, eval_transform
from lcnet.exporting.formats import Scorer
from lcnet.metrics.bootstrap import mean_ap
from lcnet.metrics.calibration import to_probabilities
from lcnet.model_folder import ModelInfo
from lcnet.progress import track

BATCH_SIZES = (1, 5)
"""Images at a time, in turn: a file for one fixed number, or that mixes images, would show."""
DRAWN = 12
"""Pictures that are drawn where none are at hand."""
ROUNDS, SECONDS = 30, 20.0
"""A measurement of speed takes so many rounds, or as many as fit into these seconds."""


@dataclass(frozen=True)
class Pictures:
    """What a file is checked with."""

    images: Sequence[Path | Image.Image]
    targets: NDArray[np.int8] | None
    """N x L: 1, 0 and -1 (unknown); None where nothing is known of the labels."""
    source: str
    """Where they come from, in words."""

    def batches(
        self, expected: Preprocessing, sizes: Sequence[int] = BATCH_SIZES
    ) -> Iterator[Tensor]:
        """All as batches (B 3 size size) of these sizes in turn; the last may be smaller.

        Raises DataError if a picture cannot be read.
        """
        transform, normalize = eval_transform(expected), Normalize(expected)
        place = 0
        for size in cycle(sizes):
            if place >= len(self.images):
                return
            chosen = self.images[place : place + size]
            opened = [
                read_image(one, size=expected.size) if isinstance(one, Path) else one
                for one in chosen
            ]
            # Contiguous, as whoever runs the file will give them.
            yield normalize(stack_images([transform(one) for one in opened])).contiguous()
            place += size


def pictures_of_split(data: Data, name: str, info: ModelInfo, most: int) -> Pictures:
    """At most so many pictures of a split, spread evenly over it.

    Raises DataError if the split cannot be read.
    """
    samples = load_split_for(data, name, info.labels)
    places = np.linspace(0, len(samples) - 1, min(most, len(samples))).round().astype(int)
    chosen = [samples.samples[place] for place in places]
    return Pictures(
        [sample.path if sample.inside is None else sample.read() for sample in chosen],
        samples.targets()[places],
        f"{len(places):,} pictures of {name}",
    )


def drawn_pictures() -> Pictures:
    """Some scenes of handwriting, which no model but that of the demo was trained on."""
    images, digits = handwriting("val")
    scenes = [
        compose(np.random.default_rng(seed), images, digits)[0].convert("RGB")
        for seed in range(DRAWN)
    ]
    return Pictures(scenes, None, f"{DRAWN} drawn pictures")


@dataclass(frozen=True)
class Proof:
    """What two models say of the same pictures."""

    largest: float
    """The largest difference between their logits; NaN if one of them is."""
    mAP: float | None
    """Of the first, 0 to 100; None where no label has a positive picture."""
    other_mAP: float | None
    """Of the second."""

    @property
    def gained(self) -> float | None:
        """By how much the second's mAP is higher, in points."""
        if self.mAP is None or self.other_mAP is None:
            return None
        return self.other_mAP - self.mAP


def prove(
    model: Scorer, other: Scorer, pictures: Pictures, info: ModelInfo, *, quiet: bool = False
) -> Proof:
    """The models compared on all pictures, `BATCH_SIZES` at a time."""
    pairs = len(pictures.images) // sum(BATCH_SIZES) * len(BATCH_SIZES) + 1
    batches = track(pictures.batches(info.preprocessing), "Checking, batches", pairs, quiet=quiet)
    ours, theirs = [], []
    with torch.inference_mode():
        for images in batches:
            ours.append(model(images).numpy())
            theirs.append(other(images).numpy())
    first, second = np.concatenate(ours), np.concatenate(theirs)
    return Proof(
        largest=float(np.abs(first - second).max()),
        mAP=_mean_ap(first, pictures.targets, info),
        other_mAP=_mean_ap(second, pictures.targets, info),
    )


def _mean_ap(
    logits: NDArray[np.float32], targets: NDArray[np.int8] | None, info: ModelInfo
) -> float | None:
    if targets is None or not (targets == POSITIVE).any() or not np.isfinite(logits).all():
        return None
    found = to_probabilities(logits, info.calibration)
    return mean_ap(found, targets)


@dataclass(frozen=True)
class Speed:
    """Milliseconds a picture, in the fastest of the rounds in which two models took turns."""

    batch_size: int
    first: float
    second: float


def race(first: Scorer, second: Scorer, images: Tensor) -> Speed:
    """How long each takes for the same images (B 3 size size); one round before goes unmeasured.

    Taking turns, both meet the same load of the machine; the fastest round is the one that other
    work disturbed least.
    """
    times: dict[Scorer, list[float]] = {first: [], second: []}
    begun = perf_counter()
    with torch.inference_mode():
        for number in range(ROUNDS + 1):
            for scorer, taken in times.items():
                started = perf_counter()
                scorer(images)
                if number:
                    taken.append(perf_counter() - started)
            if number and perf_counter() - begun > SECONDS:
                break
    each = [1000 * min(taken) / len(images) for taken in times.values()]
    return Speed(len(images), *each)
