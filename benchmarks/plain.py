"""The baseline of the speed tables: an LCNet written down plainly from its description.

Views go through the backbone one after the other, attention computes its weights as a matrix,
tensors are contiguous float32, and a released layer exchanges even where the result is not read. It
is a copy of a built model with the same weights, so both must give the same logits.
"""

import copy

import torch
from torch import Tensor, nn

from lcnet.model.attention import Attention
from lcnet.model.classifier import Classifier
from lcnet.model.decoder import Decoder


class PlainAttention(Attention):
    """Softmax, weights and dropout written out."""

    def forward(
        self,
        queries: Tensor,
        memory: Tensor,
        *,
        query_place: Tensor | None = None,
        key_place: Tensor | None = None,
    ) -> Tensor:
        """What each query (B Q D) gathers from the memory (B M D): B Q D."""
        weights = self.weights(queries, memory, query_place=query_place, key_place=key_place)
        weights = nn.functional.dropout(weights, self.dropout, self.training)
        return self.out((weights @ self._split(self.value(memory))).transpose(1, 2).flatten(2))


class PlainDecoder(Decoder):
    """Each released layer reads and then exchanges, the last one too."""

    def forward(self, labels: Tensor, image: Tensor, graph: Tensor | None) -> tuple[Tensor, Tensor]:
        """The label tokens (B L D) and the image tokens (B T D) after all layers."""
        if not self.read_first:
            return super().forward(labels, image, graph)
        for number in range(self.depth):
            layer = self._layer(number)
            labels = layer.read(labels, image)
            if layer.exchange is not None and graph is not None:
                image, graph = layer.exchange(image, graph)
        return labels, image


class Plain(nn.Module):
    """A copy of a model that computes in the plain way."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
        for part in self.model.modules():
            if type(part) is Attention:
                part.__class__ = PlainAttention
            elif type(part) is Decoder:
                part.__class__ = PlainDecoder

    def forward(self, images: Tensor) -> Tensor:
        """The logits (B L) of images (B 3 H W)."""
        return self.score(self.maps(images))

    def maps(self, images: Tensor) -> Tensor:
        """The feature maps of all views: B V C h w."""
        backbone, views = self.model.backbone, self.model.crops(images).unbind(1)
        maps = [
            backbone.as_maps(backbone.features.forward_features(view.contiguous()))
            for view in views
        ]
        return torch.stack(maps, dim=1)

    def score(self, maps: Tensor) -> Tensor:
        """The logits (B L) of maps (B V C h w)."""
        return self.model.score(maps)
