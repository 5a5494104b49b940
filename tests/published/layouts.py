"""Published checkpoint layouts of any size, filled with numbers by a rule.

A layout says the shape of every weight under its published name; `by_rule` gives each weight values
that follow from its name alone, so that a checkpoint can be described in a few numbers.
"""

import re
import zlib

import numpy as np
import torch
from torch import Tensor

Layout = dict[str, tuple[int, ...]]


def by_rule(layout: Layout) -> dict[str, Tensor]:
    """Values for a layout. All layers of the released decoder are one, so their values agree."""
    return {key: torch.from_numpy(_values(key, shape)) for key, shape in layout.items()}


def _values(key: str, shape: tuple[int, ...]) -> np.ndarray:
    name = re.sub(r"decoder\.layers\.\d+\.", "decoder.layers.0.", key)
    rng = np.random.RandomState(zlib.crc32(name.encode()))
    noise = np.asarray(rng.standard_normal(shape), dtype=np.float32)
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, dtype=np.int64)
    if key.endswith("running_var"):
        values = 1 + 0.1 * np.abs(noise)
    elif key.endswith("running_mean"):
        values = 0.1 * noise
    elif len(shape) == 1 and key.endswith("weight"):
        values = (1 + 0.1 * noise) * np.where(rng.random_sample(shape) < 0.1, -1, 1)
    elif len(shape) < 2:
        values = 0.1 * noise
    elif key.endswith("query_embed.weight"):
        values = noise
    else:
        values = noise / np.sqrt(np.prod(shape[1:]))
    if key.startswith("graphEncoder.transformerblock.attn"):
        values = values * 0.3
    return np.asarray(values, dtype=np.float32)


def released(
    labels: int,
    *,
    width: int = 24,
    mlp_width: int = 40,
    graph_width: int = 48,
    depth: int = 3,
    blocks: tuple[int, ...] = (1, 1, 1, 1),
    planes: int = 8,
) -> Layout:
    """The released LCNet with a TResNet-L V2."""
    layout: Layout = {
        "duplicate_pooling": (labels, width, 1),
        "duplicate_pooling_bias": (1,),
        "embed_standart.weight": (width, 32 * planes),
        "embed_standart.bias": (width,),
        "query_embed.weight": (labels, width),
        "graphEncoder.gc1.weight": (width, graph_width),
        "graphEncoder.gc2.weight": (graph_width, width),
        **linear("graphEncoder.linear_A", 80, 80),
        **norm("graphEncoder.transformerblock.attention_norm1", labels),
        **tresnet("backbone.0.body.", blocks, planes, second=True),
    }
    for number in range(1, 5):
        for part in ("query", "key", "value", "out"):
            name = f"graphEncoder.transformerblock.attn{number}.{part}"
            layout |= linear(name, labels, labels)
    for stack in ("decoder.layers", "decoder.transformer_decoder.layers"):
        for number in range(depth):
            layer = f"{stack}.{number}."
            for name in ("", "_image", "_graph"):
                layout |= attention(f"{layer}multihead_attn{name}", width)
            layout |= attention(f"{layer}cross_attn_graph_to_img", width)
            for place in range(1, 7):
                layout |= norm(f"{layer}norm{place}", width)
            layout |= linear(f"{layer}mlp_img_to_img.0", mlp_width, width)
            layout |= linear(f"{layer}mlp_img_to_img.3", width, mlp_width)
    return layout


def ml_decoder(
    labels: int, *, groups: int, width: int = 24, mlp_width: int = 40, planes: int = 8
) -> Layout:
    """ML-Decoder on a TResNet-L V2; width must be a multiple of 8."""
    head, layer = "head.decoder.", "head.decoder.layers.0."
    return {
        **tresnet("", (1, 1, 1, 1), planes, second=True),
        **linear(f"{head}embed_standart", width, 32 * planes),
        f"{head}query_embed.weight": (groups, width),
        **attention(f"{layer}multihead_attn", width),
        **linear(f"{layer}linear1", mlp_width, width),
        **linear(f"{layer}linear2", width, mlp_width),
        **norm(f"{layer}norm1", width),
        **norm(f"{layer}norm2", width),
        **norm(f"{layer}norm3", width),
        f"{head}duplicate_pooling": (groups, width, -(-labels // groups)),
        f"{head}duplicate_pooling_bias": (labels,),
    }


def asl(labels: int, *, planes: int = 8) -> Layout:
    """ASL's TResNet with its linear layer."""
    return {
        **tresnet("", (1, 1, 1, 1), planes, second=False),
        **linear("head.fc", labels, 32 * planes),
    }


def query2label(
    labels: int,
    *,
    projected: int = 0,
    mlp_width: int = 40,
    encoder: int = 1,
    decoder: int = 2,
    kept: tuple[int, ...] = (),
    planes: int = 8,
) -> Layout:
    """Query2Label on a TResNet-L V2; `kept` are the decoder layers with self-attention."""
    channels = 32 * planes
    width = projected or channels
    layout: Layout = {
        **tresnet("backbone.0.body.", (1, 1, 1, 1), planes, second=True),
        "backbone.1.pe": (1, width, 2, 2),
        "query_embed.weight": (labels, width),
        "fc.W": (1, labels, width),
        "fc.b": (1, labels),
        **norm("transformer.decoder.norm", width),
    }
    if projected:
        layout |= {"input_proj.weight": (width, channels, 1, 1), "input_proj.bias": (width,)}
    for stack, depth in (("encoder", encoder), ("decoder", decoder)):
        for number in range(depth):
            layer = f"transformer.{stack}.layers.{number}."
            layout |= linear(f"{layer}linear1", mlp_width, width)
            layout |= linear(f"{layer}linear2", width, mlp_width)
            layout |= norm(f"{layer}norm2", width)
            if stack == "encoder" or number in kept:
                layout |= attention(f"{layer}self_attn", width) | norm(f"{layer}norm1", width)
            if stack == "decoder":
                layout |= attention(f"{layer}multihead_attn", width) | norm(f"{layer}norm3", width)
    return layout


def tresnet(prefix: str, blocks: tuple[int, ...], planes: int, *, second: bool) -> Layout:
    """A TResNet with InPlaceABN; `second` is V2, whose stages are all bottlenecks."""
    layout: Layout = {}

    def conv(name: str, out: int, inside: int, side: int, *, shrinks: bool = False) -> None:
        name = f"{prefix}body.{name}.0" if shrinks else f"{prefix}body.{name}"
        layout[f"{name}.0.weight"] = (out, inside, side, side)
        layout.update(batch_norm(f"{name}.1", out))

    conv("conv1", planes, 48, 3)
    inside = planes
    for stage, count in enumerate(blocks, start=1):
        own = planes * 2 ** (stage - 1)
        bottleneck = second or stage > 2
        out = 4 * own if bottleneck else own
        for number in range(count):
            block, shrinks = f"layer{stage}.{number}.", stage > 1 and number == 0
            if bottleneck:
                conv(f"{block}conv1", own, inside, 1)
                conv(f"{block}conv2", own, own, 3, shrinks=shrinks)
                conv(f"{block}conv3", out, own, 1)
            else:
                conv(f"{block}conv1", own, inside, 3, shrinks=shrinks)
                conv(f"{block}conv2", own, own, 3)
            if number == 0 and inside != out:
                conv(f"{block}downsample.{int(shrinks)}", out, inside, 1)
            if stage < 4:
                hidden = max(own // 2 if bottleneck else own // 4, 64)
                for name, shape in (("fc1", (hidden, own)), ("fc2", (own, hidden))):
                    layout[f"{prefix}body.{block}se.{name}.weight"] = (*shape, 1, 1)
                    layout[f"{prefix}body.{block}se.{name}.bias"] = shape[:1]
            inside = out
    return layout


def linear(name: str, out: int, inside: int) -> Layout:
    return {f"{name}.weight": (out, inside), f"{name}.bias": (out,)}


def norm(name: str, width: int) -> Layout:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def batch_norm(name: str, width: int) -> Layout:
    statistics = {f"{name}.running_mean": (width,), f"{name}.running_var": (width,)}
    return {**norm(name, width), **statistics, f"{name}.num_batches_tracked": ()}


def attention(name: str, width: int) -> Layout:
    return {
        f"{name}.in_proj_weight": (3 * width, width),
        f"{name}.in_proj_bias": (3 * width,),
        **linear(f"{name}.out_proj", width, width),
    }
