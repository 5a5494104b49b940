"""Mixes the images of a batch with each other, and their labels: MixUp, CutMix and SpliceMix."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2.functional import resize

from lcnet.config import Train
from lcnet.data.dataset import NEGATIVE, POSITIVE, UNKNOWN

STREAM = 1
"""Sets these random numbers apart from those of dropout, which have the same place."""
SIDE = 2
"""A spliced image shows `SIDE` x `SIDE` images."""


def mixed_batch(
    images: Tensor, targets: Tensor, recipe: Train, place: tuple[int, int, int]
) -> tuple[Tensor, Tensor]:
    """A batch with its images mixed as the recipe says, and its targets.

    The random numbers follow from the recipe's seed and the `place`: epoch, batch and rank. Spliced
    images are added at the end; they show images that are not mixed otherwise.

    Args:
        images: B C H W, of levels (uint8) or normalised (float), on any device.
        targets: B L, of 1, 0 and -1 for unknown.
        recipe: what to do.
        place: epoch, batch and rank of the batch.

    Returns:
        The images, and the targets from 0 to 1 or -1 (see `mixed_targets` and `joined_targets`).
    """
    rng = np.random.default_rng((recipe.seed, *place, STREAM))
    is_mixup = rng.random() < 0.5 if recipe.mixup and recipe.cutmix else bool(recipe.mixup)
    whole, known = (images, targets), targets
    if recipe.unknown == "negative":
        known = targets.clamp(min=NEGATIVE)
    if is_mixup:
        images, targets = mixup(images, known, recipe.mixup, rng)
    elif recipe.cutmix:
        images, targets = cutmix(images, known, recipe.cutmix, rng)
    if recipe.splicemix:
        count = max(1, round(recipe.splicemix * len(images)))
        more, their_targets = splicemix(*whole, count, rng)
        images, targets = torch.cat([images, more]), torch.cat([targets, their_targets])
    return images, targets


def mixup(
    images: Tensor, targets: Tensor, alpha: float, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Each image blended with another one of the batch, and their targets, as `mixed_batch` says.

    Its own share is drawn from Beta(alpha, alpha). Source: Zhang et al. 2018, arXiv 1710.09412.
    """
    partners, shares = _partners(images, rng), _tensor(rng.beta(alpha, alpha, len(images)), images)
    blended = images[partners].float().lerp_(images.float(), shares[:, None, None, None])
    if not images.is_floating_point():
        blended = blended.round_()
    return blended.to(images.dtype), mixed_targets(targets, targets[partners], shares)


def cutmix(
    images: Tensor, targets: Tensor, alpha: float, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Each image with a rectangle of another one of the batch pasted in, and their targets.

    The rectangle's share of the area is drawn from Beta(alpha, alpha), its middle from the whole
    image; what lies outside is cut off. The targets are mixed by the area that is left, as
    `mixed_targets` says. Source: Yun et al. 2019, arXiv 1905.04899.
    """
    partners, (height, width) = _partners(images, rng), images.shape[-2:]
    side = np.sqrt(rng.beta(alpha, alpha, len(images)))
    rows, high = _span(side, height, rng)
    columns, wide = _span(side, width, rng)
    pasted = _tensor(rows[:, None, :, None] & columns[:, None, None, :], images)
    shares = _tensor(1 - high * wide / (height * width), images)
    mixed = torch.where(pasted, images[partners], images)
    return mixed, mixed_targets(targets, targets[partners], shares)


def splicemix(
    images: Tensor, targets: Tensor, count: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """`count` new images that each show four of the batch in a 2 x 2 grid, and their targets.

    Each is shrunk to a quarter of the area, so that it is seen whole and at another scale; the
    targets are those of `joined_targets`. No image comes twice before all have come once. The
    paper's second loss, between an image and its place in the grid, is left out: it needs the maps
    of single places, which views and attention do not keep apart. Source: Wang et al. 2023, arXiv
    2311.15200.
    """
    cells, (height, width) = SIDE * SIDE, images.shape[-2:]
    rounds = -(-cells * count // len(images))
    order = np.concatenate([rng.permutation(len(images)) for _ in range(rounds)])
    chosen = _tensor(order[: cells * count], images)
    small = resize(images[chosen], [-(-height // SIDE), -(-width // SIDE)], antialias=True)
    grid = small.unflatten(0, (count, SIDE, SIDE)).permute(0, 3, 1, 4, 2, 5)  # N C 2 h 2 w
    spliced = grid.flatten(4, 5).flatten(2, 3)[..., :height, :width]
    return spliced, joined_targets(targets[chosen].unflatten(0, (count, cells)))


def mixed_targets(own: Tensor, others: Tensor, shares: Tensor) -> Tensor:
    """The mean of two targets (B L each) by the first one's share (B, 0 to 1), in float32.

    An entry that is unknown in an image with any share at all is unknown in the mix: half of a
    present label and half of an unknown one can be a half or a whole.
    """
    share = shares[:, None].float()
    unknown = ((own < 0) & (share > 0)) | ((others < 0) & (share < 1))
    return (share * own + (1 - share) * others).where(~unknown, float(UNKNOWN))


def joined_targets(targets: Tensor) -> Tensor:
    """The targets of images that show several images whole, from theirs (N K L): N L.

    A label is present if it is in any of them, whatever is known of the others; absent if it is
    known to be in none; and unknown otherwise.
    """
    # Where none is 1, the least is -1 if any is unknown, and else 0.
    present = torch.full_like(targets[:, 0], POSITIVE)
    return present.where((targets == POSITIVE).any(dim=1), targets.amin(dim=1))


def _partners(images: Tensor, rng: np.random.Generator) -> Tensor:
    """For each image of a batch another one, or by chance itself."""
    return _tensor(rng.permutation(len(images)), images)


def _span(
    shares: NDArray[np.float64], length: int, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Spans of a line of pixels (B length, true inside) and their lengths (B).

    Their middles are anywhere on the line, and their lengths are the given shares of it before what
    lies outside is cut off.
    """
    half, middle = shares * length / 2, rng.random(len(shares)) * length
    pixels = np.arange(length) + 0.5
    inside = np.abs(pixels - middle[:, None]) < half[:, None]
    return inside, inside.sum(axis=1)


def _tensor(values: NDArray[np.generic], like: Tensor) -> Tensor:
    """The values on the device of a tensor; numbers with a fraction in float32."""
    # MPS has no float64.
    kept = values.astype(np.float32) if values.dtype == np.float64 else values
    return torch.from_numpy(kept).to(like.device)
