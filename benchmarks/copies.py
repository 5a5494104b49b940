"""Measures which share of changed copies `lcnet check` finds, as rows for docs/log/checking.md.

    python -m benchmarks.copies data/digits

Up to 300 of the pictures are changed in each way and compared with the originals. Then all
originals are compared with each other. Look at the pairs that this finds: they may be real copies.
"""

import argparse
import io
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from lcnet.checking.near_duplicates import HASH_BITS, SAME_DETAILS, near_pairs, same_details
from lcnet.checking.near_duplicates import perceptual_hashes as hashes
from lcnet.checking.picture_facts import look
from lcnet.data.decoding import PICTURE_SUFFIXES

Change = Callable[[Image.Image], Image.Image]


def scaled(factor: float) -> Change:
    """A change that resizes both sides by a factor."""
    return lambda image: image.resize((int(image.width * factor), int(image.height * factor)))


def cropped(left: float, top: float, right: float, bottom: float) -> Change:
    """A change that cuts off a share of the picture at each side."""
    return lambda image: image.crop(
        (
            int(image.width * left),
            int(image.height * top),
            int(image.width * (1 - right)),
            int(image.height * (1 - bottom)),
        )
    )


CHANGES: dict[str, tuple[int, Change]] = {
    "recompressed, JPEG 40": (40, lambda image: image),
    "half the size": (80, scaled(0.5)),
    "twice the size": (90, scaled(2)),
    "brighter by a tenth": (85, lambda image: image.point(lambda value: value * 1.1 + 5)),
    "cropped by 1 % at each side": (85, cropped(0.01, 0.01, 0.01, 0.01)),
    "cropped by 3 % at each side": (85, cropped(0.03, 0.03, 0.03, 0.03)),
    "cropped by 5 % at each side": (85, cropped(0.05, 0.05, 0.05, 0.05)),
    "cropped by 6 % at one side": (85, cropped(0.06, 0, 0, 0)),
    "cropped by 8 % at each side": (85, cropped(0.08, 0.08, 0.08, 0.08)),
}
"""Each change by its name, with the JPEG quality in which the copy is stored."""


def stored(image: Image.Image, quality: int) -> Image.Image:
    """The picture after JPEG compression."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def main() -> None:
    """Print the share of each kind of copy that is found, and the pairs among the originals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="Folder of pictures.")
    files = parser.parse_args().folder.rglob("*")
    paths = sorted(file for file in files if file.suffix.lower() in PICTURE_SUFFIXES)
    chosen = random.Random(0).sample(paths, min(300, len(paths)))
    originals = [Image.open(path).convert("RGB") for path in chosen]
    shown = np.array([look(image) for image in originals])
    print(f"| {len(originals)} copies each | found |\n|---|---|")
    for name, (quality, change) in CHANGES.items():
        copies = np.array([look(stored(change(image), quality)) for image in originals])
        near = np.bitwise_count(hashes(shown) ^ hashes(copies)) <= HASH_BITS
        is_found = near & (same_details(shown, copies) >= SAME_DETAILS)
        print(f"| {name} | {100 * is_found.mean():.0f} % |")
    everything = np.array([look(Image.open(path).convert("RGB")) for path in paths])
    started = time.perf_counter()
    pairs = [pair for part in near_pairs(everything) for pair in part]
    seconds = time.perf_counter() - started
    print(f"pairs among {len(paths):,} originals: {len(pairs)}, in {seconds:.1f} s")
    for pair in pairs:
        print(f"  {paths[pair.first]} {paths[pair.second]} {pair.similarity:.2f}")


if __name__ == "__main__":
    main()
