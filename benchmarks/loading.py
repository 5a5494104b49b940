"""Measures how fast pictures become batches, against torchvision's usual pipeline in the same run.

    python -m benchmarks.loading

Draws photo-like JPEGs of several sizes and reads them with one process on one core, in turns by the
usual pipeline (PIL open, Resize, ToTensor, Normalize; default collation), by lcnet's loader with
its normalisation, and by lcnet's loader from cached pictures (--data.cache_images). Prints the rows
of docs/log/speed.md: medians of processor time, which other work on the machine changes least, and
of time by the clock; and the difference between lcnet's pixels and the usual ones (0 to 255).
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from lcnet.config import Data
from lcnet.data.dataset import ImageLabels, Sample, Split
from lcnet.data.loading import eval_loader
from lcnet.data.pictures import eval_pictures
from lcnet.data.transforms import Normalize, Preprocessing, eval_transform

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BATCH_SIZE = 8


def photo(width: int, height: int, seed: int) -> Image.Image:
    """A picture that takes as long to decode as a photo: structure at all scales, edges, grain."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((height, width, 3))
    for cells in (3, 8, 24, 72, 216):
        coarse = rng.integers(0, 256, size=(cells * 3 // 4 + 1, cells, 3)).astype(np.uint8)
        layer = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        pixels += np.asarray(layer, dtype=float) / cells**0.6
    pixels = (pixels - pixels.min()) / np.ptp(pixels) * 230
    for _ in range(20):  # things with sharp edges
        left, top = rng.integers(0, width), rng.integers(0, height)
        box = np.s_[top : top + height // 8, left : left + width // 10]
        pixels[box] = 0.6 * pixels[box] + 0.4 * rng.integers(0, 256, size=3)
    pixels += rng.normal(scale=5, size=(height, width, 1))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


class UsualPictures(Dataset[tuple[Tensor, int]]):
    """Torchvision's usual pipeline."""

    def __init__(self, split: Split, expected: Preprocessing) -> None:
        self.split = split
        self.transform = transforms.Compose(
            [
                transforms.Resize(
                    (expected.size, expected.size),
                    transforms.InterpolationMode(expected.interpolation),
                ),
                transforms.ToTensor(),
                transforms.Normalize(expected.mean, expected.std),
            ]
        )

    def __len__(self) -> int:
        """The number of pictures."""
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """A normalised picture and no label."""
        with Image.open(self.split.samples[index].path) as image:
            return self.transform(image.convert("RGB")), 0


def ours(pictures: ImageLabels, expected: Preprocessing) -> Iterator[Tensor]:
    """Batches as lcnet's models take them."""
    normalize = Normalize(expected)
    for images, _ in eval_loader(pictures, batch_size=BATCH_SIZE, workers=0):
        yield normalize(images)


def usual(pictures: UsualPictures) -> Iterator[Tensor]:
    """Batches as torchvision's pipeline gives them."""
    for images, _ in DataLoader(pictures, BATCH_SIZE):
        yield images


def seconds(work: Callable[[], Iterable[Tensor]]) -> tuple[float, float]:
    """Processor time and time by the clock for going through the batches once."""
    processor, clock = time.process_time(), time.perf_counter()
    for _ in work():
        pass
    return time.process_time() - processor, time.perf_counter() - clock


def levels(batches: Iterable[Tensor]) -> Tensor:
    """All pictures with their normalised values turned back into 0 to 255."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return 255 * (torch.cat(list(batches)) * std + mean)


def main() -> None:
    """Draw, measure in turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=448)
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--interpolation", choices=["bilinear", "bicubic"], default="bilinear")
    parser.add_argument(
        "--stored", nargs="+", default=["640x480", "1920x1440", "4000x3000"], metavar="WxH"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    expected = Preprocessing(arguments.size, MEAN, STD, arguments.interpolation)
    print(
        f"{arguments.pictures} JPEGs of each size to {arguments.size} px, {expected.interpolation},"
        f" one core, medians of {arguments.repeats}\n"
    )
    print(
        "| stored | by | ms of processor time a picture | by the clock | images/s | times the "
        "usual | pixels apart: mean, most |"
    )
    print("|---|---|---|---|---|---|---|")
    for stored in arguments.stored:
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), stored, expected, arguments.pictures, arguments.repeats)


def measure(
    folder: Path, stored: str, expected: Preprocessing, pictures: int, repeats: int
) -> None:
    """Print the rows of one size."""
    width, height = map(int, stored.split("x"))
    samples = tuple(Sample(folder / f"{index}.jpg") for index in range(pictures))
    for seed, sample in enumerate(samples):
        photo(width, height, seed).save(sample.path, quality=90)
    split = Split((), samples, np.empty((pictures, 0), np.int8))
    keep = Data(cache_images=str(folder / "kept"), workers=0)
    theirs = UsualPictures(split, expected)
    read = ImageLabels(split, eval_transform(expected))
    kept = eval_pictures(split, keep, expected, quiet=True)
    ways: dict[str, Callable[[], Iterable[Tensor]]] = {
        "usual pipeline": lambda: usual(theirs),
        "lcnet": lambda: ours(read, expected),
        "lcnet, kept pictures": lambda: ours(kept, expected),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, work in ways.items():
            times[name].append(seconds(work))
    truth, first = levels(usual(theirs)), 0.0
    for name, work in ways.items():
        processor, clock = (
            1000 * statistics.median(values) / pictures for values in zip(*times[name], strict=True)
        )
        first = first or processor
        apart = (levels(work()) - truth).abs()
        print(
            f"| {stored} | {name} | {processor:.2f} | {clock:.2f} | {1000 / processor:.0f} | "
            f"{first / processor:.2f} | {apart.mean():.3f}, {apart.max():.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
