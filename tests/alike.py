"""Whether two runs came to the same, bit by bit."""

import csv
from pathlib import Path

import torch

CLOCK = ("seconds", "data_wait", "images_per_s")
"""The columns of history.csv that a clock decides."""


def history(run: Path) -> list[dict[str, str]]:
    """The rows of history.csv as they stand there."""
    with (Path(run) / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def history_without_clock(run: Path) -> list[dict[str, str]]:
    """The rows of history.csv but for what a clock says."""
    return [row | dict.fromkeys(CLOCK, "") for row in history(run)]


def assert_alike(one: Path, other: Path) -> None:
    """Weights, their average, the optimizer, the history and what was measured are the same."""
    ends = [torch.load(run / "checkpoints" / "last.ckpt") for run in (one, other)]
    for part in ("weights", "average"):
        for name, tensor in ends[0][part].items():
            assert tensor.equal(ends[1][part][name]), (part, name)
    for part in ("optimizer", "schedule", "steps", "epochs", "best", "best_epoch"):
        assert str(ends[0][part]) == str(ends[1][part]), part
    assert history_without_clock(one) == history_without_clock(other)
    for name in ("model/model.safetensors", "metrics.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    assert not list(other.rglob("*.part"))
