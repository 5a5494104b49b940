"""LCNet: one image, many labels.

Letters for shapes: B images, V views, T image tokens, L labels, G graph tokens (one per label, or
one per feature as released), D width, H and W pixels.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lcnet import config
from lcnet.model.attention import Attention
from lcnet.model.backbone import Backbone
from lcnet.model.classifier import Classifier
from lcnet.model.crops import Crops
from lcnet.model.decoder import Decoder, Exchange, LLCDLayer, Read
from lcnet.model.graph import LabelGraph
from lcnet.model.head import Mapping
from lcnet.model.image_tokens import ImageTokens
from lcnet.model.initialization import initialize
from lcnet.model.labels import LabelTokens
from lcnet.model.pooling import Pooling
from lcnet.model.released import (
    ReleasedExchange,
    ReleasedGraph,
    ReleasedRead,
    band_correlation,
    graph_heads,
)


@dataclass(frozen=True)
class Explanation:
    """Why a model gave its scores."""

    logits: Tensor
    """B L."""
    attention: Tensor
    """Where each label looked: B L H W, not negative, each map sums to 1."""
    graph: Tensor | None
    """What each label (row) takes from each other (column): L L; or no graph. Rows sum to 1, but
    not those of the released graph."""


class LCNet(Classifier):
    """Learnable Label Correlation Network: the figure's boxes and the order they run in."""

    def __init__(
        self,
        *,
        crops: Crops,
        backbone: Backbone,
        image_tokens: ImageTokens,
        label_tokens: LabelTokens,
        graph: LabelGraph | ReleasedGraph | None,
        decoder: Decoder,
        mapping: Mapping,
        pooling: Pooling | None = None,
    ) -> None:
        super().__init__(crops, backbone)
        self.image_tokens = image_tokens
        self.label_tokens = label_tokens
        self.graph = graph
        self.decoder = decoder
        self.mapping = mapping
        self.pooling = pooling

    def score(self, maps: Tensor) -> Tensor:
        """The head: the logits (B L) of the feature maps of all views (B V C h w)."""
        return torch.stack(self.ways(maps)).mean(dim=0)

    def ways(self, maps: Tensor) -> tuple[Tensor, ...]:
        """The decoder's logits (B L) and, where the model has it, those of pooling."""
        decoded = self.decode(maps)
        return (decoded,) if self.pooling is None else (decoded, self.pooling(maps))

    def decode(self, maps: Tensor) -> Tensor:
        """The figure: the logits (B L) of label, image and graph tokens, fused."""
        image = self.image_tokens(maps)  # B T D
        labels = self.label_tokens().expand(maps.shape[0], -1, -1)  # B L D
        graph = None if self.graph is None else self.graph().expand(maps.shape[0], -1, -1)  # B G D
        labels = self.decoder(labels, image, graph)  # B L D
        return self.mapping(labels)  # B L

    @torch.inference_mode()
    def explain(self, images: Tensor) -> Explanation:
        """Logits, each label's attention over the image and the label graph, as in evaluation.

        The attention is the mean over layers and heads of what the label tokens read, put back from
        tiles and whole image to where it came from.
        """
        was_training = self.training
        self.eval()
        maps = self.maps(images)
        with _recorded(self.decoder.readers()) as weights:
            logits = self.score(maps).float()
        grid = maps.shape[-2:]
        self.train(was_training)
        attention = torch.stack(weights).mean(dim=(0, 2))  # B L T
        height, width = images.shape[-2:]
        attention = self._stitch(attention.unflatten(-1, (-1, *grid)), (height, width))
        return Explanation(
            logits, attention, None if self.graph is None else self.graph.adjacency()
        )

    def _stitch(self, attention: Tensor, size: tuple[int, int]) -> Tensor:
        """The views' attention (B L V h w) as one map over the image: B L H W."""
        level = max(self.crops.level, 1)
        whole = attention[:, :, -1]
        # A token's share over the pixels it covers: dense where many tokens cover the image.
        total = F.interpolate(whole, size, mode="bilinear") * whole[0, 0].numel()
        if self.crops.level:
            tiles = attention[:, :, :-1].unflatten(2, (level, level))  # B L row column h w
            tiles = tiles.permute(0, 1, 2, 4, 3, 5).flatten(4, 5).flatten(2, 3)
            total = total + F.interpolate(tiles, size, mode="bilinear") * tiles[0, 0].numel()
        return total / total.sum(dim=(2, 3), keepdim=True)

    def undecayed(self) -> list[Tensor]:
        """The label tokens and the graph's nodes."""
        nodes = None if self.graph is None else self.graph.nodes
        return [self.label_tokens.tokens] + ([] if nodes is None else [nodes])


@contextmanager
def _recorded(parts: list[Attention]) -> Iterator[list[Tensor]]:
    """Collects the attention weights (B heads L T) of each call of `parts`."""
    weights: list[Tensor] = []

    def record(part: nn.Module, inputs: tuple[Tensor, Tensor], places: dict[str, Any]) -> None:
        assert isinstance(part, Attention)
        weights.append(part.weights(*inputs, **places).float())

    hooks = [part.register_forward_pre_hook(record, with_kwargs=True) for part in parts]
    try:
        yield weights
    finally:
        for hook in hooks:
            hook.remove()


def build_lcnet(
    settings: config.Model,
    backbone: Backbone,
    prior: Tensor,
    *,
    vectors: Tensor | None = None,
    shares: Tensor | None = None,
) -> LCNet:
    """An LCNet as the settings say, initialised; `build_model` explains the arguments."""
    labels, width = len(prior), settings.width
    crops = Crops(settings.crop_level, settings.view_size, antialias=settings.antialias)
    model = LCNet(
        crops=crops,
        backbone=backbone,
        image_tokens=ImageTokens(crops.boxes(), backbone.channels, width, encode=settings.position),
        label_tokens=LabelTokens(labels, width, learn=settings.label_tokens == "learned"),
        graph=_graph(settings, prior, vectors),
        decoder=_decoder(settings),
        mapping=Mapping(labels, width, shared_bias=settings.shared_bias),
        pooling=Pooling(labels, backbone.channels, tiles=settings.crop_level > 0)
        if settings.pooling
        else None,
    )
    initialize(model, shares=shares)
    return model


def _graph(
    settings: config.Model, prior: Tensor, vectors: Tensor | None
) -> LabelGraph | ReleasedGraph | None:
    by_feature = settings.graph_tokens == "feature"
    match settings.graph:
        case "off":
            return None
        case "released":
            return ReleasedGraph(
                band_correlation(prior, settings.graph_low),
                settings.width,
                hidden=settings.graph_width,
                heads=graph_heads(len(prior)),
                by_feature=by_feature,
            )
        case kind:
            return LabelGraph(
                prior,
                settings.width,
                vectors=vectors,
                learn=kind == "learned",
                by_feature=by_feature,
            )


def _decoder(settings: config.Model) -> Decoder:
    """The stack of layers; one that is never used to exchange has no weights for it."""
    width, heads, dropout = settings.width, settings.heads, settings.dropout
    released = settings.layer == "released"
    read_kind = ReleasedRead if released else Read
    exchange_kind = ReleasedExchange if released else Exchange
    shared = settings.share_layers and settings.depth > 1
    layers = [
        LLCDLayer(
            read_kind(width, heads, mlp_width=settings.mlp_width, dropout=dropout),
            exchange_kind(width, heads, dropout=dropout)
            if settings.graph != "off" and (number > 0 or shared or not released)
            else None,
        )
        for number in range(1 if settings.share_layers else settings.depth)
    ]
    return Decoder(layers, depth=settings.depth, read_first=released)
