"""Measures times and memory in turns, so that noise of a shared machine affects all alike."""

import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from lcnet.compute import usual_device

DEVICE = usual_device()


@dataclass(frozen=True)
class Times:
    """The time of one arm of a comparison."""

    seconds: float
    """The median."""
    ratio: float
    """The median of its time divided by the first arm's time in the same round."""


def side_by_side(arms: Mapping[str, Callable[[], object]], rounds: int = 5) -> dict[str, Times]:
    """Time every arm once a round, one after the other, after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for number in range(rounds + 1):
        for name, work in arms.items():
            taken = _seconds(work)
            if number:
                seconds[name].append(taken)
    first = next(iter(seconds.values()))
    return {
        name: Times(
            statistics.median(each),
            statistics.median(own / base for own, base in zip(each, first, strict=True)),
        )
        for name, each in seconds.items()
    }


def rates(arms: Mapping[str, Times], batch: int) -> list[str]:
    """Images per second of each arm; after the first with its speed relative to it in brackets."""
    first, *others = arms.values()
    return [f"{batch / first.seconds:.2f}"] + [
        f"{batch / times.seconds:.2f} (x {1 / times.ratio:.2f})" for times in others
    ]


def gibibytes(size: int) -> str:
    """A size in bytes, as the tables write it."""
    return f"{size / 2**30:.2f} GiB"


def print_row(*cells: str) -> None:
    """Print a row of a markdown table at once, since the next one may take minutes."""
    print(f"| {' | '.join(cells)} |", flush=True)


def peak_memory(work: Callable[..., Callable[[], object]], *arguments: object) -> int:
    """The peak memory of running `work(*arguments)()` twice, in bytes, weights included.

    It runs in a separate process, and the memory of the libraries is subtracted. On an accelerator
    it is the memory that torch allocates there.
    """
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak, (work, arguments, torch.get_num_threads()))


def _peak(
    work: Callable[..., Callable[[], object]], arguments: tuple[object, ...], threads: int
) -> int:
    torch.set_num_threads(threads)
    torch.randn(64, 64) @ torch.randn(64, 64)  # the libraries load
    before = _resident("VmRSS")
    run = work(*arguments)
    run()
    run()
    if DEVICE.type == "cuda":
        return torch.cuda.max_memory_allocated()
    return _resident("VmHWM") - before


def _resident(field: str) -> int:
    """This process's memory in bytes, now (VmRSS) or at its highest (VmHWM); Linux only."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {field} in /proc/self/status")


def matmul_peak(kind: torch.dtype, size: int = 2048) -> float:
    """The most operations a second that a square matrix product reaches here."""
    left = torch.randn(size, size, device=DEVICE, dtype=kind)
    right = torch.randn(size, size, device=DEVICE, dtype=kind)
    best = min(_seconds(lambda: left @ right) for _ in range(10))
    return 2 * size**3 / best


def operations(work: Callable[[], object]) -> int:
    """Floating point operations of some work; a multiplication with an addition counts as two."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def _seconds(work: Callable[[], object]) -> float:
    _wait()
    started = time.perf_counter()
    work()
    _wait()
    return time.perf_counter() - started


def _wait() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def machine() -> str:
    """The processor, its threads in use, the accelerator and the versions, in one line."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    device = torch.cuda.get_device_name() if DEVICE.type == "cuda" else "no accelerator"
    return f"{names[0]}, {torch.get_num_threads()} threads, {device}, torch {torch.__version__}"
