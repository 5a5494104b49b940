"""LLCD, the learnable label correlation decoder: label, image and graph tokens, fused."""

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
    """Image and graph tokens read each other: the graph sees the picture, the picture the graph."""

    def __init__(self, width: int, heads: int, *, dropout: float) -> None:
        super().__init__()
        self.graph_reads_image = Attention(width, heads, dropout=dropout)
        self.image_reads_graph = Attention(width, heads, dropout=dropout)
        self.graph_residual = Residual(width, dropout=dropout)
        self.image_residual = Residual(width, dropout=dropout)

    def forward(self, image: Tensor, graph: Tensor) -> tuple[Tensor, Tensor]:
        """Both streams after the exchange: image B T D, graph B L D."""
        graph = self.graph_residual(graph, self.graph_reads_image(graph, image))
        image = self.image_residual(image, self.image_reads_graph(image, graph))
        return image, graph


class LLCDLayer(nn.Module):
    """One decoder layer: the exchange first, then the label tokens read the image.

    The release lets labels read first and exchanges afterwards, so that the last layer's exchange
    is thrown away and a single layer never sees the graph. In this order nothing is wasted.
    """

    def __init__(
        self, width: int, heads: int, *, mlp_width: int, dropout: float, graph: bool
    ) -> None:
        super().__init__()
        self.exchange = Exchange(width, heads, dropout=dropout) if graph else None
        self.labels_read_image = Attention(width, heads, dropout=dropout)
        self.read_residual = Residual(width, dropout=dropout)
        self.mlp = nn.Sequential(
            nn.Linear(width, mlp_width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(mlp_width, width)
        )
        self.mlp_residual = Residual(width, dropout=dropout)

    def forward(
        self, labels: Tensor, image: Tensor, graph: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """The three streams after this layer: labels B L D, image B T D, graph B L D (or none)."""
        if self.exchange is not None and graph is not None:
            image, graph = self.exchange(image, graph)
        labels = self.read_residual(labels, self.labels_read_image(labels, image))
        labels = self.mlp_residual(labels, self.mlp(labels))
        return labels, image, graph


class Decoder(nn.Module):
    """The LLCD stack."""

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        depth: int,
        mlp_width: int,
        dropout: float,
        graph: bool = True,
        share_layers: bool = False,
    ) -> None:
        """Make `depth` layers with own weights, or one that is run `depth` times."""
        super().__init__()
        self.runs = depth if share_layers else 1
        self.layers = nn.ModuleList(
            LLCDLayer(width, heads, mlp_width=mlp_width, dropout=dropout, graph=graph)
            for _ in range(1 if share_layers else depth)
        )

    def forward(self, labels: Tensor, image: Tensor, graph: Tensor | None) -> Tensor:
        """The label tokens (B L D) after all layers: B L D."""
        for layer in [*self.layers] * self.runs:
            labels, image, graph = layer(labels, image, graph)
        return labels

    def readers(self) -> list[Attention]:
        """Each layer's attention from label tokens to image tokens."""
        return [layer.labels_read_image for layer in self.layers]  # type: ignore[misc]
