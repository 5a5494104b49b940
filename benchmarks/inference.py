"""Measures how fast models label pictures, against the plain baseline and each other, in one run.

    python -m benchmarks.inference published     the released model at 896 px, crop level 2
    python -m benchmarks.inference levels        the default LCNet, crop levels 0 to 3
    python -m benchmarks.inference backbones     the default LCNet on other backbones
    python -m benchmarks.inference heads         every head of lcnet compare
    python -m benchmarks.inference exported      the default LCNet against exported files

Prints markdown tables: images per second, time relative to the first row, the time of the decoder,
the change of the probabilities, and the share of the machine's measured matmul peak. Weights are
random.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from benchmarks.models import DEFAULT, LABELS, PUBLISHED, build, family, images_for, usual
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
from lcnet.compute import Precision, best_precision
from lcnet.config import Model
from lcnet.exporting.formats import openvino_from_onnx, trace, write_onnx
from lcnet.exporting.onnx_model import OnnxModel
from lcnet.exporting.openvino_model import compiled as compiled_by_openvino
from lcnet.exporting.quantize import quantize
from lcnet.model.backbone import describe_backbone
from lcnet.model.classifier import Classifier
from lcnet.model.fast import FastClassifier
from lcnet.model_folder import ModelInfo
from lcnet.model_folder.exported import LOGITS, describe


def published(batch: int, rounds: int, *, compiled: bool) -> None:
    """The released model in every form, then the default at the same setting."""
    images = images_for(PUBLISHED, batch)
    released, ours = build(PUBLISHED), build(DEFAULT)
    plain = Plain(released)
    forms: dict[str, Callable[[Tensor], Tensor]] = {
        "plain (views one by one, attention weights, contiguous)": plain,
        "released layout, as loaded": released,
        **fast_forms("released layout, ", released, compiled=compiled),
        **fast_forms("default LCNet, ", ours, compiled=compiled),
    }
    theirs, own = operations_of(released, images), operations_of(ours, images)
    with TemporaryDirectory() as folder:
        for name, settings in {"released layout": PUBLISHED, "default LCNet": DEFAULT}.items():
            forms |= in_runtimes(f"{name}, ", settings, Path(folder) / name)
        flops = {name: own if "default" in name else theirs for name in forms}
        compare(forms, images.contiguous(), rounds, flops)
    with torch.inference_mode():
        maps, our_maps = plain.maps(images), ours.maps(images)
        timed = side_by_side(
            {
                "plain": lambda: plain.score(maps),
                "released layout": lambda: released.score(maps),
                "default LCNet": lambda: ours.score(our_maps),
            },
            rounds,
        )
    print("\n| decoder alone | seconds | ratio |\n|---|---|---|")
    for name, times in timed.items():
        print(f"| {name} | {times.seconds:.3f} | {times.ratio:.2f} |")


def exported(settings: Model, batch: int, rounds: int, *, compiled: bool) -> None:
    """Compare a model in torch with its exported files."""
    images = images_for(settings, batch)
    model = build(settings)
    with TemporaryDirectory() as folder:
        forms: dict[str, Callable[[Tensor], Tensor]] = {
            "plain": Plain(model),
            **fast_forms("", model, compiled=compiled),
            **in_runtimes("", settings, Path(folder) / "exported"),
        }
        flops = operations_of(model, images)
        compare(forms, images.contiguous(), rounds, dict.fromkeys(forms, flops))


def fast_forms(
    name: str, model: Classifier, *, compiled: bool
) -> dict[str, Callable[[Tensor], Tensor]]:
    """The fast forms of a model by name, in both precisions; `name` begins each of them."""
    forms: dict[str, Callable[[Tensor], Tensor]] = {}
    for kind in ("optimized", "compiled") if compiled else ("optimized",):
        is_compiled = kind == "compiled"
        forms[f"{name}{kind}"] = FastClassifier(model, compiled=is_compiled)
        forms[f"{name}{kind}, bf16"] = FastClassifier(model, precision="bf16", compiled=is_compiled)
    return forms


def in_runtimes(name: str, settings: Model, folder: Path) -> dict[str, Callable[[Tensor], Tensor]]:
    """The model that `build` gives, exported to `folder` and loaded by each runtime.

    `name` begins the name of each form. The scales of int8 are from one batch of noise.
    """
    spec = describe_backbone(settings.backbone, settings.view_size)
    info = ModelInfo(tuple(map(str, range(LABELS))), settings, spec, thresholds=(0.5,) * LABELS)
    folder.mkdir()
    file, small = folder / "model.onnx", folder / "model.int8.onnx"
    write_onnx(trace(build(settings), settings.image_size), describe(info), file)
    quantize(file, small, iter([images_for(settings, 2).cpu()]))
    forms: dict[str, Callable[[Tensor], Tensor]] = {}
    for kind, source in {"": file, ", int8": small}.items():
        forms[f"{name}onnxruntime{kind}"] = OnnxModel(source, device=DEVICE.type)
        graph, weights = source.with_suffix(".xml"), source.with_suffix(".bin")
        openvino_from_onnx(source, describe(info), graph, weights)
        forms[f"{name}openvino{kind}"] = in_openvino(graph, weights, "fp32")
        if not kind:
            forms[f"{name}openvino, bf16"] = in_openvino(graph, weights, "bf16")
    return forms


def in_openvino(graph: Path, weights: Path, precision: Precision) -> Callable[[Tensor], Tensor]:
    """The logits of images, by OpenVINO on the CPU."""
    network, _ = compiled_by_openvino(graph, weights, precision)
    return lambda images: torch.from_numpy(network([images.cpu().numpy()])[LOGITS].copy())


def compare(
    forms: dict[str, Callable[[Tensor], Tensor]],
    images: Tensor,
    rounds: int,
    flops: dict[str, int],
) -> None:
    """Print a table of forms of one model on the same images."""
    with torch.inference_mode():
        timed = side_by_side({name: partial(form, images) for name, form in forms.items()}, rounds)
        logits = {name: form(images) for name, form in forms.items()}
    first = next(iter(logits.values()))
    peaks = {kind: matmul_peak(kind) for kind in (torch.float32, torch.bfloat16)}
    print(
        "| form | images/s | time against the first | largest change of a logit, a probability | "
        "share of matmul peak |\n|---|---|---|---|---|"
    )
    for name, times in timed.items():
        kind = torch.bfloat16 if "bf16" in name else torch.float32
        share = flops[name] / times.seconds / peaks[kind]
        change = ""
        if "default" not in name:
            apart = (logits[name] - first).abs().max().item()
            likely = (logits[name].sigmoid() - first.sigmoid()).abs().max().item()
            change = f"{apart:.0e}, {likely:.0e}"
        rate = len(images) / times.seconds
        print(f"| {name} | {rate:.2f} | {times.ratio:.2f} | {change} | {share:.0%} |")


def operations_of(model: Classifier, images: Tensor) -> int:
    """Floating point operations of one pass."""
    with torch.inference_mode():
        return operations(partial(model, images))


def table(settings: dict[str, Model], batch: int, rounds: int) -> None:
    """Print images/s and peak memory of models, each plain, optimized and in bfloat16."""
    print(
        f"| model | GFLOP an image | plain, images/s | optimized | bf16 | peak memory at batch "
        f"{batch}: plain | optimized |\n|---|---|---|---|---|---|---|"
    )
    for name, model_settings in settings.items():
        model, images = build(model_settings), images_for(model_settings, batch)
        with torch.inference_mode():
            timed = side_by_side(
                {
                    "plain": partial(Plain(model), images),
                    "fast": partial(FastClassifier(model), images),
                    "bf16": partial(FastClassifier(model, precision="bf16"), images),
                },
                rounds,
            )
        memory = [peak_memory(prepared, model_settings, batch, fast) for fast in (False, True)]
        work = f"{operations_of(model, images) / batch / 1e9:.1f}"
        print_row(name, work, *rates(timed, batch), *map(gibibytes, memory))


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
    parser.add_argument(
        "--compiled", action="store_true", help="Measure compiled models too; takes minutes."
    )
    parser.add_argument("--view_size", type=int, default=224, help="For all but `published`.")
    arguments = parser.parse_args()
    print(f"{machine()}; fastest arithmetic {best_precision(DEVICE)}\n")
    if arguments.what == "published":
        published(arguments.batch, arguments.rounds, compiled=arguments.compiled)
        return
    if arguments.what == "exported":
        settings = usual(arguments.view_size)
        exported(settings, arguments.batch, arguments.rounds, compiled=arguments.compiled)
        return
    table(family(arguments.what, arguments.view_size), arguments.batch, arguments.rounds)


if __name__ == "__main__":
    main()
