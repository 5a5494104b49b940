"""The published heads, computed by their formulas from their own weights, with plain torch."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Weights = dict[str, Tensor]


def linear(weights: Weights, name: str, values: Tensor) -> Tensor:
    return values @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def norm(weights: Weights, name: str, values: Tensor, eps: float = 1e-5) -> Tensor:
    mean = values.mean(-1, keepdim=True)
    deviation = (values.var(-1, keepdim=True, unbiased=False) + eps).sqrt()
    return (values - mean) / deviation * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def attention(
    weights: Weights, name: str, query: Tensor, key: Tensor, value: Tensor, heads: int
) -> Tensor:
    """torch's own module, which the authors used; B T D."""
    module = nn.MultiheadAttention(query.shape[-1], heads, batch_first=True)
    prefix = f"{name}."
    module.load_state_dict(
        {key[len(prefix) :]: value for key, value in weights.items() if key.startswith(prefix)}
    )
    return module(query, key, value)[0].detach()


def released_graph(weights: Weights, correlation: Tensor, low: float, heads: int) -> Tensor:
    """The released graph tokens X^T X + I: D D."""
    band = ((correlation >= low) & (correlation < 1)).float()
    band = band * 0.25 / (band.sum(0, keepdim=True) + 1e-6)
    block = "graphEncoder.transformerblock."
    seen = norm(weights, f"{block}attention_norm1", band, eps=1e-6)

    def attend(name: str) -> Tensor:
        parts = [
            linear(weights, f"{block}{name}.{part}", seen) for part in ("query", "key", "value")
        ]
        size = seen.shape[1] // heads
        found = []
        for start in range(0, heads * size, size):
            query, key, value = (part[:, start : start + size] for part in parts)
            found.append(torch.softmax(query @ key.T / math.sqrt(size), dim=-1) @ value)
        return linear(weights, f"{block}{name}.out", torch.cat(found, dim=-1))

    mixed = attend("attn1") @ attend("attn2") + torch.eye(len(band))
    root = torch.diag(mixed.sum(1) ** -0.5)
    adjacency = (mixed @ root).T @ root
    hidden = F.leaky_relu(
        adjacency @ weights["query_embed.weight"] @ weights["graphEncoder.gc1.weight"], 0.2
    )
    tokens = adjacency @ hidden @ weights["graphEncoder.gc2.weight"]
    return tokens.T @ tokens + torch.eye(tokens.shape[1])


def released(
    weights: Weights, features: Tensor, graph: Tensor, *, depth: int, heads: int
) -> tuple[Tensor, list[Tensor]]:
    """The released decoder on backbone features (B T C): logits and label tokens of each layer."""
    image = linear(weights, "embed_standart", features)
    batch = len(image)
    labels = weights["query_embed.weight"].expand(batch, -1, -1)
    graph = graph.expand(batch, -1, -1)
    streams = []
    for number in range(depth):
        layer = f"decoder.layers.{number}."

        def reads(name: str, query: Tensor, memory: Tensor, layer: str = layer) -> Tensor:
            return attention(weights, f"{layer}{name}", query, memory, memory, heads)

        def normed(place: int, values: Tensor, layer: str = layer) -> Tensor:
            return norm(weights, f"{layer}norm{place}", values)

        labels = normed(1, labels + labels)
        labels = normed(2, labels + reads("multihead_attn", labels, image))
        first = normed(4, image + reads("multihead_attn_image", image, graph))
        graph = normed(5, graph + reads("multihead_attn_graph", graph, image))
        image = normed(6, first + reads("cross_attn_graph_to_img", first, graph))
        hidden = linear(weights, f"{layer}mlp_img_to_img.0", labels).relu()
        labels = normed(3, labels + linear(weights, f"{layer}mlp_img_to_img.3", hidden))
        streams.append(labels)
    pooled = torch.einsum("bld,ldo->blo", labels, weights["duplicate_pooling"]).squeeze(-1)
    return pooled + weights["duplicate_pooling_bias"], streams


def ml_decoder(weights: Weights, features: Tensor) -> Tensor:
    """ML-Decoder's logits on backbone features (B T C)."""
    head, layer = "head.decoder.", "head.decoder.layers.0."
    tokens = linear(weights, f"{head}embed_standart", features).relu()
    queries = weights[f"{head}query_embed.weight"].expand(len(tokens), -1, -1)
    queries = norm(weights, f"{layer}norm1", 2 * queries)
    read = attention(weights, f"{layer}multihead_attn", queries, tokens, tokens, 8)
    queries = norm(weights, f"{layer}norm2", queries + read)
    hidden = linear(weights, f"{layer}linear1", queries).relu()
    queries = norm(weights, f"{layer}norm3", queries + linear(weights, f"{layer}linear2", hidden))
    pooling, bias = weights[f"{head}duplicate_pooling"], weights[f"{head}duplicate_pooling_bias"]
    logits = torch.stack(
        [
            queries[:, label // pooling.shape[2]]
            @ pooling[label // pooling.shape[2], :, label % pooling.shape[2]]
            for label in range(len(bias))
        ],
        dim=1,
    )
    return logits + bias


def query2label(weights: Weights, maps: Tensor, *, encoder: int, decoder: int) -> Tensor:
    """Query2Label's logits on a feature map (B C h w)."""
    if "input_proj.weight" in weights:
        maps = F.conv2d(maps, weights["input_proj.weight"], weights["input_proj.bias"])
    batch, width, rows, columns = maps.shape
    memory = maps.flatten(2).transpose(1, 2)
    place = torch.stack(
        [
            _sine(row, rows, column, columns, width)
            for row in range(rows)
            for column in range(columns)
        ]
    ).expand(batch, -1, -1)

    def feed(layer: str, name: str, values: Tensor) -> Tensor:
        hidden = linear(weights, f"{layer}linear1", values).relu()
        return norm(weights, f"{layer}{name}", values + linear(weights, f"{layer}linear2", hidden))

    for number in range(encoder):
        layer = f"transformer.encoder.layers.{number}."
        placed = memory + place
        read = attention(weights, f"{layer}self_attn", placed, placed, memory, 4)
        memory = feed(layer, "norm2", norm(weights, f"{layer}norm1", memory + read))
    queries = weights["query_embed.weight"].expand(batch, -1, -1)
    labels = torch.zeros_like(queries)
    for number in range(decoder):
        layer = f"transformer.decoder.layers.{number}."
        if f"{layer}self_attn.in_proj_weight" in weights:
            own = attention(
                weights, f"{layer}self_attn", labels + queries, labels + queries, labels, 4
            )
            labels = norm(weights, f"{layer}norm1", labels + own)
        read = attention(
            weights, f"{layer}multihead_attn", labels + queries, memory + place, memory, 4
        )
        labels = feed(layer, "norm3", norm(weights, f"{layer}norm2", labels + read))
    labels = norm(weights, "transformer.decoder.norm", labels)
    return (labels * weights["fc.W"]).sum(-1) + weights["fc.b"]


def _sine(row: int, rows: int, column: int, columns: int, width: int) -> Tensor:
    half = width // 2
    code = []
    for place, length in ((row, rows), (column, columns)):
        angle = 2 * math.pi * (place + 1) / (length + 1e-6)
        for index in range(half):
            value = angle / 10000 ** (2 * (index // 2) / half)
            code.append(math.sin(value) if index % 2 == 0 else math.cos(value))
    return torch.tensor(code)
