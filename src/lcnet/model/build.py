"""From settings to a model: LCNet or a rival, on a timm model or on another backbone."""

from collections import abc
from typing import Any

import torch
from torch import Tensor

from lcnet import config
from lcnet.model.attention import Attention
from lcnet.model.backbone import Backbone, BackboneSpec, build_backbone, describe_backbone
from lcnet.model.classifier import Classifier
from lcnet.model.crops import Crops
from lcnet.model.decoder import Decoder, Exchange, LLCDLayer, Read
from lcnet.model.graph_prior import edges_for, prior_as
from lcnet.model.head import Head
from lcnet.model.heads.csra import CSRA
from lcnet.model.heads.gap import GlobalPooling
from lcnet.model.heads.ml_decoder import MLDecoder
from lcnet.model.heads.ml_gcn import MLGCN
from lcnet.model.heads.query2label import Query2Label
from lcnet.model.image_tokens import ImageTokens
from lcnet.model.initialization import initialize
from lcnet.model.label_edges import Edges, alike
from lcnet.model.label_graph import LabelGraph
from lcnet.model.label_tokens import TOGETHER, LabelTokens
from lcnet.model.lcnet import LCNet
from lcnet.model.looking import Looking
from lcnet.model.mapping import Mapping
from lcnet.model.pooling import Pooling
from lcnet.model.released_parts import (
    ReleasedExchange,
    ReleasedGraph,
    ReleasedRead,
    band_correlation,
    graph_heads,
)
from lcnet.model.rival import RivalNet


def build_model(
    settings: config.Model,
    labels: int,
    *,
    backbone: Backbone | None = None,
    spec: BackboneSpec | None = None,
    prior: Tensor | Edges | None = None,
    vectors: Tensor | None = None,
    shares: Tensor | None = None,
    head_options: abc.Mapping[str, Any] | None = None,
) -> Classifier:
    """A model for `labels` labels, initialised: an LCNet, or a rival if the settings name one.

    `backbone` is used instead of the timm model that the settings name; `spec` describes that timm
    model and is looked up if not given. `prior` (L L) is P(column | row) from the training labels,
    or that of a few edges for each label; by default the same for all. `vectors` (L E) describe the
    labels. `shares` (L) are how often each label is present, for LCNet. `head_options` are sizes of
    a rival's head if they are not those of its paper. Raises ConfigError if there is no such timm
    model or its weights cannot be loaded.
    """
    if backbone is None:
        backbone = build_backbone(
            spec or describe_backbone(settings.backbone, settings.view_size, settings.channels),
            pretrained_from=settings.backbone if settings.pretrained else "",
            chunk=settings.view_chunk,
            earlier_stages=settings.earlier_stages,
        )
    if settings.head == "lcnet":
        return build_lcnet(settings, backbone, labels, prior=prior, vectors=vectors, shares=shares)
    return RivalNet(
        crops=_crops(settings),
        backbone=backbone,
        head=_head(settings, backbone.channels, labels, prior, vectors, head_options or {}),
    )


def needs_pairs(settings: config.Model, labels: int) -> int | None:
    """How many edges of each label a model is built from: 0 for none, None for all pairs."""
    if settings.head == "ml_gcn":
        return None
    if settings.head != "lcnet" or settings.graph == "none":
        return 0
    return None if settings.graph == "released" else edges_for(labels, settings.graph_edges)


def _all_pairs(labels: int, prior: Tensor | Edges | None) -> Tensor:
    """The prior as a matrix (L L), the same for all if there is none."""
    if isinstance(prior, Edges):
        raise ValueError("prior: expected that of all pairs of labels, got that of a few edges")
    return torch.ones(labels, labels) if prior is None else prior


def _crops(settings: config.Model) -> Crops:
    return Crops(settings.crop_level, settings.view_size, antialias=settings.released.antialias)


# LCNet


def build_lcnet(
    settings: config.Model,
    backbone: Backbone,
    labels: int,
    *,
    prior: Tensor | Edges | None = None,
    vectors: Tensor | None = None,
    shares: Tensor | None = None,
) -> LCNet:
    """An LCNet as the settings say, initialised; `build_model` explains the arguments."""
    width = settings.width
    crops = _crops(settings)
    # The order of the parts is the order of the random numbers that they are made with.
    model = LCNet(
        crops=crops,
        backbone=backbone,
        image_tokens=ImageTokens(crops.boxes(), backbone.channels, width, encode=settings.position),
        label_tokens=LabelTokens(labels, width, learn=settings.released.label_tokens == "learned"),
        graph=_graph(settings, labels, prior, vectors),
        decoder=_decoder(settings, labels),
        mapping=_mapping(settings, labels, backbone.channels),
        pooling=_pooling(settings, labels, backbone.channels),
        decoder_gradient=settings.decoder_gradient,
    )
    initialize(model, shares=shares)
    return model


def _graph(
    settings: config.Model, labels: int, prior: Tensor | Edges | None, vectors: Tensor | None
) -> LabelGraph | ReleasedGraph | None:
    by_feature = settings.released.graph_tokens == "feature"
    match settings.graph:
        case "none":
            return None
        case "released":
            return ReleasedGraph(
                band_correlation(_all_pairs(labels, prior), settings.released.graph_low),
                settings.width,
                hidden=settings.released.graph_width,
                heads=graph_heads(labels),
                by_feature=by_feature,
            )
        case kind:
            if prior is None:
                edges = edges_for(labels, settings.graph_edges)
                prior = alike(labels, edges) if edges else _all_pairs(labels, None)
            return LabelGraph(
                prior_as(settings.graph_prior, prior),
                settings.width,
                vectors=vectors,
                learn=kind == "learned",
                by_feature=by_feature,
            )


def _mapping(settings: config.Model, labels: int, channels: int) -> Mapping | Looking:
    if settings.read == "scores":
        return Looking(labels, channels, settings.width, settings.heads)
    return Mapping(labels, settings.width, shared_bias=settings.released.shared_bias)


def _decoder(settings: config.Model, labels: int) -> Decoder:
    """The stack of layers. A layer that never exchanges has no weights for it."""
    # What reads scores is the last layer.
    depth = settings.depth - (settings.read == "scores")
    width, heads, dropout = settings.width, settings.heads, settings.dropout
    released = settings.released.layer == "released"
    read_kind = ReleasedRead if released else Read
    exchange_kind = ReleasedExchange if released else Exchange
    shared = settings.share_layers and depth > 1
    layers = [
        LLCDLayer(
            read_kind(width, heads, mlp_width=settings.mlp_width, dropout=dropout),
            exchange_kind(width, heads, dropout=dropout)
            if settings.graph != "none" and (number > 0 or shared or not released)
            else None,
        )
        for number in range(min(depth, 1) if settings.share_layers else depth)
    ]
    decoder = Decoder(layers, depth=depth, read_first=released)
    for part in decoder.modules():
        if isinstance(part, Attention):
            part.folds = labels > TOGETHER
    return decoder


def _pooling(settings: config.Model, labels: int, channels: int) -> Pooling | None:
    if settings.pooling == "none":
        return None
    apart = settings.pooling == "two_classifiers" and settings.crop_level > 0
    return Pooling(labels, channels, apart=apart, attended=settings.attended)


# Rivals


def _head(
    settings: config.Model,
    channels: int,
    labels: int,
    prior: Tensor | Edges | None,
    vectors: Tensor | None,
    options: abc.Mapping[str, Any],
) -> Head:
    match settings.head:
        case "gap":
            return GlobalPooling(labels, channels, **options)
        case "csra":
            return CSRA(labels, channels, **{"weight": settings.attended, **options})
        case "ml_gcn":
            return MLGCN(_all_pairs(labels, prior), channels, vectors=vectors, **options)
        case "query2label":
            return Query2Label(labels, channels, **options)
        case _:
            return MLDecoder(labels, channels, **options)
