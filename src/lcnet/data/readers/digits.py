"""`digits`: scenes composed from scikit-learn's bundled handwriting; no download is needed.

A scene is a 192 x 192 picture with a cluttered background and one to six different digits, each
up to four times; its labels are the digits that it shows. Three things make it a small copy of
the real problem:

- Size. Most digits are 16 to 22 px high: in one view of 64 px that is five to seven pixels, too
  few to read well, so Crop-Forwarding matters.
- Context. A scene starts from one to three digits drawn evenly, and each of them brings its
  companion (`COMPANION`) with probability `COMPANION_PROBABILITY`.
- Faintness. One label in eight has little contrast, so that knowing its companion helps.

The three splits share no handwriting. The same seed gives the same pictures.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from lcnet.config import Data
from lcnet.data.dataset import POSITIVE, Sample, Split
from lcnet.data.readers.checks import targets_of, unreadable
from lcnet.errors import DataError
from lcnet.files import write_text
from lcnet.progress import track

LABELS = tuple("0123456789")
COMPANION = (3, 8, 7, 6, 9, 0, 1, 4, 5, 2)
"""Digit d brings digit COMPANION[d]."""
COMPANION_PROBABILITY = 0.75
ROOT_PROBABILITIES = (0.4, 0.4, 0.2)
"""Probabilities of starting from one, two or three digits."""
FAINT_PROBABILITY = 1 / 8
MOST_COPIES = 4
SMALL_PROBABILITY = 0.8
SMALL_PX = (16, 22)
LARGE_PX = (24, 40)
CANVAS_PX = 192
SCENES = {"train": 4500, "val": 500, "test": 1000}


@dataclass(frozen=True)
class PlacedDigit:
    """A digit in a scene: its label, and its box in pixels from the top left corner."""

    label: str
    left: int
    top: int
    size: int
    faint: bool


def handwriting(split: str) -> tuple[np.ndarray, np.ndarray]:
    """The split's own handwriting: images (N 8 8, from 0 to 1) and the digit in each (N)."""
    from sklearn.datasets import load_digits

    bundled = load_digits()
    part = {"train": (0, 1, 2), "val": (3,), "test": (4,)}[split]
    chosen = np.isin(np.arange(len(bundled.target)) % 5, part)
    return bundled.images[chosen] / 16.0, bundled.target[chosen]


def draw_labels(rng: np.random.Generator) -> set[int]:
    """The digits of one scene, drawn with the co-occurrence that the module describes."""
    roots = rng.choice(10, size=1 + rng.choice(3, p=ROOT_PROBABILITIES), replace=False)
    companions = {COMPANION[root] for root in roots if rng.random() < COMPANION_PROBABILITY}
    return {int(root) for root in roots} | companions


def draw_background(rng: np.random.Generator) -> Image.Image:
    """A dim, tinted canvas with soft patches, and strokes and arcs as distractors."""
    coarse = rng.uniform(10, 90, size=(5, 5, 3)) * 0.4 + rng.uniform(10, 90, size=3) * 0.6
    canvas = Image.fromarray(coarse.astype(np.uint8)).resize(
        (CANVAS_PX, CANVAS_PX), Image.Resampling.BICUBIC
    )
    pen = ImageDraw.Draw(canvas)
    for _ in range(rng.integers(6, 14)):
        x, y = rng.integers(0, CANVAS_PX, size=2).tolist()
        dx, dy = rng.integers(-16, 17, size=2).tolist()
        colour = tuple(rng.integers(60, 220, size=3).tolist())
        if rng.random() < 0.5:
            pen.line((x, y, x + dx, y + dy), fill=colour, width=int(rng.integers(1, 4)))
        else:
            start = int(rng.integers(0, 360))
            box = (x, y, x + abs(dx) + 3, y + abs(dy) + 3)
            pen.arc(
                box,
                start,
                start + int(rng.integers(60, 200)),
                fill=colour,
                width=int(rng.integers(1, 3)),
            )
    return canvas.filter(ImageFilter.GaussianBlur(0.6))


def draw_place(
    rng: np.random.Generator, taken: list[PlacedDigit], label: str, *, faint: bool
) -> PlacedDigit:
    """A free square for a digit: the first of fifty drawn ones that touches no other digit.

    If all of them touch one, it is the last.
    """
    small = rng.random() < SMALL_PROBABILITY
    low, high = SMALL_PX if small else LARGE_PX
    for _ in range(50):
        size = int(rng.integers(low, high + 1))
        left, top = rng.integers(0, CANVAS_PX - size, size=2).tolist()
        place = PlacedDigit(label, left, top, size, faint)
        if all(
            abs(2 * left + size - 2 * other.left - other.size) > size + other.size
            or abs(2 * top + size - 2 * other.top - other.size) > size + other.size
            for other in taken
        ):
            break
    return place


def paint(
    canvas: Image.Image, digit: np.ndarray, place: PlacedDigit, rng: np.random.Generator
) -> None:
    """Paint one 8 x 8 digit into its place, in a bright colour, slightly turned."""
    ink = Image.fromarray((digit * 255).astype(np.uint8)).resize(
        (place.size,) * 2, Image.Resampling.BICUBIC
    )
    ink = ink.rotate(rng.uniform(-12, 12), Image.Resampling.BICUBIC)
    strength = rng.uniform(0.2, 0.3) if place.faint else rng.uniform(0.75, 1.0)
    colour = rng.integers(190, 256, size=3)
    mask = ink.point([int(value * strength) for value in range(256)])
    canvas.paste(tuple(colour.tolist()), (place.left, place.top), mask)


def compose(
    rng: np.random.Generator, images: np.ndarray, digits: np.ndarray
) -> tuple[Image.Image, list[PlacedDigit]]:
    """One scene and the places of its digits."""
    canvas = draw_background(rng)
    places: list[PlacedDigit] = []
    for digit in sorted(draw_labels(rng)):
        faint = bool(rng.random() < FAINT_PROBABILITY)
        for _ in range(rng.integers(1, MOST_COPIES + 1)):
            place = draw_place(rng, places, LABELS[digit], faint=faint)
            paint(canvas, rng.choice(images[digits == digit]), place, rng)
            places.append(place)
    noise = rng.normal(0, 6, size=(CANVAS_PX, CANVAS_PX, 3))
    return Image.fromarray((np.asarray(canvas) + noise).clip(0, 255).astype(np.uint8)), places


def read_digits(root: Path, split: str, labels: Sequence[str] | None = None) -> Split:
    """The scenes of `train`, `val` or `test`; they are drawn into root/split if not there yet.

    scenes.json beside the pictures lists each scene's digits and their boxes.
    Raises DataError for another split, or for `labels` that lack a digit.
    """
    if split not in SCENES:
        raise DataError(
            f"digits: expected split train, val or test, got {split!r}. "
            "Set --data.train, --data.val and --data.test to these."
        )
    names = tuple(labels or LABELS)
    if missing := sorted(set(LABELS) - set(names)):
        raise DataError(
            f"digits: the model does not know the labels {', '.join(missing)}. "
            "Use a model trained on digits."
        )
    folder = root / split
    if not (folder / "scenes.json").is_file():
        write_scenes(folder, split)
    try:
        scenes = json.loads((folder / "scenes.json").read_text(encoding="utf-8"))
        shown_in = {name: {place["label"] for place in scenes[name]} for name in scenes}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise unreadable(str(folder / "scenes.json"), "the digits of each scene", error) from None
    samples = tuple(Sample(folder / name, f"{folder / 'scenes.json'}: {name}") for name in shown_in)
    marks = [dict.fromkeys(shown & set(names), POSITIVE) for shown in shown_in.values()]
    return Split(names, samples, targets_of(marks, names), split)


def draw_digits(root: Path | str, *, train: int, val: int, test: int) -> Data:
    """A small data set of digit scenes, drawn into a folder; its settings, for `Config`.

    The numbers are of pictures, at least 1 each. A split of this size that is there is kept.
    """
    for split, scenes in (("train", train), ("val", val), ("test", test)):
        folder = Path(root, split)
        if not (folder / "scenes.json").is_file() or len(read_digits(Path(root), split)) != scenes:
            write_scenes(folder, split, scenes=scenes)
    return Data(format="digits", root=str(root))


def write_scenes(folder: Path, split: str, *, scenes: int | None = None, seed: int = 0) -> None:
    """Draw a split's scenes into a folder: 000000.jpg and so on, and then scenes.json."""
    count = scenes or SCENES[split]
    images, digits = handwriting(split)
    folder.mkdir(parents=True, exist_ok=True)
    places = {}
    for index in track(range(count), f"Drawing {split} scenes", count):
        rng = np.random.default_rng((seed, list(SCENES).index(split), index))
        scene, digits_shown = compose(rng, images, digits)
        name = f"{index:06d}.jpg"
        scene.save(folder / name, quality=95)
        places[name] = [asdict(place) for place in digits_shown]
    write_text(folder / "scenes.json", json.dumps(places))  # last: it marks the folder as complete
