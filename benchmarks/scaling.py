"""The costs of training on several devices: computed from the models, or measured.

    python -m benchmarks.scaling computed     bytes sent, stored and read
    python -m benchmarks.scaling measured     one process against two over gloo, on this machine

`computed` builds the models with random weights, takes one step of the optimizer and saves the
content of a checkpoint; the rest is arithmetic. `measured` trains on noise.
"""

import argparse
import csv
import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image

from benchmarks.models import LABELS, PUBLISHED, fresh
from benchmarks.timing import machine
from lcnet.config import Model

MODELS = {
    "LCNet, ResNet-50": Model(backbone="resnet50", pretrained=False),
    "LCNet, ViT-B/16": Model(backbone="vit_base_patch16_224", pretrained=False),
    "released LCNet, TResNet-L V2": PUBLISHED,
}
DECODE_MS = 4.09
"""Processor time to decode a picture of 640 x 480, from docs/log/speed.md."""
PICTURE_KB = 90
"""The size of such a picture's file, from the same page."""


def checkpoint_bytes(settings: Model) -> tuple[int, int, int]:
    """Bytes of the weights that learn, of the buffers, and of a saved checkpoint."""
    model = fresh(settings).train().requires_grad_(True)
    learned = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(learned)
    for weight in learned:
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    state = model.state_dict()
    averaged = {name: value.clone() for name, value in state.items()}
    stored = io.BytesIO()
    torch.save({"state": state, "averaged": averaged, "optimizer": optimizer.state_dict()}, stored)
    buffers = sum(value.nbytes for value in model.buffers())
    return sum(weight.nbytes for weight in learned), buffers, stored.getbuffer().nbytes


def computed() -> None:
    """Print the tables."""
    print(f"{LABELS} labels, float32\n")
    print(
        "| model | gradients all-reduced a step | sent by each of 8 devices | norm statistics a "
        "step | last.ckpt | a step of 0.25 s needs |\n|---|---|---|---|---|---|"
    )
    for name, settings in MODELS.items():
        learned, buffers, stored = checkpoint_bytes(settings)
        # A ring all-reduce sends 2 (n - 1) / n of the bytes from each of n devices.
        sent = 2 * 7 / 8 * learned
        print(
            f"| {name} | {learned / 1e6:,.0f} MB | {sent / 1e6:,.0f} MB | {buffers / 1e6:,.2f} MB "
            f"| {stored / 1e6:,.0f} MB | {8 * sent / 0.25 / 1e9:,.1f} Gbit/s |",
            flush=True,
        )
    print(
        "\n| pictures a second and device | read a second | cores that decode | of 8 devices |\n"
        "|---|---|---|---|"
    )
    for rate in (50, 100, 200, 400, 800):
        cores = rate * DECODE_MS / 1e3
        print(f"| {rate} | {rate * PICTURE_KB / 1e3:,.1f} MB | {cores:.1f} | {8 * cores:.0f} |")


def draw(root: Path) -> Path:
    """Draw noise into two folders of labels, 256 pictures to train on; returns `root`."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 128), ("val", 8)):
        for label in ("a", "b"):
            (root / split / label).mkdir(parents=True)
            for place in range(count):
                pixels = rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(root / split / label / f"{label}{place}.png")
    return root


def measured() -> None:
    """Train an epoch with one process and with two, twice in turns, and print the seconds."""
    times: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "model": {
                "backbone": "resnet18",
                "pretrained": False,
                "view_size": 64,
                "crop_level": 1,
            },
            "data": {
                "format": "folder",
                "root": str(draw(Path(folder, "data"))),
                "test": "val",
                "workers": 0,
            },
            "train": {"epochs": 2, "timeout_s": 600.0},
        }
        for turn in range(2):
            for devices in times:
                settings["train"] |= {"devices": devices, "batch_size": 32 // devices}
                file, run = Path(folder, "run.yaml"), Path(folder, f"{devices}-{turn}")
                file.write_text(yaml.safe_dump(settings))
                command = [sys.executable, "-m", "lcnet", "train", "--config", str(file)]
                subprocess.run(
                    [*command, "--out", str(run)],
                    check=True,
                    stdout=subprocess.DEVNULL,
                    env={**os.environ, "OMP_NUM_THREADS": "1"},
                )
                with (run / "history.csv").open(newline="") as opened:
                    times[devices].append(float(list(csv.DictReader(opened))[-1]["seconds"]))
    print("| processes, one thread each | seconds of an epoch |\n|---|---|")
    for devices, seconds in times.items():
        print(f"| {devices} | {', '.join(f'{epoch:.1f}' for epoch in seconds)} |")
    print(f"\nratio {min(times[1]) / min(times[2]):.2f}")


def main() -> None:
    """Compute or measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["computed", "measured"])
    given = parser.parse_args()
    print(f"{machine()}\n")
    if given.what == "computed":
        computed()
    else:
        measured()


if __name__ == "__main__":
    main()
