"""Measures how many JPEGs a second are labelled from the disk, by lcnet and by others.

    python -m benchmarks.end_to_end --backbone resnet50

Draws photo-like JPEGs of 640 x 480 and labels all of them in turns: by `lcnet predict`, by a plain
script of timm and torch (its own transform, DataLoader, eager float32), by fastai's learner and by
transformers' pipeline, those that are installed. All have the same backbone with random weights, a
linear layer on its pooled features, and batches of 32. Building and loading the models is not
counted. lcnet is measured with `--runtime auto`, which measures once beforehand, and with torch.

Prints a markdown table: images per second by the clock, the ratio to lcnet's first row (the median
over rounds), and processor time, which other work on the machine changes less.
"""

import argparse
import os
import resource
import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from benchmarks.loading import photo
from benchmarks.timing import machine
from lcnet.config import Model
from lcnet.data.loading import available_cores
from lcnet.data.sources import PictureSources
from lcnet.freed_memory import keep_freed_memory
from lcnet.model.backbone import describe_backbone
from lcnet.model.build import build_model
from lcnet.model_folder import ModelFolder, ModelInfo
from lcnet.predicting.predictor import Predictor
from lcnet.predicting.row_formats import to_json_line
from lcnet.predicting.runtime_choice import measured_runtime

LABELS, BATCH = 20, 32
Arm = Callable[[], object]
"""Labels all pictures."""


def ours(folder: Path, files: list[Path], backbone: str, size: int, *, auto: bool) -> Arm:
    """Lcnet's predictor and its JSON lines, as `lcnet predict` writes them."""
    model = folder / "model"
    if not model.exists():
        settings = Model(
            backbone=backbone, pretrained=False, crop_level=0, view_size=size, head="gap"
        )
        spec = describe_backbone(backbone, size)
        built = build_model(settings, LABELS, spec=spec)
        labels = tuple(f"label{number}" for number in range(LABELS))
        ModelFolder(model).save(built.eval(), ModelInfo(labels, settings, spec, (0.5,) * LABELS))
    sources = PictureSources([str(file) for file in files])
    if auto:
        measured_runtime(model, "measure", lambda: iter(sources), len(files), BATCH)
    predictor = Predictor(
        model, batch_size=BATCH, workers=-1, precision="auto", runtime="auto" if auto else "torch"
    )
    print(f"lcnet: {predictor.how}", flush=True)

    def run() -> None:
        lines = StringIO()
        for prediction in predictor.stream(files):
            lines.write(to_json_line(prediction))

    return run


class Files(torch.utils.data.Dataset[torch.Tensor]):
    """Pictures by Pillow and timm's transform."""

    def __init__(self, files: list[Path], transform: Callable[[Any], torch.Tensor]) -> None:
        self.files, self.transform = files, transform

    def __len__(self) -> int:
        """The number of files."""
        return len(self.files)

    def __getitem__(self, index: int) -> torch.Tensor:
        """A picture as the model takes it."""
        from PIL import Image

        return self.transform(Image.open(self.files[index]).convert("RGB"))


def plain(files: list[Path], backbone: str, size: int, workers: int) -> Arm:
    """A script as tutorials have it."""
    import timm
    from timm.data import create_transform, resolve_data_config

    model = timm.create_model(backbone, pretrained=False, num_classes=LABELS).eval()
    config = resolve_data_config({"input_size": (3, size, size)}, model=model)
    data = Files(files, create_transform(**config))

    def run() -> None:
        loader = torch.utils.data.DataLoader(data, BATCH, num_workers=workers)
        with torch.inference_mode():
            torch.cat([model(images).sigmoid() for images in loader])

    return run


def fastai(files: list[Path], backbone: str, size: int, workers: int) -> Arm:
    """A learner's get_preds, with loader processes."""
    import timm
    from fastai.vision.all import DataBlock, ImageBlock, Learner, MultiCategoryBlock, Resize

    vocabulary = [f"label{number}" for number in range(LABELS)]
    block = DataBlock(
        blocks=(ImageBlock, MultiCategoryBlock(vocab=vocabulary)),
        get_y=lambda file: [vocabulary[0]],
        item_tfms=Resize(size),
    )
    loaders = block.dataloaders(files, bs=BATCH, num_workers=workers, verbose=False)
    model = timm.create_model(backbone, pretrained=False, num_classes=LABELS)
    learner = Learner(loaders, model, loss_func=nn.BCEWithLogitsLoss())
    learner.remove_cbs([each for each in learner.cbs if "Progress" in type(each).__name__])
    test = learner.dls.test_dl(files, bs=BATCH, num_workers=workers)
    return lambda: learner.get_preds(dl=test)


def transformers(files: list[Path], backbone: str, size: int) -> Arm:
    """An image-classification pipeline."""
    import timm
    from timm.data import resolve_data_config
    from transformers import (
        TimmWrapperConfig,
        TimmWrapperForImageClassification,
        TimmWrapperImageProcessor,
        pipeline,
    )

    made = timm.create_model(backbone, pretrained=False)
    described = resolve_data_config({"input_size": (3, size, size)}, model=made)
    config = TimmWrapperConfig(architecture=backbone, num_labels=LABELS)
    model = TimmWrapperForImageClassification(config).eval()
    processor = TimmWrapperImageProcessor(pretrained_cfg=described, architecture=backbone)
    label = pipeline("image-classification", model=model, image_processor=processor, device="cpu")
    names = [str(file) for file in files]
    return lambda: label(names, batch_size=BATCH, top_k=LABELS, function_to_apply="sigmoid")


def measure(arms: dict[str, Arm], rounds: int, pictures: int) -> None:
    """Print the table: all take turns, after a round that does not count."""
    clock: dict[str, list[float]] = {name: [] for name in arms}
    processor: dict[str, list[float]] = {name: [] for name in arms}
    for number in range(rounds + 1):
        for name, work in arms.items():
            started, used = time.perf_counter(), processor_seconds()
            work()
            if number:
                clock[name].append(time.perf_counter() - started)
                processor[name].append(processor_seconds() - used)
    first, first_used = clock[next(iter(arms))], processor[next(iter(arms))]
    print(
        "\n| by | images/s | lcnet is as many times as fast | ms of processor time a picture | as "
        "many times |\n|---|---|---|---|---|"
    )
    for name in arms:
        rate = pictures / statistics.median(clock[name])
        used = 1000 * statistics.median(processor[name]) / pictures
        times, times_used = (
            statistics.median(own / base for own, base in zip(mine, theirs, strict=True))
            for mine, theirs in ((clock[name], first), (processor[name], first_used))
        )
        print(f"| {name} | {rate:.1f} | {times:.2f} | {used:.1f} | {times_used:.2f} |", flush=True)


def processor_seconds() -> float:
    """Processor time of this process, and of the loader processes that have ended."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def main() -> None:
    """Draw, build and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--drawn", type=int, default=100, help="Different pictures among them.")
    parser.add_argument("--stored", default="640x480", metavar="WxH")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    keep_freed_memory()
    size, backbone, cores = arguments.size, arguments.backbone, available_cores()
    with TemporaryDirectory() as folder:
        os.environ.setdefault("LCNET_CACHE", str(Path(folder) / "cache"))
        files = draw(Path(folder), arguments.pictures, arguments.drawn, arguments.stored)
        print(f"{machine()}; {len(files)} JPEGs of {arguments.stored}, {backbone} at {size} px")
        arms = {
            "lcnet predict": ours(Path(folder), files, backbone, size, auto=True),
            "lcnet predict --runtime torch": ours(Path(folder), files, backbone, size, auto=False),
        }
        for workers in (0, cores):
            name = f"timm and torch, {workers} loader processes"
            arms[name] = plain(files, backbone, size, workers)
        if find_spec("fastai"):
            arms["fastai"] = fastai(files, backbone, size, cores)
        if find_spec("transformers"):
            arms["transformers"] = transformers(files, backbone, size)
        measure(arms, arguments.rounds, len(files))


def draw(folder: Path, pictures: int, drawn: int, stored: str) -> list[Path]:
    """JPEGs of one size; those after the first `drawn` are copies."""
    width, height = map(int, stored.split("x"))
    files = [folder / f"{index}.jpg" for index in range(pictures)]
    for index, file in enumerate(files):
        if index < drawn:
            photo(width, height, index).save(file, quality=90)
        else:
            file.write_bytes(files[index % drawn].read_bytes())
    return files


if __name__ == "__main__":
    main()
