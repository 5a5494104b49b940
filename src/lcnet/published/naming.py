"""Cutting published state_dicts into parts, and renaming them."""

from collections.abc import Mapping

from torch import Tensor

SIDES = ("weight", "bias")


def under(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The weights whose names start with a prefix, under the rest of their names."""
    return {
        name[len(prefix) :]: value for name, value in weights.items() if name.startswith(prefix)
    }


def count(weights: Mapping[str, Tensor], prefix: str) -> int:
    """How many numbered parts follow a prefix."""
    return len({name.split(".")[0] for name in under(weights, prefix)})


def renamed(weights: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    """Weight and bias of each part under its new name. Raises KeyError if one is missing."""
    return {
        f"{ours}.{side}": weights[f"{theirs}.{side}"]
        for theirs, ours in names.items()
        for side in SIDES
    }


def unpacked_attention(weights: Mapping[str, Tensor], theirs: str, ours: str) -> dict[str, Tensor]:
    """The weights of a torch.nn.MultiheadAttention under the names of our `Attention`.

    Raises KeyError if one is missing.
    """
    unpacked = {}
    for side in SIDES:
        parts = weights[f"{theirs}.in_proj_{side}"].chunk(3)
        for name, part in zip(("query", "key", "value"), parts, strict=True):
            unpacked[f"{ours}.{name}.{side}"] = part
        unpacked[f"{ours}.out.{side}"] = weights[f"{theirs}.out_proj.{side}"]
    return unpacked
