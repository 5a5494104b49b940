"""The released LCNet's checkpoint layout: what each of its names is here.

| released name                                   | here                                        |
|-------------------------------------------------|---------------------------------------------|
| `backbone.0.body.*`                             | backbone.features, by timm's own filters    |
| `embed_standart`                                | backbone.project                            |
| `query_embed`                                   | label_tokens.tokens and graph.nodes         |
| `graphEncoder.transformerblock.attention_norm1` | graph.norm                                  |
| `graphEncoder.transformerblock.attn1`, `.attn2` | graph.first_attention, .second_attention    |
| `graphEncoder.gc1`, `.gc2`                      | graph.first_hop, .second_hop (transposed)   |
| `decoder.layers.N`                              | decoder.layers, one if all are equal        |
| `duplicate_pooling`, `duplicate_pooling_bias`   | mapping.weight, .bias                       |

Dropped, because the release never uses them: `decoder.transformer_decoder.*` (a copy of each
layer), `graphEncoder.linear_A`, `...attn3`, `...attn4`, and `backbone.1.pe` (added to nothing).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lcnet.errors import CheckpointError

UNUSED = (
    "decoder.transformer_decoder.",
    "graphEncoder.linear_A.",
    "graphEncoder.transformerblock.attn3.",
    "graphEncoder.transformerblock.attn4.",
    "backbone.1.",
)
BACKBONE = "backbone.0.body."
_GRAPH = "graphEncoder."
_BLOCK = "graphEncoder.transformerblock."
_SIDES = ("weight", "bias")
_READ = {
    "multihead_attn": "read.labels_read_image",
    "norm1": "read.self_residual.norm",
    "norm2": "read.read_residual.norm",
    "norm3": "read.mlp_residual.norm",
    "mlp_img_to_img.0": "read.mlp.0",
    "mlp_img_to_img.3": "read.mlp.3",
}
_EXCHANGE = {
    "multihead_attn_image": "exchange.image_reads_graph",
    "multihead_attn_graph": "exchange.graph_reads_image",
    "cross_attn_graph_to_img": "exchange.image_reads_new_graph",
    "norm4": "exchange.image_residual.norm",
    "norm5": "exchange.graph_residual.norm",
    "norm6": "exchange.new_image_residual.norm",
}


@dataclass(frozen=True)
class ReleasedSizes:
    """What the shapes of a released checkpoint say."""

    labels: int
    width: int
    channels: int
    """Of the backbone's features."""
    graph_width: int
    mlp_width: int
    depth: int
    shared: bool
    """Whether all decoder layers are one."""


def is_released(weights: Mapping[str, Tensor]) -> bool:
    """Whether these are weights of the released LCNet."""
    return any(name.startswith(_GRAPH) for name in weights)


def released_sizes(weights: Mapping[str, Tensor], file: Path) -> ReleasedSizes:
    """The sizes of a released checkpoint. Raises CheckpointError if a part is missing."""
    labels, width = _get(weights, "query_embed.weight", file).shape
    depth = len({name.split(".")[2] for name in weights if name.startswith("decoder.layers.")})
    return ReleasedSizes(
        labels=labels,
        width=width,
        channels=_get(weights, "embed_standart.weight", file).shape[1],
        graph_width=_get(weights, f"{_GRAPH}gc1.weight", file).shape[1],
        mlp_width=_get(weights, "decoder.layers.0.mlp_img_to_img.0.weight", file).shape[0],
        depth=depth,
        shared=depth > 1 and _layers_are_equal(weights, depth),
    )


def convert_released(
    weights: Mapping[str, Tensor], sizes: ReleasedSizes, file: Path
) -> dict[str, Tensor]:
    """The weights outside the backbone under this project's names; the banded graph is not in them.

    Raises CheckpointError if one is missing.
    """

    def get(name: str) -> Tensor:
        return _get(weights, name, file)

    tokens = get("query_embed.weight")
    converted = {
        "backbone.project.weight": get("embed_standart.weight"),
        "backbone.project.bias": get("embed_standart.bias"),
        "label_tokens.tokens": tokens,
        "graph.nodes": tokens,
        "graph.first_hop.weight": get(f"{_GRAPH}gc1.weight").T,
        "graph.second_hop.weight": get(f"{_GRAPH}gc2.weight").T,
        "mapping.weight": get("duplicate_pooling").squeeze(-1),
        "mapping.bias": get("duplicate_pooling_bias"),
    }
    for side in _SIDES:
        converted[f"graph.norm.{side}"] = get(f"{_BLOCK}attention_norm1.{side}")
        for theirs, ours in (("attn1", "first_attention"), ("attn2", "second_attention")):
            for part in ("query", "key", "value", "out"):
                converted[f"graph.{ours}.{part}.{side}"] = get(f"{_BLOCK}{theirs}.{part}.{side}")
    for number in range(1 if sizes.shared else sizes.depth):
        _convert_layer(weights, converted, file, number, _READ, number)
        # Their layer exchanges after reading, ours before: their exchange N is ours of layer N + 1.
        if sizes.shared:
            _convert_layer(weights, converted, file, number, _EXCHANGE, number)
        elif number + 1 < sizes.depth:
            _convert_layer(weights, converted, file, number, _EXCHANGE, number + 1)
    return converted


def _convert_layer(
    weights: Mapping[str, Tensor],
    converted: dict[str, Tensor],
    file: Path,
    theirs: int,
    names: Mapping[str, str],
    ours: int,
) -> None:
    for name, part in names.items():
        source, target = f"decoder.layers.{theirs}.{name}", f"decoder.layers.{ours}.{part}"
        for side in _SIDES:
            if "attn" not in name:
                converted[f"{target}.{side}"] = _get(weights, f"{source}.{side}", file)
                continue
            packed = _get(weights, f"{source}.in_proj_{side}", file)
            for kind, piece in zip(("query", "key", "value"), packed.chunk(3), strict=True):
                converted[f"{target}.{kind}.{side}"] = piece
            converted[f"{target}.out.{side}"] = _get(weights, f"{source}.out_proj.{side}", file)


def _layers_are_equal(weights: Mapping[str, Tensor], depth: int) -> bool:
    first = {name: value for name, value in weights.items() if name.startswith("decoder.layers.0.")}
    return all(
        (other := weights.get(name.replace("layers.0.", f"layers.{number}.", 1))) is not None
        and torch.equal(value, other)
        for name, value in first.items()
        for number in range(1, depth)
    )


def _get(weights: Mapping[str, Tensor], name: str, file: Path) -> Tensor:
    if name not in weights:
        raise CheckpointError(
            f"{file}: has no weights {name!r}, as a released LCNet checkpoint does. "
            "Give the whole checkpoint."
        )
    return weights[name]
