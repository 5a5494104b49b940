"""What it gives to keep freed memory: a backbone's forward with and without it, side by side.

    python -m benchmarks.freed_memory --repeat 3

Each measurement is a process of its own with one thread. Times are processor time, with the
system's part.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys

from lcnet.freed_memory import VARIABLES, keep_freed_memory

BATCHES, BATCH = 3, 32


def measure(backbone: str) -> None:
    """Print pictures per second of processor time, and page faults per picture."""
    import timm
    import torch

    torch.set_num_threads(1)
    model = timm.create_model(backbone, features_only=True).eval()
    images = torch.randn(BATCH, 3, 224, 224)
    with torch.inference_mode():
        model(images)
        before = resource.getrusage(resource.RUSAGE_SELF)
        for _ in range(BATCHES):
            model(images)
        after = resource.getrusage(resource.RUSAGE_SELF)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    pictures = BATCHES * BATCH
    print(pictures / seconds, (after.ru_minflt - before.ru_minflt) / pictures)


def in_a_process(backbone: str, *, keeps: bool) -> tuple[float, float]:
    """What `measure` prints in a new process."""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    words = [sys.executable, "-m", "benchmarks.freed_memory", "--backbone", backbone, "--measure"]
    words += ["keep" if keeps else "give back"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    speed, faults = map(float, done.stdout.split())
    return speed, faults


def main() -> None:
    """Measure both ways in turns, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="mobilenetv2_100")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        if given.measure == "keep":
            keep_freed_memory()
        measure(given.backbone)
        return
    found: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for _ in range(given.repeat):
        for keeps, values in found.items():
            values.append(in_a_process(given.backbone, keeps=keeps))
    print("| freed memory | pictures a second of processor time | page faults a picture |")
    print("|---|---|---|")
    for keeps, values in found.items():
        speed, faults = (statistics.median(of) for of in zip(*values, strict=True))
        print(f"| {'kept' if keeps else 'given back'} | {speed:.1f} | {faults:,.0f} |")


if __name__ == "__main__":
    main()
