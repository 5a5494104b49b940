"""Measures training, prediction and export against the number of labels, each in a process alone.

    python -m benchmarks.many_labels [--labels 10 80 1000 10000] [--folder FOLDER] [flags of train]

Trains a ResNet-18 with random weights for two epochs on 40 pictures of noise, in batches of 8, and
measures the whole process: its largest memory beside what the estimate said before, and the second
epoch. Then it predicts one picture, exports to ONNX, and measures files and pages. Every label is
present in one or two pictures. Flags such as `--model.read scores` go to the training.
"""

import argparse
import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors import safe_open

from benchmarks.timing import gibibytes, print_row

PICTURES, SIDE = 40, 64
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


@dataclass(frozen=True)
class Ran:
    """What a process took and said."""

    seconds: float
    peak: int
    """Its largest memory in bytes."""
    said: str


def ran(*command: str, allowed: tuple[int, ...] = (0,)) -> Ran:
    """Run a command to its end; it may end with these codes."""
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, text=True)
        _, status, used = os.wait4(process.pid, 0)
        said.seek(0)
        text = said.read()
    if os.waitstatus_to_exitcode(status) not in allowed:
        raise SystemExit(f"{' '.join(command)}\n{text}")
    return Ran(time.perf_counter() - start, used.ru_maxrss * 1024, text)


def draw(root: Path, labels: int) -> Path:
    """A table of pictures of noise for training and validation, with the names of their labels."""
    rng = np.random.default_rng(0)
    root.mkdir(parents=True)
    for split in ("train", "val"):
        shown: list[list[int]] = [[] for _ in range(PICTURES)]
        for label in range(labels):
            for picture in rng.choice(PICTURES, size=2, replace=False):
                shown[picture].append(label)
        rows = [["image", "labels"]]
        for number, present in enumerate(shown):
            name = f"{split}{number}.png"
            pixels = rng.integers(0, 256, size=(SIDE, SIDE, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name)
            rows.append([name, "|".join(f"label {label}" for label in present)])
        with (root / f"{split}.csv").open("w", newline="") as opened:
            csv.writer(opened).writerows(rows)
    return root


def train(data: Path, run: Path, flags: list[str]) -> Ran:
    """Train for two epochs."""
    settings = {
        "model.backbone": "resnet18",
        "model.pretrained": "false",
        "model.view_size": str(SIDE),
        "train.epochs": "2",
        "train.batch_size": "8",
        "data.workers": "0",
    }
    given = [f"--{name}={value}" for name, value in settings.items()]
    return ran(sys.executable, "-m", "lcnet", "train", str(data), "--out", str(run), *given, *flags)


def weight_bytes(run: Path) -> int:
    """Bytes of the weights, without the counts of pairs of labels that lie beside them."""
    size = 0
    with safe_open(run / "model" / "model.safetensors", "numpy") as opened:
        for name in opened.keys():  # noqa: SIM118 -- it is no mapping
            if not name.startswith("statistics."):
                size += opened.get_tensor(name).nbytes
    return size


def page_seconds(page: Path) -> float | None:
    """How long a browser takes to start, lay the page out and end; None without a browser."""
    if BROWSER is None:
        return None
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--dump-dom")
    with tempfile.TemporaryDirectory() as profile:
        return ran(BROWSER, *flags, f"--user-data-dir={profile}", page.resolve().as_uri()).seconds


def in_bytes(text: str) -> float:
    """The memory that the line of the estimate names."""
    found = re.search(r"memory: about ([\d.]+) (MiB|GiB)", text)
    assert found, text
    return float(found[1]) * {"MiB": 2**20, "GiB": 2**30}[found[2]]


def measure(labels: int, folder: Path, flags: list[str]) -> None:
    """Print a row of the table."""
    data, run = draw(folder / f"data{labels}", labels), folder / f"run{labels}"
    trained = train(data, run, flags)
    estimate = in_bytes(trained.said)
    with (run / "history.csv").open() as opened:
        epoch = float(list(csv.DictReader(opened))[-1]["seconds"])
    verb = (sys.executable, "-m", "lcnet")
    predicted = ran(*verb, "predict", str(run), str(data / "val0.png"), "--top", "5")
    file = folder / f"{labels}.onnx"
    exported = ran(*verb, "export", str(run), "--out", str(file))
    page = folder / f"check{labels}.html"
    # Noise is no data set that is safe to train on.
    checked = ran(*verb, "check", str(data), "--html", str(page), allowed=(0, 1))
    shown = [page_seconds(one) for one in (run / "report.html", page)]
    print_row(
        f"{labels:,}",
        gibibytes(trained.peak),
        f"{estimate / trained.peak:.2f}",
        f"{epoch:.1f} s",
        f"{(run / 'model' / 'model.json').stat().st_size / 1e6:.2f} MB",
        f"{weight_bytes(run) / 1e6:.0f} MB",
        f"{predicted.seconds:.1f} s, {gibibytes(predicted.peak)}",
        f"{file.stat().st_size / weight_bytes(run):.2f} ({exported.seconds:.0f} s)",
        f"{(run / 'report.html').stat().st_size / 1e6:.1f} MB",
        f"{page.stat().st_size / 1e6:.1f} MB ({checked.seconds:.0f} s)",
        ", ".join("-" if one is None else f"{one:.1f} s" for one in shown),
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, nargs="+", default=[10, 80, 1_000, 10_000])
    parser.add_argument("--folder", type=Path, help="where to keep data and runs")
    given, flags = parser.parse_known_args()
    print_row(
        "labels",
        "peak of training",
        "estimate / peak",
        "epoch",
        "model.json",
        "weights",
        "first answer, peak",
        "ONNX / weights",
        "report",
        "check page",
        "shown in a browser",
    )
    print_row(*["---:"] * 11)
    with tempfile.TemporaryDirectory() as temporary:
        for labels in given.labels:
            measure(labels, given.folder or Path(temporary), flags)


if __name__ == "__main__":
    main()
