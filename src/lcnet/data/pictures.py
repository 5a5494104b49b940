"""The pictures of a split for a loader, from their files or from `data.cache_images`."""

from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from lcnet.config import Data, Train
from lcnet.data.dataset import ImageLabels, Split
from lcnet.data.feature_cache import split_key
from lcnet.data.image_cache import (
    CachedImages,
    bytes_needed,
    cached_images,
    has_images,
    prepare_folder,
)
from lcnet.data.loading import each_picture
from lcnet.data.transforms import Preprocessing, eval_transform, keep_transform, train_transform
from lcnet.progress import disk_size, tell, track


def train_pictures(split: Split, data: Data, expected: Preprocessing, recipe: Train) -> ImageLabels:
    """The pictures to train on; shrunk copies are kept in `data.cache_images` if it is set.

    Raises ConfigError if they cannot be kept there, DataError if a picture cannot be read.
    """
    transform = train_transform(expected, recipe)
    kept = _kept(split, data, expected, transform.decode_size)
    return ImageLabels(split, transform, kept, skip_broken=data.broken == "skip")


def eval_pictures(
    split: Split, data: Data, expected: Preprocessing, *, quiet: bool = False
) -> ImageLabels:
    """The pictures to evaluate on, kept likewise; prints what is kept unless `quiet`."""
    kept = _kept(split, data, expected, expected.size, quiet=quiet)
    skip_broken = data.broken == "skip"
    return ImageLabels(split, eval_transform(expected), kept, skip_broken=skip_broken)


def _kept(
    split: Split, data: Data, expected: Preprocessing, size: int, *, quiet: bool = False
) -> CachedImages | None:
    if not data.cache_images:
        return None
    folder, square = Path(data.cache_images), size == expected.size
    # The border of `pad` has the mean colour.
    pixels = (expected.form, expected.fit, expected.mean if expected.fit == "pad" else ())
    key = split_key(split, "images", size, square, expected.interpolation, *pixels)

    def shrunk() -> Iterator[Tensor]:
        needed = bytes_needed(split, size, square=square, channels=expected.form.channels)
        prepare_folder(folder, needed)
        if not quiet:
            tell(
                f"keeping {len(split):,} pictures of {split.name} in {folder}, "
                f"{f'{size} x {size} px' if square else f'{size} px and more a side'}: "
                f"{disk_size(needed)}"
            )
        pictures = ImageLabels(split, keep_transform(expected, size))
        loader = each_picture(pictures, workers=data.workers)
        for pixels, _ in track(loader, f"Shrinking {split.name}", len(split), quiet=quiet):
            yield pixels

    if not has_images(folder, key):
        prepare_folder(folder, 0)
    return cached_images(folder, key, len(split), shrunk, channels=expected.form.channels)
