"""Measures how much exported files differ from the model, for docs/log/export.md.

    python -m benchmarks.exporting
    python -m benchmarks.exporting --backbones resnet18 vit_tiny_patch16_224 --heads lcnet

Models have random weights (nothing is downloaded) and 20 labels; pictures are drawn, and go in 1
and 5 at a time. Prints the largest difference between a logit of the loaded file and of the model,
and the spread of the logits over pictures.
"""

import argparse
import tempfile
from pathlib import Path

import torch

from benchmarks.models import HEADS
from lcnet import config
from lcnet.exporting.formats import FORMATS, trace
from lcnet.exporting.proof import drawn_pictures, prove
from lcnet.model.backbone import describe_backbone
from lcnet.model.build import build_model
from lcnet.model_folder import ModelFolder, ModelInfo, load_model
from lcnet.model_folder.exported import describe

LABELS = 20


def differences(folder: Path, settings: config.Model) -> tuple[float, list[float]]:
    """The spread of the model's logits over pictures, and each format's largest difference."""
    torch.manual_seed(0)
    spec = describe_backbone(settings.backbone, settings.view_size)
    prior, shares = torch.rand(LABELS, LABELS), torch.rand(LABELS)
    made = build_model(settings, LABELS, spec=spec, prior=prior, shares=shares)
    for name, weight in made.named_parameters():
        if not weight.any():  # timm starts the last norm of a block at 0
            torch.nn.init.normal_(weight, mean=0.5, std=0.1)
        elif weight.ndim > 1 and not name.startswith("backbone."):
            # Larger than at the start, where logits are nearly the same for all pictures.
            torch.nn.init.normal_(weight, std=2 * weight.shape[-1] ** -0.5)
    names = tuple(f"label {place}" for place in range(LABELS))
    info = ModelInfo(names, settings, spec, (0.5,) * LABELS)
    ModelFolder(folder).save(made.eval(), info)
    model, pictures = load_model(folder), drawn_pictures()
    program = trace(load_model(folder), settings.image_size)
    largest = []
    for form in FORMATS.values():
        files = [folder / f"model{suffix}" for suffix in form.suffixes]
        form.write(program, describe(info), *files)
        scorer, _ = form.load(*files)
        largest.append(prove(model, scorer, pictures, info, quiet=True).largest)
    with torch.inference_mode():
        images = next(pictures.batches(info.preprocessing, (8,)))
        spread = float(model(images).std(dim=0).mean())
    return spread, largest


def main() -> None:
    """Print a row per model: backbone, level, head, spread, and a column per format."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbones", nargs="+", default=["test_resnet", "test_vit"])
    parser.add_argument("--levels", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--heads", nargs="+", default=list(HEADS), choices=HEADS)
    parser.add_argument("--view_size", type=int, default=64)
    arguments = parser.parse_args()
    print(f"| backbone | level | head | spread | {' | '.join(FORMATS)} |")
    print(f"|---|---|---|---|{'---|' * len(FORMATS)}")
    for backbone in arguments.backbones:
        for level in arguments.levels:
            for head in arguments.heads:
                settings = config.Model(
                    backbone=backbone,
                    pretrained=False,
                    crop_level=level,
                    view_size=arguments.view_size,
                    head=head,
                )
                with tempfile.TemporaryDirectory() as folder:
                    spread, largest = differences(Path(folder), settings)
                cells = " | ".join(f"{value:.1e}" for value in largest)
                print(f"| {backbone} | {level} | {head} | {spread:.2f} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
