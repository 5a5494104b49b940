"""LCNet: one image, many labels.

Letters for shapes: B images, V views, T image tokens, L labels, G graph tokens (one per label, or
one per feature as released), C channels of a feature map, D width of a token.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain

import torch
from torch import Tensor, nn

from lcnet.model.backbone import Backbone
from lcnet.model.classifier import Classifier
from lcnet.model.crops import Crops
from lcnet.model.decoder import Decoder
from lcnet.model.explanation import mean_attention, recorded
from lcnet.model.graph_matrices import GraphMatrices
from lcnet.model.image_tokens import ImageTokens
from lcnet.model.label_graph import FixedGraph, LabelGraph
from lcnet.model.label_tokens import LabelTokens, labels_at_once, pictures_at_once, recomputed
from lcnet.model.looking import Looking
from lcnet.model.mapping import Mapping, Some
from lcnet.model.pooling import Pooling
from lcnet.model.released_parts import ReleasedGraph

NEAR = 8
"""Nodes of a graph of many labels that are tried for each label that is explained."""


class LCNet(Classifier):
    """Learnable Label Correlation Network: the figure's boxes and the order they run in.

    images -> crops -> views -> backbone -> feature maps            (`maps`)

    feature maps -> image_tokens --+
    graph -------> graph tokens ---+--> decoder --> mapping -> logits   (`ways`)
    label_tokens ------------------+

    With `Looking` in the place of the mapping, a label's token is added to its graph token before
    the decoder, and the logits come from the feature maps.
    """

    def __init__(
        self,
        *,
        crops: Crops,
        backbone: Backbone,
        image_tokens: ImageTokens,
        label_tokens: LabelTokens,
        graph: LabelGraph | ReleasedGraph | None,
        decoder: Decoder,
        mapping: Mapping | Looking,
        pooling: Pooling | None = None,
        decoder_gradient: float = 1.0,
    ) -> None:
        """Take the boxes. `decoder_gradient` is from 0 to 1 and counts beside pooling only.

        It is the share of the decoder's gradient that reaches the feature maps in training.
        """
        super().__init__(crops, backbone)
        self.image_tokens = image_tokens
        self.label_tokens = label_tokens
        self.graph = graph
        self.decoder = decoder
        self.mapping = mapping
        self.pooling = pooling
        self.decoder_gradient = decoder_gradient if pooling else 1.0

    def ways(self, maps: Tensor) -> tuple[Tensor, ...]:
        """The figure, from the views' feature maps (B V C h w) to the decoder's logits (B L).

        A model with pooling gives the logits of pooling (B L) as well.
        """
        graph, at_once = self.graph_tokens(), self.at_once
        if at_once is None:
            return self.ways_together(maps, graph)
        # A token for each of thousands of labels and pictures would not fit into the memory.
        pictures = maps.split(at_once)
        if self.parts is None:
            found = [recomputed(self.ways_together, some, graph) for some in pictures]
        else:  # which computes again what is large by itself
            found = [self.ways_together(some, graph) for some in pictures]
        return tuple(torch.cat(logits) for logits in zip(*found, strict=True))

    @property
    def at_once(self) -> int | None:
        """How many pictures go through the decoder together; None for all of a batch."""
        return pictures_at_once(len(self.label_tokens.tokens))

    @property
    def parts(self) -> list[slice] | None:
        """The labels in parts that go through the decoder one by one; None for all together."""
        return labels_at_once(len(self.label_tokens.tokens))

    def again(self, maps: Tensor, graph: Tensor | None) -> list[Callable[[], Sequence[Tensor]]]:
        """What is computed again for the gradients of some pictures (B V C h w), one at a time."""
        parts = self.parts
        if parts is None:
            return [partial(self.ways_together, maps, graph)]
        image = self.image_tokens(maps)
        with torch.no_grad():
            read = self._memories(image, graph)
        return [
            partial(self._memories, image, graph),
            lambda: [self._scored(some, read, graph, maps) for some in parts[:1]],
        ]

    def ways_together(self, maps: Tensor, graph: Tensor | None) -> tuple[Tensor, ...]:
        """The same, given the graph's tokens, with all pictures in one pass of the decoder."""
        seen = self._read_by_decoder(maps)
        decoded = self._decoder_logits(self.image_tokens(seen), graph, seen)  # B L
        return (decoded,) if self.pooling is None else (decoded, self.pooling(maps))

    def score(self, maps: Tensor) -> Tensor:
        """The logits (B L) of the feature maps of all views (B V C h w): the mean of the ways."""
        # A small ensemble: decoder and pooling make different errors, and their mean makes fewer.
        return torch.stack(self.ways(maps)).mean(dim=0)

    def graph_tokens(self) -> Tensor | None:
        """The tokens of the label graph (G D); None without a graph."""
        return None if self.graph is None else self.graph()  # G D

    def _decoded(self, image: Tensor, graph: Tensor | None) -> tuple[Tensor, Tensor]:
        """The label tokens (B L D) and image tokens (B T D) that leave the decoder."""
        count = image.shape[0]  # not len(image), which an export would fix to a number
        labels = self.mapping.asking(self.label_tokens(), graph)  # L D
        every = None if graph is None else graph.expand(count, -1, -1)  # B G D
        return self.decoder(labels.expand(count, -1, -1), image, every)

    def _decoder_logits(self, image: Tensor, graph: Tensor | None, maps: Tensor) -> Tensor:
        """The decoder's logits (B L) of image tokens (B T D)."""
        parts = self.parts
        if parts is None:
            return self.mapping(*self._decoded(image, graph), maps)
        # Of a single picture, too, the tokens of many thousands of labels would be too large.
        memories = recomputed(self._memories, image, graph)
        scored = [recomputed(self._scored, some, memories, graph, maps) for some in parts]
        return torch.cat(scored, dim=1)

    def _scored(
        self, some: Some, memories: list[Tensor], graph: Tensor | None, maps: Tensor
    ) -> Tensor:
        """The decoder's logits of some labels alone (B K), of what each layer's labels read."""
        tokens = self.mapping.asking(self.label_tokens(), graph)[some]
        read = self.decoder.read(tokens.expand(len(maps), -1, -1), memories)
        return self.mapping(read, memories[-1], maps, some=some)

    def _memories(self, image: Tensor, graph: Tensor | None) -> list[Tensor]:
        every = None if graph is None else graph.expand(image.shape[0], -1, -1)  # B G D
        return self.decoder.memories(image, every)

    def _read_by_decoder(self, maps: Tensor) -> Tensor:
        """The same feature maps, with the share of the decoder's gradient that may reach them."""
        # With 0, pooling alone trains the backbone: on digits that made better features.
        if self.training and self.decoder_gradient < 1:
            return torch.lerp(maps.detach(), maps, self.decoder_gradient)
        return maps

    def looked(self, maps: Tensor) -> Tensor:
        """Where each label looked in the feature maps (B V C h w): B L T, rows sum to 1.

        The mean over layers and heads of the label tokens' attention to the image tokens; with
        `Looking` that of its heads alone, since the others do not choose what is scored.
        """
        with recorded(self.decoder.readers()) as weights:
            labels, image = self._decoded(self.image_tokens(maps), self.graph_tokens())
        last = self.mapping.looked(labels, image)
        return mean_attention(weights) if last is None else last

    def label_graph(self) -> Tensor | None:
        """What each label (row) takes from each other (column), L L; None without a graph."""
        return None if self.graph is None else self.graph.adjacency()

    @torch.inference_mode()
    def graph_matrices(self) -> GraphMatrices | None:
        """The label graph before and after learning; None without a graph."""
        return None if self.graph is None else self.graph.matrices()

    @torch.inference_mode()
    def influences(self, maps: Tensor) -> Tensor | None:
        """What each label's graph node does to each score: B L L; None without a graph.

        Row k, column j is the logit of label k minus its logit with node j taken out of the graph.
        The node's row and column are cut from the adjacency, the other rows are scaled to sum to 1
        again (except in the released graph), and its token takes no part in the exchange with the
        image. With `Looking`, label j keeps its own token, and nothing but the others' edges to it
        are cut. A single label has nothing to compare with: its influence is 0.
        """
        if self.graph is None:
            return None
        if len(self.mapping.weight) == 1:
            return torch.zeros(len(maps), 1, 1, device=maps.device)
        # The steps of `ways`, but the image tokens are computed once and not again for each node.
        image = self.image_tokens(maps)  # B T D
        learned, tokens = self.graph, self.graph()  # G D

        def decoded(graph: Tensor) -> Tensor:
            return self.mapping(*self._decoded(image, graph), maps)

        whole = decoded(tokens)  # B L
        cut = [
            decoded(self.mapping.with_own(tokens, learned(without=node), node))
            for node in range(whole.shape[1])
        ]
        change = whole[:, :, None] - torch.stack(cut, dim=-1)  # B L L
        # Beside pooling the decoder's logits are half of the mean.
        return change if self.pooling is None else change / 2

    @torch.inference_mode()
    def moved(self, maps: Tensor, labels: Sequence[int]) -> tuple[Tensor, Sequence[int]] | None:
        """What graph nodes do to the logits of some labels (B K N), and whose the N nodes are.

        Where each label is joined to a few alone, they are those of which these labels take most,
        at most `NEAR` each: the others reach them over further labels or the picture alone.
        """
        graph = self.graph
        if not isinstance(graph, LabelGraph) or graph.joined is None:
            return super().moved(maps, labels)
        chosen, image, tokens, shares = (
            list(labels),
            self.image_tokens(maps),
            graph(),
            graph.shares(),
        )
        nodes = sorted(set(chain.from_iterable(graph.strongest(chosen, NEAR))))

        def scored(kept: Tensor) -> Tensor:
            return self._scored(chosen, self._memories(image, kept), kept, maps)

        whole = scored(tokens)
        cut = [
            scored(self.mapping.with_own(tokens, graph.by_edges(shares, without=node), node))
            for node in nodes
        ]
        change = whole[:, :, None] - torch.stack(cut, dim=-1)  # B K N
        return change if self.pooling is None else change / 2, nodes

    def fix_graph(self) -> None:
        """Compute the tokens of a graph of many labels once, for inference alone."""
        if isinstance(self.graph, LabelGraph) and self.graph.joined is not None:
            self.add_module("graph", FixedGraph(self.graph))

    def undecayed(self) -> list[Tensor]:
        """The label tokens and the graph's nodes."""
        nodes = None if self.graph is None else self.graph.nodes
        return [self.label_tokens.tokens] + ([] if nodes is None else [nodes])

    def decoder_parameters(self) -> list[nn.Parameter]:
        """All of the figure's own weights, if pooling is trained beside them."""
        if self.pooling is None:
            return []
        figure: tuple[nn.Module | None, ...] = (self.graph, self.decoder)
        if not self.mapping.is_linear:  # which pooling is, and learns at the full rate
            figure += (self.image_tokens, self.label_tokens, self.mapping)
        return [weight for part in figure if part is not None for weight in part.parameters()]
