"""The learnable label correlation graph."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lcnet.model import label_edges
from lcnet.model.graph_matrices import GraphMatrices, matrix_of
from lcnet.model.label_edges import Edges

PRIOR_FLOOR = 0.01
"""Added to every probability, so that learning can still join labels never seen together."""


class LabelGraph(nn.Module):
    """A graph with one node per label. Its edges start at the prior and are learned by attention.

    The adjacency is softmax(log prior + scale * cosine(query node, key node)), row by row. Cosines
    lie in [-1, 1] and the scale is bounded, so the adjacency is finite and its rows sum to 1 for
    any weights. (The released graph divides by the root of a learned row sum, which gives NaN if
    the sum is negative.) Nodes pass two hops, X + A LeakyReLU(A X W1) W2 (Kipf and Welling 2017).

    Of many labels each is joined to a few alone (`Edges`): the same formulas over those, without
    any matrix of labels x labels.
    """

    prior: Tensor
    joined: Tensor | None
    vectors: Tensor | None

    def __init__(
        self,
        prior: Tensor | Edges,
        width: int,
        *,
        vectors: Tensor | None = None,
        learn: bool = True,
        by_feature: bool = False,
    ) -> None:
        """Take the prior P(column | row), L L in [0, 1], and maybe a vector per label, L E.

        The prior may also be that of a few edges for each label.
        """
        super().__init__()
        if isinstance(prior, Edges):
            self.register_buffer("prior", prior.probability.float().clone())
            self.register_buffer("joined", prior.joined.clone())
        else:
            self.register_buffer("prior", prior.float())
            self.register_buffer("joined", None)
        self.register_buffer("vectors", None if vectors is None else vectors.float())
        self.nodes = nn.Parameter(torch.empty(len(prior), width)) if vectors is None else None
        self.embed = None if vectors is None else nn.Linear(vectors.shape[1], width)
        self.learn = learn
        self.by_feature = by_feature
        if learn:
            self.query = nn.Linear(width, width, bias=False)
            self.key = nn.Linear(width, width, bias=False)
            self.scale = nn.Parameter(torch.empty(()))
        self.first_hop = nn.Linear(width, width, bias=False)
        self.second_hop = nn.Linear(width, width, bias=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, *, without: int | None = None) -> Tensor:
        """The graph tokens, one per label (L D) or one per feature (D D).

        `without` names a label whose node is left out; the other rows are scaled to sum to 1 again.
        """
        if self.joined is not None:
            return self.by_edges(self.shares(), without=without)
        nodes, adjacency = self.features(), self.adjacency()
        if without is not None:
            nodes, adjacency = cut_node(nodes, adjacency, without)
            adjacency = adjacency / adjacency.sum(dim=1, keepdim=True).clamp(min=1e-30)
        hidden = F.leaky_relu(adjacency @ self.first_hop(nodes), 0.2)
        tokens = self.norm(nodes + adjacency @ self.second_hop(hidden))
        return feature_tokens(tokens) if self.by_feature else tokens

    def by_edges(self, shares: Tensor, *, without: int | None = None) -> Tensor:
        """The same of a graph of few edges, given their shares (L K)."""
        nodes, joined = self.features(), self.joined
        assert joined is not None
        if without is not None:
            shares = shares.masked_fill(joined == without, 0)
            shares = shares / shares.sum(dim=1, keepdim=True).clamp(min=1e-30)
        hidden = label_edges.weighted_sum(shares, self.first_hop(nodes), joined)
        hidden = self.second_hop(F.leaky_relu(hidden, 0.2))
        tokens = self.norm(nodes + label_edges.weighted_sum(shares, hidden, joined))
        if without is not None:
            tokens = torch.cat([tokens[:without], tokens[without + 1 :]])
        return feature_tokens(tokens) if self.by_feature else tokens

    def features(self) -> Tensor:
        """The nodes before any exchange, learned or from the label vectors: L D."""
        if self.nodes is not None:
            return self.nodes
        assert self.embed is not None
        return self.embed(self.vectors)

    def start(self) -> Tensor:
        """The adjacency before anything is learned: L L, rows sum to 1; sparse if the graph is."""
        return self._as_matrix(self._log_prior().softmax(dim=-1))

    def adjacency(self) -> Tensor:
        """What each label (row) takes from each other (column): L L, rows sum to 1.

        It is a sparse tensor (COO) if each label is joined to a few alone.
        """
        return self._as_matrix(self.shares())

    def shares(self) -> Tensor:
        """What each label takes along each of its edges: L L, or L K as `joined` has them."""
        logits = self._log_prior()
        if self.learn:
            nodes = self.features()
            query, key = (
                F.normalize(self.query(nodes), dim=-1),
                F.normalize(self.key(nodes), dim=-1),
            )
            if self.joined is None:
                cosines = query @ key.T
            else:
                cosines = label_edges.products(query, key, self.joined)
            logits = logits + 10 * torch.tanh(self.scale) * cosines
        return logits.softmax(dim=-1)

    def matrices(self) -> GraphMatrices:
        """The adjacency before and after learning."""
        learned = matrix_of(self.adjacency()) if self.learn else None
        return GraphMatrices(matrix_of(self.start()), learned)

    def strongest(self, labels: Sequence[int], most: int) -> list[list[int]]:
        """Of each of some labels the others of which it takes most, at most `most` of them."""
        shares, found = self.shares()[list(labels)].tolist(), []
        for label, row in zip(labels, shares, strict=True):
            joined = range(len(row)) if self.joined is None else self.joined[label].tolist()
            others = [pair for pair in zip(joined, row, strict=True) if pair[0] != label]
            found.append([other for other, _ in sorted(others, key=lambda one: -one[1])[:most]])
        return found

    def _as_matrix(self, shares: Tensor) -> Tensor:
        return shares if self.joined is None else label_edges.matrix(shares, self.joined)

    def _log_prior(self) -> Tensor:
        return (self.prior + PRIOR_FLOOR).log()


class FixedGraph(nn.Module):
    """The tokens of a graph that is not learned any more, computed once."""

    tokens: Tensor

    def __init__(self, graph: LabelGraph) -> None:
        super().__init__()
        with torch.no_grad():
            self.register_buffer("tokens", graph().detach().clone())

    def forward(self) -> Tensor:
        """The graph tokens, as the graph gave them."""
        return self.tokens


def feature_tokens(tokens: Tensor) -> Tensor:
    """A token per feature instead of one per label (L D), as released: X^T X + I, D D."""
    return tokens.T @ tokens + torch.eye(tokens.shape[1], device=tokens.device)


def cut_node(nodes: Tensor, adjacency: Tensor, label: int) -> tuple[Tensor, Tensor]:
    """Nodes (L D) and adjacency (L L) of a graph without one label's node."""
    kept = [other for other in range(len(nodes)) if other != label]
    return nodes[kept], adjacency[kept][:, kept]
