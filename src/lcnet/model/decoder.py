"""LLCD, the learnable label correlation decoder: label, image and graph tokens, fused."""

from collections.abc import Sequence

from torch import Tensor, nn

from lcnet.model.attention import Attention


class Residual(nn.Module):
    """Adds a change to a stream, with dropout, and normalises the sum (post-norm, as released)."""

    def __init__(self, width: int, *, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, stream: Tensor, change: Tensor) -> Tensor:
        """The stream after the change, of the same shape."""
        return self.norm(stream + self.dropout(change))


class Exchange(nn.Module):
    """The graph tokens read the image tokens, then the image tokens read the new graph tokens."""

    def __init__(self, width: int, heads: int, *, dropout: float) -> None:
        super().__init__()
        self.graph_reads_image = Attention(width, heads, dropout=dropout)
        self.image_reads_graph = Attention(width, heads, dropout=dropout)
        self.graph_residual = Residual(width, dropout=dropout)
        self.image_residual = Residual(width, dropout=dropout)

    def forward(self, image: Tensor, graph: Tensor) -> tuple[Tensor, Tensor]:
        """Both streams after the exchange: image B T D, graph B G D."""
        graph = self.graph_residual(graph, self.graph_reads_image(graph, image))
        image = self.image_residual(image, self.image_reads_graph(image, graph))
        return image, graph


class Read(nn.Module):
    """Each label token reads the image tokens by attention, then passes an MLP."""

    def __init__(self, width: int, heads: int, *, mlp_width: int, dropout: float) -> None:
        super().__init__()
        self.labels_read_image = Attention(width, heads, dropout=dropout)
        self.read_residual = Residual(width, dropout=dropout)
        self.mlp = nn.Sequential(
            nn.Linear(width, mlp_width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(mlp_width, width)
        )
        self.mlp_residual = Residual(width, dropout=dropout)

    def forward(
        self,
        labels: Tensor,
        image: Tensor,
        *,
        query_place: Tensor | None = None,
        key_place: Tensor | None = None,
    ) -> Tensor:
        """The label tokens (B L D) after reading the image tokens (B T D): B L D.

        Place codes (L D and T D) are for the attention only; LCNet does not use them.
        """
        gathered = self.labels_read_image(
            labels, image, query_place=query_place, key_place=key_place
        )
        labels = self.read_residual(labels, gathered)
        return self.mlp_residual(labels, self.mlp(labels))


class LLCDLayer(nn.Module):
    """One decoder layer: image and graph exchange, then the label tokens read the image."""

    def __init__(self, read: Read, exchange: nn.Module | None) -> None:
        super().__init__()
        self.exchange = exchange
        self.read = read

    def forward(
        self, labels: Tensor, image: Tensor, graph: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """The three streams after this layer: labels B L D, image B T D, graph B G D (or none)."""
        if self.exchange is not None and graph is not None:
            image, graph = self.exchange(image, graph)
        return self.read(labels, image), image, graph


class Decoder(nn.Module):
    """The LLCD stack: one layer after the other, or one shared layer run `depth` times.

    In a layer, image and graph tokens first update each other (exchange); then the label tokens
    read the image. The release does it the other way round, so nothing reads its last exchange, and
    a single layer never sees the graph. `read_first` gives the released order: this stack without
    the first exchange.
    """

    def __init__(
        self, layers: Sequence[LLCDLayer], *, depth: int, read_first: bool = False
    ) -> None:
        """Take `depth` layers (or none), or a single layer that is run `depth` times."""
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.depth = depth
        self.read_first = read_first

    def forward(self, labels: Tensor, image: Tensor, graph: Tensor | None) -> tuple[Tensor, Tensor]:
        """The label tokens (B L D) and the image tokens (B T D) after all layers, alike."""
        for number in range(self.depth):
            layer = self._layer(number)
            if number == 0 and self.read_first:
                labels = layer.read(labels, image)
            else:
                labels, image, graph = layer(labels, image, graph)
        return labels, image

    def memories(self, image: Tensor, graph: Tensor | None) -> list[Tensor]:
        """The image tokens (B T D) that each layer's labels read; of no layer those that come in.

        The label tokens change neither image nor graph, so `read` can take some of them alone.
        """
        seen = []
        for number in range(self.depth):
            layer = self._layer(number)
            is_exchanged = not (number == 0 and self.read_first)
            if is_exchanged and layer.exchange is not None and graph is not None:
                image, graph = layer.exchange(image, graph)
            seen.append(image)
        return seen or [image]

    def read(self, labels: Tensor, memories: Sequence[Tensor]) -> Tensor:
        """Some label tokens (B K D) after all layers, which read what `memories` gave: B K D."""
        for number in range(self.depth):
            labels = self._layer(number).read(labels, memories[number])
        return labels

    def readers(self) -> list[Attention]:
        """Each layer's attention from label tokens to image tokens."""
        return [self._layer(number).read.labels_read_image for number in range(len(self.layers))]

    def _layer(self, number: int) -> LLCDLayer:
        layer = self.layers[number % len(self.layers)]
        assert isinstance(layer, LLCDLayer)
        return layer
