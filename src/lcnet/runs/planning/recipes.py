"""The settings that a plan starts from; docs/guide/plan.md says where each was measured."""

from collections.abc import Mapping
from typing import Any

FROZEN: dict[str, Any] = {
    "model.read": "scores",
    "model.depth": 1,
    "model.width": 128,
    "model.mlp_width": 256,
    "model.graph": "none",
    "model.dropout": 0.3,
    "train.lr": 9e-3,
    "train.weight_decay": 3.0,
    "train.gamma_neg": 2.0,
    "train.ema_decay": 0.99,
    "train.backbone_lr_factor": 0.0,
    "train.randaugment": 0,
    "train.cutout": 0.0,
}
"""A frozen backbone whose features are kept."""
OF_A_GRAPH = {"model.graph_prior", "model.graph_edges", "model.label_vectors"}
"""Settings that ask for a label graph."""
LAST_STAGE: dict[str, Any] = {
    "train.cache_features": "",
    "train.epochs": 4,
    "train.lr": 3e-4,
    "train.warmup": 0.1,
    "train.decoder_lr_factor": 1.0,
    "train.backbone_lr_factor": 1.0,
    "train.backbone_stages": 1,
    "train.keep_norms": True,
    "train.weight_decay": 0.3,
    "train.min_scale": 0.5,
}
"""What changes once the head has learned, so that the backbone's last stage learns with it."""
OF_FROZEN_PARTS = {"train.freeze", "train.freeze_epochs"}
"""Settings that keep parts from learning, which may be in the last stage."""
TUNED: dict[str, Any] = {"model.depth": 1, "model.dropout": 0.1, "train.lr": 3e-4}
"""A pretrained backbone that is trained with the head."""
RANDOM: dict[str, Any] = {
    "model.depth": 1,
    "model.width": 128,
    "model.mlp_width": 256,
    "model.dropout": 0.0,
    "train.lr": 3e-3,
    "train.gamma_neg": 2.0,
    "train.randaugment": 0,
    "train.cutout": 0.0,
}
"""A small network from random weights, as in configs/digits.yaml."""
GENTLE_LR = 3e-3
"""The rate of a head on kept features in batches smaller than usual."""


def frozen_recipe(given: Mapping[str, Any]) -> dict[str, Any]:
    """`FROZEN`, with the default label graph if a given setting is one of a graph."""
    if not OF_A_GRAPH & given.keys():
        return FROZEN
    return {name: value for name, value in FROZEN.items() if name != "model.graph"}


def in_the_way_of_stage(given: Mapping[str, Any]) -> list[str]:
    """Those of the user's settings with which the last stage does not learn once the head has.

    They are what would change then, but are meant for the whole run, or may keep it from learning.
    """
    return [name for name in given if name in LAST_STAGE or name in OF_FROZEN_PARTS]
