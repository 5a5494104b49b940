"""Boxes of the figure as the release computes them, to import its checkpoints and to compare.

docs/reference/release.md says where they differ from our own and why those are the default.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lcnet.model.attention import Attention
from lcnet.model.decoder import Read, Residual
from lcnet.model.graph_matrices import GraphMatrices, matrix_of
from lcnet.model.label_graph import cut_node, feature_tokens


class ReleasedExchange(nn.Module):
    """Three attentions: image reads graph, graph reads the old image, image reads the new graph."""

    def __init__(self, width: int, heads: int, *, dropout: float) -> None:
        super().__init__()
        self.image_reads_graph = Attention(width, heads, dropout=dropout)
        self.graph_reads_image = Attention(width, heads, dropout=dropout)
        self.image_reads_new_graph = Attention(width, heads, dropout=dropout)
        self.image_residual = Residual(width, dropout=dropout)
        self.graph_residual = Residual(width, dropout=dropout)
        self.new_image_residual = Residual(width, dropout=dropout)

    def forward(self, image: Tensor, graph: Tensor) -> tuple[Tensor, Tensor]:
        """Both streams after the exchange: image B T D, graph B G D."""
        seen = self.image_residual(image, self.image_reads_graph(image, graph))
        graph = self.graph_residual(graph, self.graph_reads_image(graph, image))
        image = self.new_image_residual(seen, self.image_reads_new_graph(seen, graph))
        return image, graph


class ReleasedRead(Read):
    """A read that first adds the label tokens to themselves and normalises the sum."""

    def __init__(self, width: int, heads: int, *, mlp_width: int, dropout: float) -> None:
        super().__init__(width, heads, mlp_width=mlp_width, dropout=dropout)
        self.self_residual = Residual(width, dropout=dropout)

    def forward(self, labels: Tensor, image: Tensor, **places: Tensor | None) -> Tensor:
        """The label tokens (B L D) after reading the image tokens (B T D): B L D."""
        return super().forward(self.self_residual(labels, labels), image, **places)


class ReleasedGraph(nn.Module):
    """The released graph: two attentions over a banded correlation matrix, two hops.

    With C the banded matrix (`band_correlation`), N its layer norm and D the diagonal of M's row
    sums,

        M = attention_1(N) attention_2(N) + I
        A = (M D^-1/2)^T D^-1/2
        X = A LeakyReLU(A nodes W1) W2

    The nodes are the frozen label tokens. The release divides by the root of the row sum, which
    gives NaN if a sum is negative. Here the absolute value of a row sum is used, and at least 1e-3;
    row sums above that are unchanged. Replacing negative sums by a small positive value would not
    do: the graph tokens would be too large for the norms that follow.
    """

    band: Tensor
    nodes: Tensor

    def __init__(
        self, band: Tensor, width: int, *, hidden: int, heads: int, by_feature: bool
    ) -> None:
        """Take the banded matrix (L L), the nodes' width and that between the two hops."""
        super().__init__()
        labels = len(band)
        self.register_buffer("band", band.float())
        self.register_buffer("nodes", torch.empty(labels, width))
        self.norm = nn.LayerNorm(labels, eps=1e-6)
        self.first_attention = Attention(labels, heads)
        self.second_attention = Attention(labels, heads)
        self.first_hop = nn.Linear(width, hidden, bias=False)
        self.second_hop = nn.Linear(hidden, width, bias=False)
        self.by_feature = by_feature

    def forward(self, *, without: int | None = None) -> Tensor:
        """The graph tokens, one per label (L D) or one per feature (D D).

        `without` names a label whose node is left out; the edges of the others stay as they are.
        """
        nodes, adjacency = self.nodes, self.adjacency()
        if without is not None:
            nodes, adjacency = cut_node(nodes, adjacency, without)
        hidden = F.leaky_relu(adjacency @ self.first_hop(nodes), 0.2)
        tokens = adjacency @ self.second_hop(hidden)
        return feature_tokens(tokens) if self.by_feature else tokens

    def adjacency(self) -> Tensor:
        """What each label (row) takes from each other (column): L L, of any sign and sum."""
        band = self.norm(self.band)[None]
        mixed = self.first_attention(band, band)[0] @ self.second_attention(band, band)[0]
        mixed = mixed + torch.eye(len(mixed), device=mixed.device)
        scale = mixed.sum(dim=1).abs().clamp(min=1e-3) ** -0.5
        return (mixed * scale).T * scale

    def matrices(self) -> GraphMatrices:
        """The banded matrix, which learning starts from, and the adjacency after learning."""
        return GraphMatrices(matrix_of(self.band), matrix_of(self.adjacency()), is_comparable=False)


def band_correlation(correlation: Tensor, low: float, high: float = 1.0) -> Tensor:
    """1 where low <= correlation < high, each column scaled to the sum 0.25: L L."""
    inside = ((correlation >= low) & (correlation < high)).float()
    return inside * (0.25 / (inside.sum(dim=0) + 1e-6))


def graph_heads(labels: int) -> int:
    """Heads of the graph's attention: 4, or 1 where 4 does not divide the number of labels."""
    return 4 if labels % 4 == 0 else 1
