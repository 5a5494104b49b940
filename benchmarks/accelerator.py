"""Measures predicting and training on an accelerator, in one run of at most ten minutes.

    python -m benchmarks.accelerator --out table.md

For the default LCNet at crop levels 0 to 3: images per second, milliseconds, peak memory and the
share of the measured matmul peak by batch, arithmetic (float32, bfloat16), and form: as it is,
compiled, and with CUDA graphs (`torch.compile(mode="reduce-overhead")`). Then the loader's share:
how long the model waits for pictures from the disk. Writes markdown tables. A cell that was not
reached in time, or does not fit into memory, says so. `--tiny true` tries the script on the CPU.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.inference import operations_of
from benchmarks.loading import photo
from benchmarks.models import LABELS, build, fresh, images_for
from benchmarks.timing import DEVICE, gibibytes, machine, matmul_peak
from lcnet.compute import HALVES, Precision, autocast, best_precision
from lcnet.config import Model
from lcnet.data.dataset import ImageLabels, Sample, Split
from lcnet.data.loading import available_cores, eval_loader
from lcnet.data.transforms import Normalize, Preprocessing, eval_transform
from lcnet.model.classifier import Classifier
from lcnet.model.fast import FastClassifier
from lcnet.training.losses import asymmetric_loss

Work = Callable[[], object]
"""What is timed."""
FORMS = ("as it is", "compiled", "CUDA graphs")
"""The forms of a network: eager, torch.compile, and torch.compile with the launches recorded."""
PASSES = 5
"""Passes that are timed, after those that warm up."""
WARM_UP = 3
"""CUDA graphs are recorded in the second pass and replayed from the third on."""


@dataclass(frozen=True)
class Sizes:
    """What is measured."""

    model: Model
    levels: tuple[int, ...]
    batches: tuple[int, ...]
    train_batches: tuple[int, ...]
    forms: tuple[str, ...]
    peak: int
    """Side of the matrices whose product gives the peak."""
    pictures: int
    """JPEGs for the loader's share."""


FULL = Sizes(
    Model(backbone="resnet50", pretrained=False, view_size=224),
    levels=(0, 1, 2, 3),
    batches=(1, 8, 32, 128),
    train_batches=(8, 32),
    forms=FORMS,
    peak=8192,
    pictures=512,
)
TINY = Sizes(
    Model(backbone="test_resnet", pretrained=False, view_size=32, width=24, mlp_width=32),
    levels=(0, 1),
    batches=(1, 2),
    train_batches=(2,),
    forms=("as it is",),
    peak=128,
    pictures=8,
)


@dataclass(frozen=True)
class Measured:
    """One cell's measurement."""

    seconds: float
    """Of a pass, the median."""
    memory: int
    """Bytes that torch allocated at the highest; 0 where that is not known."""


@dataclass(frozen=True)
class Deadline:
    """When the run must be over."""

    at: float

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() > self.at


def timed(work: Work, deadline: Deadline) -> Measured:
    """Warm up, then time some passes; fewer if the time is up."""
    on_cuda = DEVICE.type == "cuda"
    if on_cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    for _ in range(WARM_UP):
        work()
    seconds = []
    for _ in range(PASSES):
        _wait()
        started = time.perf_counter()
        work()
        _wait()
        seconds.append(time.perf_counter() - started)
        if deadline.is_over:
            break
    memory = torch.cuda.max_memory_allocated() if on_cuda else 0
    return Measured(statistics.median(seconds), memory)


def attempt(make: Callable[[], Work], deadline: Deadline) -> Measured | str:
    """What was measured, or why nothing was."""
    if deadline.is_over:
        return "not in time"
    try:
        return timed(make(), deadline)
    except torch.cuda.OutOfMemoryError:
        return "too large"
    except Exception as error:  # compilers raise a dozen types
        return f"failed: {type(error).__name__}"
    finally:
        torch.compiler.reset()


def predicting(
    settings: Model, batch: int, precision: Precision, form: str
) -> Callable[[], object]:
    """A pass of the fast form of a model, as `lcnet predict` runs it."""
    fast = FastClassifier(build(settings), precision=precision, compiled=form == "compiled")
    images = images_for(settings, batch).contiguous(memory_format=torch.channels_last)
    if form != "CUDA graphs":
        return lambda: _checked(fast(images), fast)
    recorded = torch.compile(fast.model, mode="reduce-overhead", dynamic=False)

    def run() -> Tensor:
        with torch.inference_mode(), autocast(DEVICE, precision):
            torch.compiler.cudagraph_mark_step_begin()
            return recorded(images)

    return run


def _checked(logits: Tensor, fast: FastClassifier) -> Tensor:
    """The logits. Raises RuntimeError if the model was not compiled, which is no measurement."""
    if fast.failure:
        raise RuntimeError(fast.failure)
    return logits


def training(settings: Model, batch: int, precision: Precision, form: str) -> Work:
    """A step of training, as `lcnet train` makes it."""
    model: nn.Module = fresh(settings).to(DEVICE, memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    images = images_for(settings, batch).contiguous(memory_format=torch.channels_last)
    targets = (torch.rand(batch, LABELS, device=DEVICE) < 0.04).to(torch.int8)
    modes = {"compiled": None, "CUDA graphs": "reduce-overhead"}
    forward = torch.compile(model, mode=modes[form], dynamic=False) if form in modes else model

    def run() -> None:
        with autocast(DEVICE, precision):
            if form == "CUDA graphs":
                torch.compiler.cudagraph_mark_step_begin()
            logits = forward(images)
        asymmetric_loss(logits.float(), targets).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return run


Maker = Callable[[Model, int, Precision, str], Work]
"""Builds what one cell times."""


def table(
    title: str, make: Maker, sizes: Sizes, batches: tuple[int, ...], work: int, deadline: Deadline
) -> Iterator[str]:
    """The lines of a table; `work` is how many passes forward a step costs."""
    yield f"## {title}\n"
    yield "| crop level | batch | arithmetic | form | images/s | ms | peak memory | of the peak |"
    yield "|---|---|---|---|---|---|---|---|"
    precisions: list[Precision] = ["fp32"]
    if best_precision(DEVICE) == "bf16":
        precisions.append("bf16")
    peaks = {each: matmul_peak(HALVES[each] or torch.float32, sizes.peak) for each in precisions}
    for form in sizes.forms:  # compiling takes minutes, so it comes last
        for level in sizes.levels:
            settings = replace(sizes.model, crop_level=level)
            flops = _flops(build(settings), settings)
            for batch in batches:
                for precision in precisions:
                    made = partial(make, settings, batch, precision, form)
                    found = attempt(made, deadline)
                    share = work * flops * batch / peaks[precision]
                    cells = _cells(found, batch, share)
                    yield f"| {level} | {batch} | {precision} | {form} | {' | '.join(cells)} |"
    yield ""


def _flops(model: Classifier, settings: Model) -> int:
    return operations_of(model, images_for(settings, 1))


def _cells(found: Measured | str, batch: int, seconds_at_peak: float) -> list[str]:
    if isinstance(found, str):
        return [found, "", "", ""]
    memory = gibibytes(found.memory) if found.memory else ""
    return [
        f"{batch / found.seconds:.1f}",
        f"{1000 * found.seconds:.1f}",
        memory,
        f"{seconds_at_peak / found.seconds:.0%}",
    ]


def loading(sizes: Sizes, folder: Path, deadline: Deadline) -> Iterator[str]:
    """The lines of the table on reading pictures: alone, and in front of the model."""
    settings = replace(sizes.model, crop_level=sizes.levels[-1])
    size, batch = settings.image_size, sizes.batches[-1]
    expected = Preprocessing(size, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "bilinear")
    files = [Sample(folder / f"{index}.jpg") for index in range(sizes.pictures)]
    for index, sample in enumerate(files):
        if index < 16:
            photo(640, 480, index).save(sample.path, quality=90)
        else:
            sample.path.write_bytes(files[index % 16].path.read_bytes())
    data = ImageLabels(
        Split((), tuple(files), np.empty((len(files), 0), np.int8)), eval_transform(expected)
    )
    normalize = Normalize(expected).to(DEVICE)
    fast = FastClassifier(build(settings), precision=best_precision(DEVICE))
    yield f"## The loader's share\n\nJPEGs of 640 x 480 to {size} px, batches of {batch}.\n"
    yield "| loader processes | read alone, images/s | read and predicted | of the time waiting |"
    yield "|---|---|---|---|"
    for workers in sorted({0, max(1, available_cores() // 2), max(1, available_cores() - 1)}):
        if deadline.is_over:
            yield f"| {workers} | not in time | | |"
            continue
        loader = eval_loader(data, batch_size=batch, workers=workers)
        started = time.perf_counter()
        for _ in loader:
            pass
        alone = time.perf_counter() - started
        whole, waited = _through(loader, lambda images: fast(normalize(images)))
        rates = f"{len(files) / alone:.1f} | {len(files) / whole:.1f}"
        yield f"| {workers} | {rates} | {waited / whole:.0%} |"
    yield ""


def _through(
    loader: "torch.utils.data.DataLoader[tuple[Tensor, Tensor]]", work: Callable[[Tensor], Tensor]
) -> tuple[float, float]:
    """The seconds of all batches, and those of them in which the model waited."""
    begun, waited, batches = time.perf_counter(), 0.0, iter(loader)
    while True:
        started = time.perf_counter()
        images = next(batches, None)
        waited += time.perf_counter() - started
        if images is None:
            return time.perf_counter() - begun, waited
        work(images[0])
        _wait()  # or the wait for the accelerator would count as one for pictures


def _wait() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def report(sizes: Sizes, seconds: float) -> Iterator[str]:
    """All lines, as they are measured. The three parts share the time."""
    begun = time.monotonic()
    with TemporaryDirectory() as folder:
        yield f"{machine()}; {sizes.model.backbone}, views of {sizes.model.view_size} px\n"
        yield from loading(sizes, Path(folder), Deadline(begun + 0.15 * seconds))
        until = Deadline(begun + 0.6 * seconds)
        yield from table("Predicting", predicting, sizes, sizes.batches, 1, until)
        # Backwards costs twice as much as forwards.
        until = Deadline(begun + seconds)
        yield from table("Training", training, sizes, sizes.train_batches, 3, until)


def main() -> None:
    """Measure, print each line at once, and write all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="Markdown file to write too.")
    parser.add_argument("--seconds", type=float, default=540.0, help="Time for all of it.")
    parser.add_argument("--tiny", choices=("true", "false"), default="false")
    arguments = parser.parse_args()
    if DEVICE.type == "cpu" and arguments.tiny == "false":
        parser.error("no accelerator here; --tiny true tries the script on the CPU")
    lines = []
    for line in report(TINY if arguments.tiny == "true" else FULL, arguments.seconds):
        print(line, flush=True)
        lines.append(line)
        if arguments.out is not None:  # at once: a run that is cut off leaves what it has
            arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
