"""The released LCNet's checkpoint layout: its names, and our names for the same parts.

| released name                                   | here                                        |
|-------------------------------------------------|---------------------------------------------|
| `backbone.0.body.*`                             | backbone.features, by timm's own filters    |
| `embed_standart`                                | image_tokens.project                        |
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

from torch import Tensor

from lcnet.published.naming import count, renamed, under, unpacked_attention

UNUSED = (
    "decoder.transformer_decoder.",
    "graphEncoder.linear_A.",
    "graphEncoder.transformerblock.attn3.",
    "graphEncoder.transformerblock.attn4.",
    "backbone.1.",
)
BACKBONE = "backbone.0.body."
READ = {
    "multihead_attn": "read.labels_read_image",
    "norm1": "read.self_residual.norm",
    "norm2": "read.read_residual.norm",
    "norm3": "read.mlp_residual.norm",
    "mlp_img_to_img.0": "read.mlp.0",
    "mlp_img_to_img.3": "read.mlp.3",
}
"""Parts of a released decoder layer that form our `Read`."""
EXCHANGE = {
    "multihead_attn_image": "exchange.image_reads_graph",
    "multihead_attn_graph": "exchange.graph_reads_image",
    "cross_attn_graph_to_img": "exchange.image_reads_new_graph",
    "norm4": "exchange.image_residual.norm",
    "norm5": "exchange.graph_residual.norm",
    "norm6": "exchange.new_image_residual.norm",
}
"""Parts of a released decoder layer that form our `Exchange`."""


@dataclass(frozen=True)
class ReleasedSizes:
    """The sizes of a released model, read from its checkpoint's shapes."""

    labels: int
    width: int
    graph_width: int
    mlp_width: int
    depth: int
    shared: bool
    """Whether all decoder layers have the same weights."""


def is_released(weights: Mapping[str, Tensor]) -> bool:
    """Whether these are weights of the released LCNet."""
    return any(name.startswith("graphEncoder.") for name in weights)


def released_sizes(weights: Mapping[str, Tensor]) -> ReleasedSizes:
    """The sizes of a released checkpoint.

    Raises KeyError if a part is missing, ValueError if two disagree.
    """
    labels, width = weights["query_embed.weight"].shape
    attention = tuple(weights["graphEncoder.transformerblock.attn1.query.weight"].shape)
    if attention != (labels, labels):
        raise ValueError(f"{labels} labels, and a graph of {attention}")
    depth = count(weights, "decoder.layers.")
    layers = [under(weights, f"decoder.layers.{number}.") for number in range(depth)]
    return ReleasedSizes(
        labels=labels,
        width=width,
        graph_width=weights["graphEncoder.gc1.weight"].shape[1],
        mlp_width=len(weights["decoder.layers.0.mlp_img_to_img.0.weight"]),
        depth=depth,
        shared=depth > 1 and all(_are_equal(layers[0], layer) for layer in layers[1:]),
    )


def convert_released(weights: Mapping[str, Tensor], sizes: ReleasedSizes) -> dict[str, Tensor]:
    """The weights outside the backbone under this project's names, but for `graph.band`.

    Raises KeyError if one is missing.
    """
    block = "graphEncoder.transformerblock."
    tokens = weights["query_embed.weight"]
    converted = {
        "label_tokens.tokens": tokens,
        "graph.nodes": tokens,
        "graph.first_hop.weight": weights["graphEncoder.gc1.weight"].T,
        "graph.second_hop.weight": weights["graphEncoder.gc2.weight"].T,
        "mapping.weight": weights["duplicate_pooling"].squeeze(-1),
        "mapping.bias": weights["duplicate_pooling_bias"],
        **renamed(
            weights,
            {
                "embed_standart": "image_tokens.project",
                f"{block}attention_norm1": "graph.norm",
                **{
                    f"{block}{theirs}.{part}": f"graph.{ours}.{part}"
                    for theirs, ours in (
                        ("attn1", "first_attention"),
                        ("attn2", "second_attention"),
                    )
                    for part in ("query", "key", "value", "out")
                },
            },
        ),
    }
    for number in range(1 if sizes.shared else sizes.depth):
        theirs = f"decoder.layers.{number}."
        converted |= _convert_layer(weights, theirs, f"decoder.layers.{number}.", READ)
        # Their layer exchanges after reading, ours before: their exchange N is our exchange N + 1.
        if sizes.shared:
            converted |= _convert_layer(weights, theirs, "decoder.layers.0.", EXCHANGE)
        elif number + 1 < sizes.depth:
            ours = f"decoder.layers.{number + 1}."
            converted |= _convert_layer(weights, theirs, ours, EXCHANGE)
    return converted


def _convert_layer(
    weights: Mapping[str, Tensor], theirs: str, ours: str, names: Mapping[str, str]
) -> dict[str, Tensor]:
    converted: dict[str, Tensor] = {}
    for name, part in names.items():
        if "attn" in name:
            converted |= unpacked_attention(weights, f"{theirs}{name}", f"{ours}{part}")
        else:
            converted |= renamed(weights, {f"{theirs}{name}": f"{ours}{part}"})
    return converted


def _are_equal(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        value.equal(second[name]) for name, value in first.items()
    )
