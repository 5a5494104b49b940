"""Finds copies of pictures that were resized, recompressed, brightened or slightly cropped.

It takes two steps. First, every pair is compared by a perceptual hash of 64 bits (pHash, from
imagehash): pairs that differ in at most HASH_BITS bits are candidates. Similar scenes give many
candidates, so each is then compared by its pixels: one picture is laid over the other, moved and
scaled until they fit best. They are copies if the details agree.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

HASH_BITS = 16
"""Largest distance of two candidates' hashes. Cropping 3 % off each side changes up to 20 bits."""
LEVELS = ((8, 4, 0.6), (16, 4, 0.7), (32, 5, 0.8))
"""Coarse to fine: side in pixels, steps, and the least correlation to go on with a pair."""
LARGEST_CROP = 0.2
"""Largest share of a side that may be cropped from a copy."""
SAME_DETAILS = 0.75
"""Two pictures are copies from this correlation of their details.

Of 300 film posters and 300 scenes of handwriting, copies recompressed, resized or brightened had
at least 0.87, those cropped by 3 % at each side 0.8 (with few exceptions). Of the 43,000 most
similar pairs of different posters, none had more than 0.6.
"""
DETAIL_PX = 1.5
"""Standard deviation of the Gaussian blur; details are the difference from the blurred picture."""
VISIBLE = 4.0
"""Grey levels (of 255) below which contrast is noise: flatter pictures have no near duplicates."""
WIDTH = 4096
"""Thumbnails whose contrast is taken at a time."""
BLOCK = 4096, 256
"""Hashes compared at a time; comparing all pairs of 100,000 takes 13 s on one core."""
TOGETHER = 512
"""Candidates laid over each other at a time."""

Grey = NDArray[np.float32]


class NearPair(NamedTuple):
    """Two pictures that are copies of each other."""

    first: int
    second: int
    """Larger than `first`."""
    similarity: float
    """Correlation of their details, from SAME_DETAILS to 1."""


def perceptual_hashes(looks: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The 64-bit pHash of each grey thumbnail; `looks` has the shape (pictures, 32, 32)."""
    packed = np.empty((len(looks), 8), np.uint8)
    for row, look in zip(packed, looks, strict=True):
        row[:] = np.packbits(imagehash.phash(Image.fromarray(look)).hash.ravel())
    return packed.view(np.uint64).ravel()


def near_pairs(looks: NDArray[np.uint8]) -> Iterator[list[NearPair]]:
    """All pairs of near duplicates among grey thumbnails of shape (pictures, 32, 32).

    They come in `parts(len(looks))` lists, so that progress can be shown.
    """
    blocks = (looks[first : first + WIDTH] for first in range(0, len(looks), WIDTH))
    contrast = [block.std(axis=(1, 2), dtype=np.float32) for block in blocks]
    textured = np.flatnonzero(np.concatenate([np.empty(0, np.float32), *contrast]) >= VISIBLE)
    hashes = perceptual_hashes(looks[textured])
    for start in range(0, len(looks), BLOCK[1]):
        copies: list[NearPair] = []
        first, second = _candidates(hashes, start)
        for part in range(0, len(first), TOGETHER):
            chosen = slice(part, part + TOGETHER)
            one, other = textured[first[chosen]], textured[second[chosen]]
            similarity = same_details(looks[one], looks[other])
            for pair in np.flatnonzero(similarity >= SAME_DETAILS):
                copies.append(NearPair(int(one[pair]), int(other[pair]), float(similarity[pair])))
        yield copies


def parts(pictures: int) -> int:
    """The number of lists that `near_pairs` yields for this number of pictures."""
    return -(-pictures // BLOCK[1])


def _candidates(
    hashes: NDArray[np.uint64], start: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs with near hashes, the first one from the block at `start`, the second one after it."""
    first: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    second = list(first)
    width, height = BLOCK
    rows = hashes[start : start + height, None]
    for left in range(start, len(hashes), width):
        distance = np.bitwise_count(rows ^ hashes[None, left : left + width])
        row, column = np.nonzero(distance <= HASH_BITS)
        later = column + left > row + start
        first.append(row[later] + start)
        second.append(column[later] + left)
    return np.concatenate(first), np.concatenate(second)


def same_details(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How well the details of each pair agree where the pictures fit best, from 0 to 1.

    Both have the shape (pairs, 32, 32). Either picture may be a part of the other. Pairs
    that already differ coarsely have 0.
    """
    best = np.zeros(len(one))
    for whole, part in ((one, other), (other, one)):
        pairs, window = _fit(whole, part)
        fitted = _cut(whole[pairs].astype(np.float32), window)
        details = _unit(_details(fitted)) * _unit(_details(part[pairs].astype(np.float32)))
        best[pairs] = np.maximum(best[pairs], details.sum(axis=(1, 2)))
    return best


# Laying one picture over the other
#
# Inverse compositional alignment (Baker and Matthews 2004, section 3.2) of position and scale along
# each axis. A window is (x shift, x scale, y shift, y scale): the part of `whole` that is `part`,
# in coordinates from -1 to 1.


def _fit(
    whole: NDArray[np.uint8], part: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The pairs that may be copies (indices), and where in `whole` each `part` fits best."""
    pairs = np.arange(len(whole))
    window = np.tile(np.array([0, 0.97, 0, 0.97], np.float32), (len(whole), 1))
    for side, steps, least in LEVELS:
        correlation, window = _align(
            _shrink(whole[pairs], side), _shrink(part[pairs], side), window, steps
        )
        kept = correlation > least
        pairs, window = pairs[kept], window[kept]
    return pairs, window


def _align(
    whole: Grey, part: Grey, window: NDArray[np.float32], steps: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The best correlation of each pair within some steps from `window`, and its window."""
    side = whole.shape[-1]
    line = _line(side)
    target = _unit(part)
    down, right = (np.gradient(target, axis=axis) * side / 2 for axis in (1, 2))
    descent = np.stack([right, right * line, down, down * line[:, None]], axis=1)
    descent = descent.reshape(len(part), 4, side * side)
    hessian = descent @ descent.transpose(0, 2, 1)
    damping = hessian.trace(axis1=1, axis2=2)[:, None, None] / 4 + 1e-6
    inverse = np.linalg.inv(hessian + 1e-3 * damping * np.eye(4, dtype=np.float32))
    best = np.full(len(part), -1, np.float32)
    best_window = window
    for step in range(steps + 1):
        cut = _unit(_cut(whole, window))
        correlation = (cut * target).sum(axis=(1, 2))
        better = correlation > best
        best = np.where(better, correlation, best)
        best_window = np.where(better[:, None], window, best_window)
        if step < steps:
            error = (cut - target).reshape(len(part), side * side, 1)
            window = _compose(window, (inverse @ (descent @ error))[..., 0])
    return best, best_window


def _compose(window: NDArray[np.float32], step: NDArray[np.float32]) -> NDArray[np.float32]:
    """The window after undoing a step inside it; kept in the picture, and not too small."""
    moved = []
    for axis in (0, 2):
        scale = window[:, axis + 1] / np.maximum(1 + step[:, axis + 1], 0.1)
        shift = window[:, axis] - scale * step[:, axis]
        scale = np.clip(scale, 1 - LARGEST_CROP, 1)
        moved += [np.clip(shift, scale - 1, 1 - scale), scale]
    return np.stack(moved, axis=1).astype(np.float32)


def _cut(pictures: Grey, window: NDArray[np.float32]) -> Grey:
    """The window of each picture, resampled to the picture's own size, bilinear."""
    side = pictures.shape[-1]
    line = _line(side)
    for axis, (shift, scale) in ((2, window.T[:2]), (1, window.T[2:])):
        position = (shift[:, None] + scale[:, None] * line + 1) * side / 2 - 0.5
        before = np.clip(np.floor(position).astype(np.int64), 0, side - 2)
        weight = np.clip(position - before, 0, 1).astype(np.float32)
        shape = (-1, 1, side) if axis == 2 else (-1, side, 1)
        before, weight = before.reshape(shape), weight.reshape(shape)
        low = np.take_along_axis(pictures, before, axis)
        high = np.take_along_axis(pictures, before + 1, axis)
        pictures = low + (high - low) * weight
    return pictures


def _line(side: int) -> NDArray[np.float32]:
    """The centres of `side` equal pixels between -1 and 1."""
    return ((np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1).astype(np.float32)


def _shrink(pictures: NDArray[np.uint8], side: int) -> Grey:
    """The pictures with `side` pixels a side, each the mean of a square."""
    count, factor = len(pictures), pictures.shape[-1] // side
    squares = pictures.reshape(count, side, factor, side, factor)
    return squares.mean(axis=(2, 4), dtype=np.float32)


def _unit(pictures: Grey) -> Grey:
    """The pictures with mean 0 and length 1, so that their products are correlations."""
    centred = pictures - pictures.mean(axis=(1, 2), keepdims=True)
    length = np.sqrt((centred**2).sum(axis=(1, 2), keepdims=True))
    return centred / np.maximum(length, 1e-6)


def _details(pictures: Grey) -> Grey:
    """The difference from a blur, divided by its local strength, except in flat regions.

    Without the division, the borders of large areas would decide, which many pictures share.
    """
    from scipy.ndimage import gaussian_filter

    sigma: Sequence[float] = (0, DETAIL_PX, DETAIL_PX)
    fine = pictures - gaussian_filter(pictures, sigma)
    strength = np.sqrt(gaussian_filter(fine**2, sigma))
    return fine / (strength + VISIBLE)
