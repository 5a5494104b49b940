"""The checkpoint layouts of ML-Decoder, ASL and Query2Label, renamed for model/heads/."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from lcnet.published.naming import SIDES, count, renamed, under, unpacked_attention


@dataclass(frozen=True)
class RivalLayout:
    """The content of a rival's checkpoint."""

    title: str
    """The method's name, for messages."""
    head: Literal["gap", "ml_decoder", "query2label"]
    """The head's name in the settings."""
    options: dict[str, Any]
    """The head's sizes, read from the shapes."""
    labels: int
    weights: dict[str, Tensor]
    """The head's weights, under this project's names."""
    backbone: dict[str, Tensor]
    """The backbone's weights, under their published names."""
    threshold: float
    """Probability above which its authors count a label as predicted."""
    width: int = 0
    """Width of the attention; 0 if the head has none."""
    heads: int = 0
    """Attention heads as published, since no shape shows them; 0 if the head has none."""
    dropped: tuple[str, ...] = ()
    """Names of weights that are constants, and are computed here instead."""


def rival_layout(weights: Mapping[str, Tensor]) -> RivalLayout | None:
    """The layout of a rival's checkpoint, or None if it is not known.

    Raises KeyError if a part of a known layout is missing.
    """
    for prefix in ("head.decoder.", "fc.decoder."):
        if f"{prefix}duplicate_pooling" in weights:
            return _ml_decoder(weights, prefix)
    if "fc.W" in weights:
        return _query2label(weights)
    if "head.fc.weight" in weights and "body.conv1.0.weight" in weights:
        return _asl(weights)
    return None


def _asl(weights: Mapping[str, Tensor]) -> RivalLayout:
    """A TResNet with one linear layer after global pooling."""
    return RivalLayout(
        title="ASL",
        head="gap",
        options={},
        labels=len(weights["head.fc.weight"]),
        weights={f"head.{side}": weights[f"head.fc.{side}"] for side in SIDES},
        backbone=_without(weights, "head."),
        threshold=0.8,
    )


def _ml_decoder(weights: Mapping[str, Tensor], prefix: str) -> RivalLayout:
    """A backbone with `MLDecoder`."""
    layer = f"{prefix}layers.0."
    groups, width, _ = weights[f"{prefix}duplicate_pooling"].shape
    converted = {
        "head.queries.tokens": weights[f"{prefix}query_embed.weight"],
        "head.weight": weights[f"{prefix}duplicate_pooling"],
        "head.bias": weights[f"{prefix}duplicate_pooling_bias"],
        **renamed(
            weights,
            {
                f"{prefix}embed_standart": "head.embed",
                f"{layer}norm1": "head.read.self_residual.norm",
            },
        ),
        **_read(weights, layer, "head.read.", "multihead_attn", norms=("norm2", "norm3")),
    }
    return RivalLayout(
        title="ML-Decoder",
        head="ml_decoder",
        options={
            "groups": groups,
            "width": width,
            "mlp_width": len(weights[f"{layer}linear1.weight"]),
        },
        labels=len(converted["head.bias"]),
        weights=converted,
        backbone=_without(weights, prefix),
        threshold=0.8,
        width=width,
        heads=8,
    )


def _query2label(weights: Mapping[str, Tensor]) -> RivalLayout:
    """A backbone with `Query2Label`."""
    encoder, decoder = "transformer.encoder.layers.", "transformer.decoder.layers."
    converted = {
        "head.queries.tokens": weights["query_embed.weight"],
        "head.weight": weights["fc.W"].squeeze(0),
        "head.bias": weights["fc.b"].squeeze(0),
        **renamed(weights, {"transformer.decoder.norm": "head.norm"}),
    }
    projected = "input_proj.weight" in weights
    if projected:
        converted["head.project.weight"] = weights["input_proj.weight"].flatten(1)
        converted["head.project.bias"] = weights["input_proj.bias"]
    kept = []
    for number in range(count(weights, encoder)):
        theirs, ours = f"{encoder}{number}.", f"head.encoder.{number}.read."
        converted |= _read(weights, theirs, ours, "self_attn", norms=("norm1", "norm2"))
    for number in range(count(weights, decoder)):
        theirs, ours = f"{decoder}{number}.", f"head.decoder.{number}."
        converted |= _read(
            weights, theirs, f"{ours}read.", "multihead_attn", norms=("norm2", "norm3")
        )
        if f"{theirs}self_attn.in_proj_weight" in weights:
            kept.append(number)
            converted |= unpacked_attention(weights, f"{theirs}self_attn", f"{ours}self_attention")
            converted |= renamed(weights, {f"{theirs}norm1": f"{ours}self_norm"})
    width = weights["query_embed.weight"].shape[1]
    first = weights[f"{decoder}0.linear1.weight"]
    body = (
        "backbone.0.body." if any(name.startswith("backbone.0.body.") for name in weights) else ""
    )
    return RivalLayout(
        title="Query2Label",
        head="query2label",
        options={
            "width": width if projected else 0,
            "mlp_width": len(first),
            "encoder_depth": count(weights, encoder),
            "decoder_depth": count(weights, decoder),
            "self_attention": kept,
        },
        labels=len(converted["head.bias"]),
        weights=converted,
        backbone=under(weights, body or "backbone.0."),
        threshold=0.5,
        width=width,
        heads=4,
        dropped=tuple(name for name in weights if name.startswith("backbone.1.")),
    )


def _read(
    weights: Mapping[str, Tensor], theirs: str, ours: str, attention: str, norms: tuple[str, str]
) -> dict[str, Tensor]:
    """A transformer layer's attention and MLP under the names of our `Read`."""
    return {
        **unpacked_attention(weights, f"{theirs}{attention}", f"{ours}labels_read_image"),
        **renamed(
            weights,
            {
                f"{theirs}linear1": f"{ours}mlp.0",
                f"{theirs}linear2": f"{ours}mlp.3",
                f"{theirs}{norms[0]}": f"{ours}read_residual.norm",
                f"{theirs}{norms[1]}": f"{ours}mlp_residual.norm",
            },
        ),
    }


def _without(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name: value for name, value in weights.items() if not name.startswith(prefix)}
