"""What looking at needed views alone saves and costs: mAP on the test split, and images a second.

    python -m benchmarks.needed_views RUN... --pictures 128 --batch_size 32
    python -m benchmarks.needed_views RUN... --curves true

A RUN is one of `lcnet calibrate RUN --views needed`. Speeds are of one thread, in torch's fastest
form and in the exported ONNX file, each with all views and with needed ones in turns; the median of
the rounds counts. `--curves` tells instead what the same number of tiles gives if they are chosen
by what they change (an oracle, which looks at all of them first), by the model, and at random.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor

from lcnet.data.dataset import evenly
from lcnet.data.loading import eval_loader
from lcnet.data.pictures import eval_pictures
from lcnet.data.readers import load_split_for
from lcnet.data.transforms import Normalize
from lcnet.evaluating.fitting_views import Rung, Seen, changes, ladder, look
from lcnet.evaluating.measuring import data_set, measure
from lcnet.exporting.formats import Scorer, load_onnx, trace, write_onnx
from lcnet.freed_memory import keep_freed_memory
from lcnet.model.classifier import Classifier
from lcnet.model.fast import FastClassifier
from lcnet.model_folder import load_model, read_info
from lcnet.model_folder.exported import describe

ROUNDS = 5


def main() -> None:
    """Print a row for each run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--pictures", type=int, default=128)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--curves", type=lambda text: text == "true", default=False)
    given = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    for run in given.runs:
        if given.curves:
            print_curves(run)
        else:
            print_gain(run, given.pictures, given.batch_size)


# mAP and images a second


def print_gain(run: Path, pictures: int, batch_size: int) -> None:
    """Print the mAP and the images a second with all views and with needed ones."""
    every = measure(run, all_views=True, use_cache=True, quiet=True)
    needed = measure(run, use_cache=True, quiet=True)
    before, after = every.verification.mAP, needed.verification.mAP
    print(f"{run}: mAP {before:.2f} with all, {after:.2f} with needed ({after - before:+.2f})")
    batches = list(images_of(run, pictures, batch_size))
    with tempfile.TemporaryDirectory() as folder:
        for name, forms in {"torch": torch_forms(run), "ONNX": onnx_forms(run, folder)}.items():
            rates = in_turns(forms, batches)
            ratios = [new / old for old, new in zip(*rates, strict=True)]
            print(
                f"  {name}: {median(rates[0]):.1f} images/s with all, {median(rates[1]):.1f} with "
                f"needed, {median(ratios):.2f} times ({min(ratios):.2f} to {max(ratios):.2f})",
                flush=True,
            )
            if name == "torch":
                print(f"  {forms[1].views_taken}")  # type: ignore[attr-defined]


def images_of(run: Path, pictures: int, batch_size: int) -> Iterator[Tensor]:
    """Batches of normalised pictures, spread over the test split."""
    info, (data, _) = read_info(run), data_set(run, None, "")
    samples = load_split_for(data, data.test, info.labels)
    some = samples.chosen(evenly(len(samples), pictures))
    loader = eval_loader(
        eval_pictures(some, data, info.preprocessing, quiet=True), batch_size=batch_size, workers=0
    )
    normalize = Normalize(info.preprocessing)
    for images, _ in loader:
        yield normalize(images).contiguous()


def both(run: Path) -> tuple[Classifier, Classifier]:
    """The model with all views, and with needed ones."""
    every, needed = load_model(run), load_model(run)
    every.needed = None
    return every, needed


def torch_forms(run: Path) -> list[Scorer]:
    """Their fastest forms in torch."""
    return [FastClassifier(model) for model in both(run)]


def onnx_forms(run: Path, folder: str) -> list[Scorer]:
    """Their ONNX files in onnxruntime."""
    info, forms = read_info(run), []
    for number, model in enumerate(both(run)):
        file = Path(folder, f"{number}.onnx")
        write_onnx(trace(model, info.preprocessing.size, info.model.channels), describe(info), file)
        forms.append(load_onnx(file)[0])
    return forms


def in_turns(forms: list[Scorer], batches: list[Tensor]) -> list[list[float]]:
    """Images a second of each form, in each round."""
    rates: list[list[float]] = [[] for _ in forms]
    for number in range(ROUNDS + 1):
        for form, found in zip(forms, rates, strict=True):
            seconds = timed(lambda form=form: [form(batch) for batch in batches])
            if number:
                found.append(sum(map(len, batches)) / seconds)
    return rates


def timed(work: Callable[[], object]) -> float:
    """Seconds that it takes."""
    started = time.perf_counter()
    with torch.inference_mode():
        work()
    return time.perf_counter() - started


# Curves


def print_curves(run: Path) -> None:
    """Print the mAP against views for three ways to choose tiles, on the test split."""
    info, (data, batch_size) = read_info(run), data_set(run, None, "")
    model, needed = load_model(run), load_model(run).needed
    model.needed = None
    samples = load_split_for(data, data.test, info.labels)
    seen = look(run, model, info, samples, data, batch_size, quiet=True)
    assert needed is not None
    change = changes(seen)
    drawn = torch.rand(change.shape, generator=torch.Generator().manual_seed(0))
    ways = {
        "oracle": change.log(),
        "model": needed.need(seen.statistics),
        "random": drawn,
    }
    rungs = {name: curve(model, seen, need) for name, need in ways.items()}
    print(f"{run}, mAP against all {model.crops.views} views")
    print("| views a picture | " + " | ".join(ways) + " |")
    print("|---|" + "---|" * len(ways))
    for of_rung in zip(*rungs.values(), strict=True):
        losses = " | ".join(f"{-rung.measured:+.2f}" for rung in of_rung)
        print(f"| {of_rung[0].views:.2f} | {losses} |", flush=True)


def curve(model: Classifier, seen: Seen, need: Tensor) -> list[Rung]:
    """The ladder of tiles that are chosen so."""
    return ladder(model, seen, (need - need.mean()) / need.std())


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
