"""Whether two runs came to the same, bit by bit."""

import csv
from pathlib import Path

import torch


def history_without_clock(run: Path) -> list[dict[str, str]]:
    """The rows of history.csv but for what a clock says."""
    with (run / "history.csv").open(newline="") as file:
        return [row | {"seconds": "", "data_wait": ""} for row in csv.DictReader(file)]


def assert_alike(one: Path, other: Path) -> None:
    """Weights, their average, the optimizer, the history and what was measured are the same."""
    ends = [torch.load(run / "checkpoints" / "last.ckpt") for run in (one, other)]
    for part in ("state_dict", "current_model_state"):
        for name, tensor in ends[0][part].items():
            assert tensor.equal(ends[1][part][name]), (part, name)
    assert str(ends[0]["optimizer_states"]) == str(ends[1]["optimizer_states"])
    assert history_without_clock(one) == history_without_clock(other)
    for name in ("model/model.safetensors", "metrics.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    assert not list(other.rglob("*.part"))
