"""Measures the time and memory of a training step, against the plain baseline.

    python -m benchmarks.training published     the released model at 896 px, crop level 2
    python -m benchmarks.training levels        the default LCNet, crop levels 0 to 3
    python -m benchmarks.training backbones     the default LCNet on other backbones
    python -m benchmarks.training heads         every head of lcnet compare
    python -m benchmarks.training compiled      the default LCNet as it is and compiled

Prints markdown tables. All steps take the same images, loss and learning rate. The plain step has
the model of benchmarks/plain.py and torch's usual AdamW. Weights are random.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn

from benchmarks.models import LABELS, PUBLISHED, family, fresh, images_for, usual
from benchmarks.plain import Plain
from benchmarks.timing import (
    DEVICE,
    gibibytes,
    machine,
    matmul_peak,
    operations,
    peak_memory,
    print_row,
    rates,
    side_by_side,
)
from lcnet.compute import autocast
from lcnet.config import Model
from lcnet.training.losses import asymmetric_loss
from lcnet.training.objective import compile_parts

FORMS = ("plain", "fp32", "bf16")
"""The plain model, and ours in two precisions."""
COMPILED_FORMS = ("compiled fp32", "compiled bf16")
"""Ours, compiled as by `--train.compile true`."""


def step(settings: Model, batch: int, form: str) -> Callable[[], object]:
    """A training step in one of FORMS or COMPILED_FORMS, ready to run."""
    built = fresh(settings)
    model: nn.Module = (
        Plain(built) if form == "plain" else built.to(memory_format=torch.channels_last)
    )
    model = model.train().to(DEVICE)
    if form in COMPILED_FORMS:
        compile_parts(model)
    options = {"foreach": True} if form == "plain" else {"fused": True}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, **options)
    images = images_for(settings, batch)
    targets = (torch.rand(batch, LABELS, device=DEVICE) < 0.04).to(torch.int8)
    del built

    def run() -> None:
        with autocast(DEVICE, "bf16" if form.endswith("bf16") else "fp32"):
            logits = model(images)
        asymmetric_loss(logits.float(), targets).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return run


def compare(arms: dict[str, tuple[Model, str]], batch: int, rounds: int) -> None:
    """Print time and peak memory of steps, each against the first.

    The share of the matmul peak counts the operations that the step needs if all views are kept;
    what is computed again to save memory does not count.
    """
    timed = side_by_side(
        {name: step(settings, batch, form) for name, (settings, form) in arms.items()}, rounds
    )
    memory = {
        name: peak_memory(step, settings, batch, form) for name, (settings, form) in arms.items()
    }
    first = next(iter(memory.values()))
    peaks = {kind: matmul_peak(kind) for kind in (torch.float32, torch.bfloat16)}
    print(
        "| step | seconds | time against the first | share of matmul peak | peak memory | against "
        "the first |\n|---|---|---|---|---|---|"
    )
    whole = {name: replace(settings, view_chunk=0) for name, (settings, _) in arms.items()}
    needed = {one: operations(step(one, batch, "fp32")) for one in set(whole.values())}
    for name, times in timed.items():
        form = arms[name][1]
        kind = torch.bfloat16 if form.endswith("bf16") else torch.float32
        share = f"{needed[whole[name]] / times.seconds / peaks[kind]:.0%}"
        seconds, ratio = f"{times.seconds:.2f}", f"{times.ratio:.2f}"
        size, of_first = gibibytes(memory[name]), f"{memory[name] / first:.2f}"
        print_row(name, seconds, ratio, share, size, of_first)


def published(batch: int, rounds: int) -> None:
    """The released model."""
    chunked = replace(PUBLISHED, view_chunk=batch)
    compare(
        {
            "plain": (PUBLISHED, "plain"),
            "all views at once": (PUBLISHED, "fp32"),
            "all views at once, bf16": (PUBLISHED, "bf16"),
            "all views at once, compiled": (PUBLISHED, "compiled fp32"),
            "all views at once, compiled, bf16": (PUBLISHED, "compiled bf16"),
            f"{batch} views at a time": (chunked, "fp32"),
            f"{batch} views at a time, bf16": (chunked, "bf16"),
        },
        batch,
        rounds,
    )


def levels(batch: int, rounds: int, view_size: int) -> None:
    """The default LCNet: how memory and time grow with the crop level."""
    models = family("levels", view_size)
    names = [f"crop level {level}" for level in (1, 0, 2, 3)]
    arms = {
        f"{name}, {batch} views at a time": (replace(models[name], view_chunk=batch), "fp32")
        for name in names
    }
    for name in names:
        if name != "crop level 0":
            arms[f"{name}, all views at once"] = (models[name], "fp32")
    compare(arms, batch, rounds)


def compiled(batch: int, rounds: int, view_size: int) -> None:
    """The default LCNet with and without torch.compile; it compiles in the round not counted."""
    compare({form: (usual(view_size), form) for form in FORMS[1:] + COMPILED_FORMS}, batch, rounds)


def table(models: dict[str, Model], batch: int, rounds: int) -> None:
    """Print images/s and peak memory of training models, each plain and in our two precisions."""
    print(
        f"| model | plain, images/s | fp32 | bf16 | peak memory at batch {batch}: plain | fp32 | "
        "bf16 |\n|---|---|---|---|---|---|---|"
    )
    for name, settings in models.items():
        timed = side_by_side({form: step(settings, batch, form) for form in FORMS}, rounds)
        memory = [peak_memory(step, settings, batch, form) for form in FORMS]
        print_row(name, *rates(timed, batch), *map(gibibytes, memory))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["published", "levels", "backbones", "heads", "compiled"])
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--view_size", type=int, default=224, help="For all but `published`.")
    arguments = parser.parse_args()
    print(f"{machine()}\n")
    if arguments.what == "published":
        published(arguments.batch, arguments.rounds)
    elif arguments.what == "levels":
        levels(arguments.batch, arguments.rounds, arguments.view_size)
    elif arguments.what == "compiled":
        compiled(arguments.batch, arguments.rounds, arguments.view_size)
    else:
        table(family(arguments.what, arguments.view_size), arguments.batch, arguments.rounds)


if __name__ == "__main__":
    main()
