"""Measures whether a model learns the same from deep pictures as from those of 8 bits.

    python -m benchmarks.pixel_depth

Draws scenes of digits, and stores them in grey as 8 bits, as 12 bits in 16, as floats from 0 to 1
and as negative integers (like Hounsfield units). Trains the same model on each, which finds the
range by itself, and one of a single channel. Prints the rows of the table: the range, the test mAP,
its difference from 8 bits, and how far the probabilities of `lcnet predict`, `lcnet serve` and the
ONNX file are apart. Exits with 1 if an mAP differs by more than 0.5, or a label by the way it was
asked for.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lcnet import Config, Predictor, evaluate, export, train
from lcnet.config import Data
from lcnet.data.readers.digits import draw_digits
from lcnet.model_folder import read_info
from lcnet.predicting.prediction import Prediction
from lcnet.serving.service import Service
from lcnet.serving.uploads import Limits

SPLITS = ("train", "val", "test")
ASKED = 40
"""Test pictures that every way is asked about."""
MOST_APART = 0.5
"""Points of mAP."""
MOST_ROUNDING = 1e-4
"""Largest difference of a probability between the ways to ask."""


@dataclass(frozen=True)
class Depth:
    """One way to store a grey picture."""

    name: str
    suffix: str
    stored: Callable[[NDArray[np.uint8]], Image.Image]
    channels: int = 3


DEPTHS = (
    Depth("8 bits", "png", Image.fromarray),
    Depth("12 bits in 16", "png", lambda grey: Image.fromarray(grey.astype(np.uint16) * 16)),
    Depth("floats from 0 to 1", "tif", lambda grey: Image.fromarray(np.float32(grey / 255))),
    Depth("integers from -1024", "tif", lambda grey: Image.fromarray(np.int32(grey) * 8 - 1024)),
    Depth(
        "12 bits, one channel", "png", lambda grey: Image.fromarray(grey.astype(np.uint16) * 16), 1
    ),
)


def store(drawn: Path, root: Path, depth: Depth) -> Data:
    """The drawn scenes, stored in another way; the settings of that data set."""
    for split in SPLITS:
        (root / split).mkdir(parents=True)
        scenes = json.loads((drawn / split / "scenes.json").read_text())
        renamed = {}
        for name, places in scenes.items():
            with Image.open(drawn / split / name) as image:
                grey = np.asarray(image.convert("L"))
            file = root / split / f"{Path(name).stem}.{depth.suffix}"
            depth.stored(grey).save(file)
            renamed[file.name] = places
        (root / split / "scenes.json").write_text(json.dumps(renamed))
    return Data(format="digits", root=str(root))


def apart(ways: Sequence[Sequence[Prediction]]) -> tuple[float, int]:
    """The largest difference of a probability from the first way, and how many labels differ."""
    most, differing = 0.0, 0
    for way in ways[1:]:
        for one, other in zip(ways[0], way, strict=True):
            if one.probabilities is None or other.probabilities is None:
                raise SystemExit(one.error or other.error)
            for label, value in one.probabilities.items():
                most = max(most, abs(value - other.probabilities[label]))
            differing += len(set(one.labels) ^ set(other.labels))
    return most, differing


def asked(run: Path, files: Sequence[Path]) -> list[list[Prediction]]:
    """What predict, the ONNX file and the server say of the pictures."""
    predictor = Predictor(run)
    onnx = Predictor(export(run, pictures=str(files[0])))
    service = Service(predictor, Limits(megabytes=20.0, pixels=10**6, waiting=8))
    served = [service.submit(file.read_bytes(), str(file)).result().prediction for file in files]
    return [predictor(files), onnx(files), served]


def main() -> None:
    """Draw, train on each depth and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, default=Path("configs/digits.yaml"))
    parser.add_argument("--scenes", type=int, default=4500, help="training scenes")
    parser.add_argument("--epochs", type=int, default=6)
    arguments = parser.parse_args()
    config = Config.load(arguments.config)
    failed, first = False, 0.0
    print("| stored as | range | test mAP | from 8 bits | ways apart | labels apart |")
    print("|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        drawn = Path(folder) / "drawn"
        draw_digits(drawn, train=arguments.scenes, val=300, test=600)
        for number, depth in enumerate(DEPTHS):
            data = store(drawn, Path(folder) / f"data{number}", depth)
            settings = replace(
                config,
                data=data,
                model=replace(config.model, channels=depth.channels),
                train=replace(config.train, epochs=arguments.epochs),
            )
            run = train(settings, Path(folder) / f"run{number}").path
            files = sorted((Path(data.root) / "test").glob(f"*.{depth.suffix}"))[:ASKED]
            most, labels = apart(asked(run, files))
            score = evaluate(run, quiet=True).mAP
            first = first or score
            found = read_info(run).pixel_range
            shown = "0 to 255" if found is None else f"{found[0]:g} to {found[1]:g}"
            row = (
                depth.name,
                shown,
                f"{score:.2f}",
                f"{score - first:+.2f}",
                f"{most:.1e}",
                labels,
            )
            print("|", " | ".join(map(str, row)), "|", flush=True)
            failed |= abs(score - first) > MOST_APART or labels > 0 or most > MOST_ROUNDING
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
