"""LCNet: one image, many labels.

Letters for shapes: B images, V views, T image tokens, L labels, D width, H and W pixels.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lcnet import config
from lcnet.model.attention import Attention
from lcnet.model.backbone import Backbone, BackboneSpec, build_backbone, describe_backbone
from lcnet.model.crops import Crops
from lcnet.model.decoder import Decoder
from lcnet.model.graph import LabelGraph
from lcnet.model.head import Mapping
from lcnet.model.initialization import initialize
from lcnet.model.labels import LabelTokens
from lcnet.model.position import ImageTokens


@dataclass(frozen=True)
class Explanation:
    """Why a model gave its scores."""

    logits: Tensor
    """B L."""
    attention: Tensor
    """Where each label looked: B L H W, not negative, each map sums to 1."""
    graph: Tensor | None
    """What each label (row) takes from each other (column): L L, rows sum to 1; or no graph."""


class LCNet(nn.Module):
    """Learnable Label Correlation Network: the figure's boxes and the order they run in."""

    def __init__(
        self,
        *,
        crops: Crops,
        backbone: Backbone,
        image_tokens: ImageTokens,
        label_tokens: LabelTokens,
        graph: LabelGraph | None,
        decoder: Decoder,
        mapping: Mapping,
    ) -> None:
        super().__init__()
        self.crops = crops
        self.backbone = backbone
        self.image_tokens = image_tokens
        self.label_tokens = label_tokens
        self.graph = graph
        self.decoder = decoder
        self.mapping = mapping

    def forward(self, images: Tensor) -> Tensor:
        """The logits (B L) of images (B 3 H W, RGB, normalised as the backbone expects)."""
        image = self.image_tokens(self.maps(images))  # B T D
        labels = self.label_tokens().expand(len(images), -1, -1)  # B L D
        graph = None if self.graph is None else self.graph().expand(len(images), -1, -1)  # B L D
        labels = self.decoder(labels, image, graph)  # B L D
        logits: Tensor = self.mapping(labels)  # B L
        return logits.float()

    def maps(self, images: Tensor) -> Tensor:
        """The feature maps of all views of each image: B V D h w."""
        views = self.crops(images)  # B V 3 S S
        maps: Tensor = self.backbone(views.flatten(0, 1))
        return maps.unflatten(0, views.shape[:2])

    @torch.inference_mode()
    def explain(self, images: Tensor) -> Explanation:
        """Logits, each label's attention over the image and the label graph, as in evaluation.

        The attention is the mean over layers and heads of what the label tokens read, put back from
        tiles and whole image to where it came from.
        """
        was_training = self.training
        self.eval()
        with _recorded(self.decoder.readers()) as weights:
            logits = self(images)
        grid = self.maps(images[:1]).shape[-2:]
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

    def parameter_groups(
        self, lr: float, *, backbone_lr_factor: float, weight_decay: float
    ) -> list[dict[str, object]]:
        """Groups for an optimizer: the backbone at its own rate, decay on weight matrices only.

        Biases, norms, label tokens and graph nodes are not decayed, nor what a ViT excludes itself.
        """
        spared = {id(self.label_tokens.tokens)}
        if self.graph is not None and self.graph.nodes is not None:
            spared.add(id(self.graph.nodes))
        features = self.backbone.features
        excluded: set[str] = getattr(features, "no_weight_decay", set)()
        spared |= {id(weight) for name, weight in features.named_parameters() if name in excluded}
        backbone = {id(weight) for weight in features.parameters()}
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for weight in self.parameters():
            if weight.requires_grad:
                rate = lr * backbone_lr_factor if id(weight) in backbone else lr
                decay = weight_decay if weight.ndim > 1 and id(weight) not in spared else 0.0
                groups.setdefault((rate, decay), []).append(weight)
        return [
            {"params": weights, "lr": rate, "weight_decay": decay}
            for (rate, decay), weights in groups.items()
        ]


@contextmanager
def _recorded(parts: list[Attention]) -> Iterator[list[Tensor]]:
    """Collects the attention weights (B heads L T) of each call of `parts`."""
    weights: list[Tensor] = []

    def record(part: nn.Module, inputs: tuple[Tensor, Tensor]) -> None:
        assert isinstance(part, Attention)
        weights.append(part.weights(*inputs).float())

    hooks = [part.register_forward_pre_hook(record) for part in parts]
    try:
        yield weights
    finally:
        for hook in hooks:
            hook.remove()


def build_model(
    settings: config.Model,
    labels: int,
    *,
    spec: BackboneSpec | None = None,
    prior: Tensor | None = None,
    vectors: Tensor | None = None,
    shares: Tensor | None = None,
) -> LCNet:
    """An LCNet for `labels` labels, initialised.

    `spec` describes the backbone that the settings name, looked up if not given. `prior` (L L) is
    P(column | row) from the training labels, even if not given; `vectors` (L E) describe the
    labels; `shares` (L) are how often each is present.
    Raises ConfigError if there is no such backbone or its weights cannot be had.
    """
    spec = spec or describe_backbone(settings.backbone, settings.view_size)
    crops = Crops(settings.crop_level, settings.view_size)
    width, heads = settings.width, settings.heads
    if prior is None:
        prior = torch.ones(labels, labels)
    graph = LabelGraph(prior, width, vectors=vectors, learn=settings.graph == "learned")
    model = LCNet(
        crops=crops,
        backbone=build_backbone(
            spec,
            width,
            pretrained_from=settings.backbone if settings.pretrained else "",
            chunk=settings.view_chunk,
        ),
        image_tokens=ImageTokens(crops.boxes(), width, encode=settings.position),
        label_tokens=LabelTokens(labels, width),
        graph=None if settings.graph == "off" else graph,
        decoder=Decoder(
            width,
            heads,
            depth=settings.depth,
            mlp_width=settings.mlp_width,
            dropout=settings.dropout,
            graph=settings.graph != "off",
            share_layers=settings.share_layers,
        ),
        mapping=Mapping(labels, width),
    )
    initialize(model, shares=shares)
    return model
