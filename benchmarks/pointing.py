"""Measures how often the heat map of a digit has its peak on that digit.

Prints a row of docs/log/explanations.md.

    python -m benchmarks.pointing runs/demo

This is the pointing game (Zhang et al. 2016) without a tolerance, on the digits' test scenes, for
each label that is present and predicted. `attention` is where the head looked (`explain`), `heat`
is what `lcnet predict --explain` draws, and `chance` is a random point of the picture.
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch

from lcnet.config import Config
from lcnet.data.decoding import read_image
from lcnet.data.readers.digits import CANVAS_PX, Place, read_digits
from lcnet.data.transforms import Normalize, eval_transform
from lcnet.metrics.calibration import probabilities
from lcnet.model.heat_maps import heat_maps
from lcnet.model_folder import load_model, read_info
from lcnet.predicting.picture_explanation import peak_of

PICTURE = (CANVAS_PX, CANVAS_PX)


def lies_on(point: tuple[int, int], places: Sequence[Place]) -> bool:
    """Whether a point of the scene is inside one of the digits' boxes."""
    x, y = point
    return any(
        place.left <= x < place.left + place.size and place.top <= y < place.top + place.size
        for place in places
    )


def main() -> None:
    """Print the share of peaks on the right digit for one run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="Run folder of a model trained on digits.")
    parser.add_argument("--root", type=Path, help="Folder of the scenes, if it has moved.")
    parser.add_argument("--first", type=int, default=0, help="The first test scene to look at.")
    parser.add_argument("--scenes", type=int, default=300, help="How many to look at.")
    arguments = parser.parse_args()
    info, model = read_info(arguments.run), load_model(arguments.run)
    root = arguments.root or Path(Config.load(arguments.run / "config.yaml").data.root)
    samples = read_digits(root, "test", info.labels).samples
    samples = samples[arguments.first : arguments.first + arguments.scenes]
    drawn = json.loads((root / "test" / "scenes.json").read_text(encoding="utf-8"))
    transform, normalize = eval_transform(info.preprocessing), Normalize(info.preprocessing)
    hits, chance, count = Counter[str](), 0.0, 0
    for sample in samples:
        image = normalize(transform(read_image(sample.path))[None])
        places = [Place(**fields) for fields in drawn[sample.path.name]]
        explained = model.explain(image)
        row = probabilities(explained.logits, info.calibration)[0]
        predicted = (row > torch.tensor(info.thresholds)).tolist()
        true = [k for k, target in enumerate(sample.targets) if target == 1 and predicted[k]]
        if not true:
            continue
        for label, heat in zip(true, heat_maps(model, image, true)[0].numpy(), strict=True):
            own = [place for place in places if place.label == info.labels[label]]
            attention = explained.attention[0, label].numpy()
            hits["attention"] += lies_on(peak_of(attention, PICTURE), own)
            hits["heat"] += lies_on(peak_of(heat, PICTURE), own)
            chance += sum(place.size**2 for place in own) / CANVAS_PX**2
            count += 1
    if not count:
        raise SystemExit(f"{arguments.run}: no true positive in {len(samples)} scenes")
    print(
        f"{info.model.head}, crop level {info.model.crop_level}: heat "
        f"{100 * hits['heat'] / count:.1f} %, attention {100 * hits['attention'] / count:.1f} %, "
        f"chance {100 * chance / count:.1f} % of {count:,} true positives "
        f"in {len(samples):,} scenes"
    )


if __name__ == "__main__":
    main()
