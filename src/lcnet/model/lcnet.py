"""LCNet: one image, many labels.

Letters for shapes: B images, V views, T image tokens, L labels, G graph tokens (one per label, or
one per feature as released), D width, H and W pixels.
"""

import torch
from torch import Tensor, nn

from lcnet import config
from lcnet.model.backbone import Backbone
from lcnet.model.classifier import Classifier
from lcnet.model.crops import Crops
from lcnet.model.decoder import Decoder, Exchange, LLCDLayer, Read
from lcnet.model.explanation import mean_attention, recorded
from lcnet.model.image_tokens import ImageTokens
from lcnet.model.initialization import initialize
from lcnet.model.label_graph import LabelGraph
from lcnet.model.label_tokens import LabelTokens
from lcnet.model.mapping import Mapping
from lcnet.model.pooling import Pooling
from lcnet.model.released_parts import (
    ReleasedExchange,
    ReleasedGraph,
    ReleasedRead,
    band_correlation,
    graph_heads,
)


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
        decoder_gradient: float = 1.0,
    ) -> None:
        """Take the boxes; with pooling, `decoder_gradient` is from 0 to 1 (see `ways`)."""
        super().__init__(crops, backbone)
        self.image_tokens = image_tokens
        self.label_tokens = label_tokens
        self.graph = graph
        self.decoder = decoder
        self.mapping = mapping
        self.pooling = pooling
        self.decoder_gradient = decoder_gradient if pooling else 1.0

    def score(self, maps: Tensor) -> Tensor:
        """The head: the logits (B L) of the feature maps of all views (B V C h w)."""
        return torch.stack(self.ways(maps)).mean(dim=0)

    def ways(self, maps: Tensor) -> tuple[Tensor, ...]:
        """The decoder's logits (B L) and, where the model has it, those of pooling.

        In training `decoder_gradient` is the share of the decoder's gradient that reaches the maps.
        """
        read = maps
        if self.training and self.decoder_gradient < 1:
            read = torch.lerp(maps.detach(), maps, self.decoder_gradient)
        decoded = self.decode(read)
        return (decoded,) if self.pooling is None else (decoded, self.pooling(maps))

    def decode(self, maps: Tensor) -> Tensor:
        """The figure: the logits (B L) of label, image and graph tokens, fused."""
        image = self.image_tokens(maps)  # B T D
        return self._fused(image, None if self.graph is None else self.graph())

    def _fused(self, image: Tensor, graph: Tensor | None) -> Tensor:
        """The decoder's logits (B L) of image (B T D) and graph tokens (G D)."""
        labels = self.label_tokens().expand(image.shape[0], -1, -1)  # B L D
        nodes = None if graph is None else graph.expand(image.shape[0], -1, -1)  # B G D
        labels = self.decoder(labels, image, nodes)  # B L D
        return self.mapping(labels)  # B L

    def looked(self, maps: Tensor) -> Tensor:
        """Where each label looked in the feature maps (B V C h w): B L T, rows sum to 1.

        The mean over layers and heads of what the label tokens read.
        """
        with recorded(self.decoder.readers()) as weights:
            self.score(maps)
        return mean_attention(weights)

    def adjacency(self) -> Tensor | None:
        """What each label (row) takes from each other (column), L L; none without a graph."""
        return None if self.graph is None else self.graph.adjacency()

    @torch.inference_mode()
    def influences(self, maps: Tensor) -> Tensor | None:
        """What each label's graph node does to each score (maps B V C h w): B L L, or no graph.

        Row k, column j: the logit of label k less what it is with node j out of the graph: its row
        and column cut from the adjacency, the other rows scaled to their sum of 1 again (not those
        of the released graph), and its token kept from the exchange with the image. With a single
        label there is nothing to compare with, and it is 0.
        """
        if self.graph is None:
            return None
        labels = len(self.mapping.weight)
        if labels == 1:
            return torch.zeros(len(maps), 1, 1, device=maps.device)
        image = self.image_tokens(maps)
        whole = self._fused(image, self.graph())
        without = [self._fused(image, self.graph(without=label)) for label in range(labels)]
        change = whole[:, :, None] - torch.stack(without, dim=-1)
        return change if self.pooling is None else change / 2  # its logits are half of the mean

    def decoding(self) -> list[nn.Parameter]:
        """All of the figure's own weights, if pooling learns beside them."""
        if self.pooling is None:
            return []
        figure = (self.image_tokens, self.label_tokens, self.graph, self.decoder, self.mapping)
        return [weight for part in figure if part is not None for weight in part.parameters()]

    def undecayed(self) -> list[Tensor]:
        """The label tokens and the graph's nodes."""
        nodes = None if self.graph is None else self.graph.nodes
        return [self.label_tokens.tokens] + ([] if nodes is None else [nodes])


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
    crops = Crops(settings.crop_level, settings.view_size, antialias=settings.released.antialias)
    model = LCNet(
        crops=crops,
        backbone=backbone,
        image_tokens=ImageTokens(crops.boxes(), backbone.channels, width, encode=settings.position),
        label_tokens=LabelTokens(labels, width, learn=settings.released.label_tokens == "learned"),
        graph=_graph(settings, prior, vectors),
        decoder=_decoder(settings),
        mapping=Mapping(labels, width, shared_bias=settings.released.shared_bias),
        pooling=None
        if settings.pooling == "none"
        else Pooling(
            labels,
            backbone.channels,
            apart=settings.pooling == "two_classifiers" and settings.crop_level > 0,
        ),
        decoder_gradient=settings.decoder_gradient,
    )
    initialize(model, shares=shares)
    return model


def _graph(
    settings: config.Model, prior: Tensor, vectors: Tensor | None
) -> LabelGraph | ReleasedGraph | None:
    by_feature = settings.released.graph_tokens == "feature"
    match settings.graph:
        case "none":
            return None
        case "released":
            return ReleasedGraph(
                band_correlation(prior, settings.released.graph_low),
                settings.width,
                hidden=settings.released.graph_width,
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
    released = settings.released.layer == "released"
    read_kind = ReleasedRead if released else Read
    exchange_kind = ReleasedExchange if released else Exchange
    shared = settings.share_layers and settings.depth > 1
    layers = [
        LLCDLayer(
            read_kind(width, heads, mlp_width=settings.mlp_width, dropout=dropout),
            exchange_kind(width, heads, dropout=dropout)
            if settings.graph != "none" and (number > 0 or shared or not released)
            else None,
        )
        for number in range(1 if settings.share_layers else settings.depth)
    ]
    return Decoder(layers, depth=settings.depth, read_first=released)
