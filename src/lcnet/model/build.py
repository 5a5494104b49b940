"""From settings to a model."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lcnet import config
from lcnet.model.backbone import Backbone, BackboneSpec, build_backbone, describe_backbone
from lcnet.model.classifier import Classifier
from lcnet.model.crops import Crops
from lcnet.model.lcnet import build_lcnet
from lcnet.model.rivals import CSRA, MLGCN, GlobalPooling, MLDecoder, Query2Label, RivalNet


def build_model(
    settings: config.Model,
    labels: int,
    *,
    spec: BackboneSpec | None = None,
    prior: Tensor | None = None,
    vectors: Tensor | None = None,
    shares: Tensor | None = None,
    head_options: Mapping[str, Any] | None = None,
) -> Classifier:
    """A model for `labels` labels, initialised: an LCNet, or a rival if the settings name one.

    `spec` describes the backbone that the settings name, looked up if not given. `prior` (L L) is
    P(column | row) from the training labels, even if not given; `vectors` (L E) describe the
    labels; `shares` (L) are how often each is present, for LCNet; `head_options` are sizes of a
    rival's head where they are not its paper's. Raises ConfigError if there is no such backbone or
    its weights cannot be had.
    """
    spec = spec or describe_backbone(settings.backbone, settings.view_size)
    prior = torch.ones(labels, labels) if prior is None else prior
    backbone = build_backbone(
        spec,
        pretrained_from=settings.backbone if settings.pretrained else "",
        chunk=settings.view_chunk,
    )
    if settings.head == "lcnet":
        return build_lcnet(settings, backbone, prior, vectors=vectors, shares=shares)
    return RivalNet(
        crops=Crops(settings.crop_level, settings.view_size, antialias=settings.released.antialias),
        backbone=backbone,
        head=_head(settings.head, backbone, prior, vectors, dict(head_options or {})),
    )


def _head(
    name: str,
    backbone: Backbone,
    prior: Tensor,
    vectors: Tensor | None,
    options: dict[str, Any],
) -> nn.Module:
    labels, channels = len(prior), backbone.channels
    if name == "csra":
        return CSRA(labels, channels, **options)
    if name == "ml_gcn":
        return MLGCN(prior, channels, vectors=vectors, **options)
    kinds = {"gap": GlobalPooling, "query2label": Query2Label, "ml_decoder": MLDecoder}
    return kinds[name](labels, channels, **options)
