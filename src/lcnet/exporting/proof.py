"""How close an exported file comes to its model, measured on real pictures."""

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
from lcnet.data.dataset import Sample, evenly
from lcnet.data.decoding import PixelForm, Pixels, read_pixels
from lcnet.data.loading import stack_images
from lcnet.data.readers import load_split_for
from lcnet.data.readers.digits import compose, handwriting
from lcnet.data.transforms import Normalize, Preprocessing, eval_transform
from lcnet.exporting.formats import Scorer
from lcnet.metrics.array_checks import with_both
from lcnet.metrics.bootstrap import mean_ap
from lcnet.metrics.calibration import to_probabilities
from lcnet.model_folder import ModelInfo
from lcnet.progress import track

BATCH_SIZES = (1, 5)
"""Images at a time, in turn: two sizes expose a file for one fixed size, or that mixes images."""
DRAWN = 12
"""Pictures to draw if there are no others to check with."""
ROUNDS, SECONDS = 30, 20.0
"""A measurement of speed takes this many rounds, or as many as fit into these seconds."""


@dataclass(frozen=True)
class Pictures:
    """The pictures that a file is checked with."""

    images: Sequence[Path | Sample | Image.Image]
    """Files, samples, or drawn pictures in RGB, which take the channels of the model."""
    targets: NDArray[np.int8] | None
    """N x L: 1, 0 and -1 (unknown); None if the labels are unknown."""
    source: str
    """Where they come from, in words."""

    def batches(
        self, expected: Preprocessing, sizes: Sequence[int] = BATCH_SIZES
    ) -> Iterator[Tensor]:
        """All as batches (B C size size) of these sizes in turn; the last may be smaller.

        Raises DataError if a picture cannot be read.
        """
        transform, normalize = eval_transform(expected), Normalize(expected)
        start = 0
        for size in cycle(sizes):
            if start >= len(self.images):
                return
            chosen = self.images[start : start + size]
            opened = [_opened(image, expected) for image in chosen]
            # Contiguous, as users of the file will pass them.
            yield normalize(stack_images([transform(image) for image in opened])).contiguous()
            start += size


def _opened(image: Path | Sample | Image.Image, expected: Preprocessing) -> Pixels:
    if isinstance(image, Sample):
        return image.read(expected.size, expected.form)
    if isinstance(image, Path):
        return read_pixels(image, size=expected.size, form=expected.form)
    return _recoloured(image, expected.form)


def _recoloured(drawn: Image.Image, form: PixelForm) -> Pixels:
    """A drawn picture in RGB with the channels of a model: grey, or its colours in turn."""
    if form.channels == 3:
        return drawn
    if form.channels == 1:
        return drawn.convert("L")
    bands = torch.from_numpy(np.array(drawn)).permute(2, 0, 1)
    return bands[[channel % 3 for channel in range(form.channels)]]


def pictures_of_split(data: Data, name: str, info: ModelInfo, most: int) -> Pictures:
    """At most `most` pictures of a split, spread evenly over it.

    Raises DataError if the split cannot be read.
    """
    samples = load_split_for(data, name, info.labels)
    indices = evenly(len(samples), most)
    chosen = [samples.samples[index] for index in indices]
    return Pictures(
        chosen,
        samples.targets[indices],
        f"{len(indices):,} pictures of {name}",
    )


def drawn_pictures() -> Pictures:
    """Some drawn scenes of handwritten digits, which need no data set."""
    images, digits = handwriting("val")
    scenes = [
        compose(np.random.default_rng(seed), images, digits)[0].convert("RGB")
        for seed in range(DRAWN)
    ]
    return Pictures(scenes, None, f"{DRAWN} drawn pictures")


@dataclass(frozen=True)
class Proof:
    """How the outputs of two models compare on the same pictures."""

    largest: float
    """The largest difference between their logits; NaN if a logit is NaN."""
    mAP: float | None
    """The first model's, 0 to 100; None if no label has both present and absent pictures, or if a
    logit is not finite."""
    other_mAP: float | None
    """The second model's."""

    @property
    def gained(self) -> float | None:
        """The second model's mAP minus the first's, in points; None if one is unknown."""
        if self.mAP is None or self.other_mAP is None:
            return None
        return self.other_mAP - self.mAP


def prove(
    model: Scorer, other: Scorer, pictures: Pictures, info: ModelInfo, *, quiet: bool = False
) -> Proof:
    """Compare two models on all pictures, `BATCH_SIZES` at a time."""
    total = len(pictures.images) // sum(BATCH_SIZES) * len(BATCH_SIZES) + 1
    batches = track(pictures.batches(info.preprocessing), "Checking, batches", total, quiet=quiet)
    first, second = [], []
    with torch.inference_mode():
        for images in batches:
            first.append(model(images).numpy())
            second.append(other(images).numpy())
    ours, theirs = np.concatenate(first), np.concatenate(second)
    return Proof(
        largest=float(np.abs(ours - theirs).max()),
        mAP=_mean_ap(ours, pictures.targets, info),
        other_mAP=_mean_ap(theirs, pictures.targets, info),
    )


def _mean_ap(
    logits: NDArray[np.float32], targets: NDArray[np.int8] | None, info: ModelInfo
) -> float | None:
    if targets is None or not with_both(targets).any() or not np.isfinite(logits).all():
        return None
    return mean_ap(to_probabilities(logits, info.calibration), targets)


@dataclass(frozen=True)
class Speed:
    """Milliseconds per picture of two models that took turns, each in its fastest round."""

    batch_size: int
    first: float
    second: float


def race(first: Scorer, second: Scorer, images: Tensor) -> Speed:
    """How long each takes for the same images (B C size size), after one round to warm up.

    They take turns, so that both meet the same load of the machine. The fastest round counts, since
    other work disturbed it least.
    """
    times: dict[Scorer, list[float]] = {first: [], second: []}
    begun = perf_counter()
    with torch.inference_mode():
        for number in range(ROUNDS + 1):
            for scorer, seconds in times.items():
                started = perf_counter()
                scorer(images)
                if number:
                    seconds.append(perf_counter() - started)
            if number and perf_counter() - begun > SECONDS:
                break
    each = [1000 * min(seconds) / len(images) for seconds in times.values()]
    return Speed(len(images), *each)
