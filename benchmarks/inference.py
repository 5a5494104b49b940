"""How fast models label pictures, against the plain baseline and each other, in one run.

    python -m benchmarks.inference published     the released model at 896 px, crop level 2
    python -m benchmarks.inference levels        the default LCNet, crop levels 0 to 3
    python -m benchmarks.inference backbones     the default LCNet on other backbones
    python -m benchmarks.inference heads         every head of lcnet compare
    python -m benchmarks.inference exported      the default LCNet against its ONNX file

Prints markdown tables: images a second, time as a ratio to the first row, the decoder's share, what
changes in the probabilities, the share of the machine's measured matmul peak. Random weights.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.plain import Plain
from benchmarks.timing import DEVICE, Times, machine, matmul_peak, peak_memory, side_by_side
from lcnet.checkpoint import ModelInfo
from lcnet.config import Model
from lcnet.exporting.exported import describe
from lcnet.exporting.formats import trace, write_onnx
from lcnet.exporting.onnx_model import OnnxModel
from lcnet.model.backbone import describe_backbone
from lcnet.model.build import build_model
from lcnet.model.classifier import Classifier
from lcnet.model.fast import FastClassifier, best_precision
from lcnet.published.settings import released_model

LABELS = 80
PUBLISHED = released_model(
    backbone="TResnetL_V2",
    pretrained=False,
    crop_level=2,
    view_size=448,
    width=680,
    depth=6,
    mlp_width=680,
    share_layers=True,
    graph_width=1024,
)
"""The released model as it was trained on COCO."""
DEFAULT = Model(backbone="TResnetL_V2", pretrained=False, crop_level=2, view_size=448)
"""This project's at the same backbone and sizes."""
BACKBONES = ("resnet50", "resnet101", "vit_small_patch16_224", "swin_tiny_patch4_window7_224")
HEADS = ("lcnet", "gap", "csra", "ml_gcn", "query2label", "ml_decoder")


def fresh(settings: Model) -> Classifier:
    """A model with random weights and a random prior, to train."""
    torch.manual_seed(0)
    prior = torch.rand(LABELS, LABELS).fill_diagonal_(1)
    return build_model(settings, LABELS, prior=prior)


def build(settings: Model) -> Classifier:
    """The same, to label pictures."""
    return fresh(settings).eval().requires_grad_(False).to(DEVICE)


def images_for(settings: Model, batch: int) -> Tensor:
    """Noise in the place of normalised pictures."""
    size = settings.image_size
    return torch.randn(batch, 3, size, size, device=DEVICE)


def published(batch: int, rounds: int, *, compiled: bool) -> None:
    """The released model in every form, then the default at the same setting."""
    images = images_for(PUBLISHED, batch)
    released, ours = build(PUBLISHED), build(DEFAULT)
    plain = Plain(released)
    forms: dict[str, Callable[[Tensor], Tensor]] = {
        "plain (views one by one, attention weights, contiguous)": plain,
        "released layout, as loaded": released,
        "released layout, optimized": FastClassifier(released),
        "released layout, optimized, bf16": FastClassifier(released, precision="bf16"),
        "default LCNet, optimized": FastClassifier(ours),
        "default LCNet, optimized, bf16": FastClassifier(ours, precision="bf16"),
    }
    if compiled:
        forms["released layout, compiled"] = FastClassifier(released, compiled=True)
        forms["released layout, compiled, bf16"] = FastClassifier(
            released, precision="bf16", compiled=True
        )
    theirs, own = operations(released, images), operations(ours, images)
    flops = {name: own if "default" in name else theirs for name in forms}
    compare(forms, images, rounds, flops)
    with torch.inference_mode():
        maps, our_maps = plain.maps(images), ours.maps(images)
        found = side_by_side(
            {
                "plain": lambda: plain.score(maps),
                "released layout": lambda: released.score(maps),
                "default LCNet": lambda: ours.score(our_maps),
            },
            rounds,
        )
    print("\n| decoder alone | seconds | ratio |\n|---|---|---|")
    for name, times in found.items():
        print(f"| {name} | {times.seconds:.3f} | {times.ratio:.2f} |")


def exported(settings: Model, batch: int, rounds: int) -> None:
    """A model in torch and as ONNX in onnxruntime."""
    images = images_for(settings, batch)
    model = build(settings)
    spec = describe_backbone(settings.backbone, settings.view_size)
    labels = tuple(map(str, range(LABELS)))
    info = ModelInfo(labels, settings, spec, thresholds=(0.5,) * LABELS)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        write_onnx(trace(build(settings), settings.image_size), describe(info), file)
        forms: dict[str, Callable[[Tensor], Tensor]] = {
            "plain": Plain(model),
            "optimized": FastClassifier(model),
            "optimized, bf16": FastClassifier(model, precision="bf16"),
            "onnxruntime": OnnxModel(file, device=DEVICE.type),
        }
        flops = operations(model, images)
        compare(forms, images.contiguous(), rounds, dict.fromkeys(forms, flops))


def compare(
    forms: dict[str, Callable[[Tensor], Tensor]],
    images: Tensor,
    rounds: int,
    flops: dict[str, int],
) -> None:
    """Print a table of forms of one model on the same images."""
    with torch.inference_mode():
        found = side_by_side({name: partial(form, images) for name, form in forms.items()}, rounds)
        logits = {name: form(images) for name, form in forms.items()}
    first = next(iter(logits.values()))
    peaks = {kind: matmul_peak(kind) for kind in (torch.float32, torch.bfloat16)}
    print(
        "| form | images/s | time against the first | largest change of a logit, a probability | "
        "share of matmul peak |\n|---|---|---|---|---|"
    )
    for name, times in found.items():
        kind = torch.bfloat16 if "bf16" in name else torch.float32
        share = flops[name] / times.seconds / peaks[kind]
        change = ""
        if "default" not in name:
            apart = (logits[name] - first).abs().max().item()
            likely = (logits[name].sigmoid() - first.sigmoid()).abs().max().item()
            change = f"{apart:.0e}, {likely:.0e}"
        rate = len(images) / times.seconds
        print(f"| {name} | {rate:.2f} | {times.ratio:.2f} | {change} | {share:.0%} |")


def operations(model: Classifier, images: Tensor) -> int:
    """Floating point operations of one pass, multiplications and additions counted apart."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(images)
    return counter.get_total_flops()


def table(settings: dict[str, Model], batch: int, rounds: int) -> None:
    """Print images/s and peak memory of models, each plain, optimized and in bfloat16."""
    print(
        f"| model | GFLOP an image | plain, images/s | optimized | bf16 | peak memory at batch "
        f"{batch}: plain | optimized |\n|---|---|---|---|---|---|---|"
    )
    for name, one in settings.items():
        model, images = build(one), images_for(one, batch)
        with torch.inference_mode():
            found: dict[str, Times] = side_by_side(
                {
                    "plain": partial(Plain(model), images),
                    "fast": partial(FastClassifier(model), images),
                    "bf16": partial(FastClassifier(model, precision="bf16"), images),
                },
                rounds,
            )
        memory = [peak_memory(prepared, one, batch, fast) for fast in (False, True)]
        print(
            f"| {name} | {operations(model, images) / batch / 1e9:.1f} | "
            f"{batch / found['plain'].seconds:.2f} | "
            + " | ".join(
                f"{batch / found[form].seconds:.2f} (x {1 / found[form].ratio:.2f})"
                for form in ("fast", "bf16")
            )
            + "".join(f" | {bytes_ / 2**30:.2f} GiB" for bytes_ in memory)
            + " |",
            flush=True,
        )


def prepared(settings: Model, batch: int, fast: bool) -> Callable[[], object]:
    """A pass of a model, ready to run; for `peak_memory`."""
    model, images = build(settings), images_for(settings, batch)
    form = FastClassifier(model) if fast else Plain(model)

    def run() -> Tensor:
        with torch.inference_mode():
            return form(images)

    del model
    return run


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["published", "levels", "backbones", "heads", "exported"])
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compiled", action="store_true", help="Compile too: minutes.")
    parser.add_argument("--view_size", type=int, default=224, help="For all but `published`.")
    arguments = parser.parse_args()
    print(f"{machine()}; fastest arithmetic {best_precision(DEVICE)}\n")
    if arguments.what == "published":
        published(arguments.batch, arguments.rounds, compiled=arguments.compiled)
        return
    usual = Model(backbone="resnet50", pretrained=False, view_size=arguments.view_size)
    if arguments.what == "exported":
        exported(usual, arguments.batch, arguments.rounds)
        return
    chosen = {
        "levels": {f"crop level {n}": replace(usual, crop_level=n) for n in range(4)},
        "backbones": {name: replace(usual, backbone=name) for name in BACKBONES},
        "heads": {name: replace(usual, head=name) for name in HEADS},
    }[arguments.what]
    table(chosen, arguments.batch, arguments.rounds)


if __name__ == "__main__":
    main()
