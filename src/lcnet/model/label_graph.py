"""The learnable label correlation graph."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lcnet.model.graph_matrices import GraphMatrices, matrix_of

PRIOR_FLOOR = 0.01
"""Added to every probability, so that learning can still join labels never seen together."""


class LabelGraph(nn.Module):
    """A graph with one node per label. Its edges start at the prior and are learned by attention.

    The adjacency is softmax(log prior + scale * cosine(query node, key node)), row by row. Cosines
    lie in [-1, 1] and the scale is bounded, so the adjacency is finite and its rows sum to 1 for
    any weights. (The released graph divides by the root of a learned row sum, which gives NaN if
    the sum is negative.) Nodes pass two hops, X + A LeakyReLU(A X W1) W2 (Kipf and Welling 2017).
    """

    prior: Tensor
    vectors: Tensor | None

    def __init__(
        self,
        prior: Tensor,
        width: int,
        *,
        vectors: Tensor | None = None,
        learn: bool = True,
        by_feature: bool = False,
    ) -> None:
        """Take the prior P(column | row), L L in [0, 1], and maybe a vector per label, L E."""
        super().__init__()
        self.register_buffer("prior", prior.float())
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
        nodes, adjacency = self.features(), self.adjacency()
        if without is not None:
            nodes, adjacency = cut_node(nodes, adjacency, without)
            adjacency = adjacency / adjacency.sum(dim=1, keepdim=True).clamp(min=1e-30)
        hidden = F.leaky_relu(adjacency @ self.first_hop(nodes), 0.2)
        tokens = self.norm(nodes + adjacency @ self.second_hop(hidden))
        return feature_tokens(tokens) if self.by_feature else tokens

    def features(self) -> Tensor:
        """The nodes before any exchange, learned or from the label vectors: L D."""
        if self.nodes is not None:
            return self.nodes
        assert self.embed is not None
        return self.embed(self.vectors)

    def start(self) -> Tensor:
        """The adjacency before anything is learned: L L, rows sum to 1."""
        return self._log_prior().softmax(dim=-1)

    def adjacency(self) -> Tensor:
        """What each label (row) takes from each other (column): L L, rows sum to 1."""
        logits = self._log_prior()
        if self.learn:
            nodes = self.features()
            query, key = (
                F.normalize(self.query(nodes), dim=-1),
                F.normalize(self.key(nodes), dim=-1),
            )
            logits = logits + 10 * torch.tanh(self.scale) * (query @ key.T)
        return logits.softmax(dim=-1)

    def matrices(self) -> GraphMatrices:
        """The adjacency before and after learning."""
        learned = matrix_of(self.adjacency()) if self.learn else None
        return GraphMatrices(matrix_of(self.start()), learned)

    def _log_prior(self) -> Tensor:
        return (self.prior + PRIOR_FLOOR).log()


def feature_tokens(tokens: Tensor) -> Tensor:
    """A token per feature instead of one per label (L D), as released: X^T X + I, D D."""
    return tokens.T @ tokens + torch.eye(tokens.shape[1], device=tokens.device)


def cut_node(nodes: Tensor, adjacency: Tensor, label: int) -> tuple[Tensor, Tensor]:
    """Nodes (L D) and adjacency (L L) of a graph without one label's node."""
    kept = [other for other in range(len(nodes)) if other != label]
    return nodes[kept], adjacency[kept][:, kept]
