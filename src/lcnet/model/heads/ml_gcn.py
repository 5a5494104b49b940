"""ML-GCN, label classifiers made by a graph: Chen et al. 2019, arXiv 1904.03582."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lcnet.model.explanation import shares
from lcnet.model.head import Head
from lcnet.model.image_tokens import tokens_of


class MLGCN(Head):
    """A classifier per label, made by two graph convolutions over label vectors.

    A is the training labels' conditional probability, set to 1 from 0.4 on and to 0 below. Each row
    is then scaled to sum to 0.2, and the label itself gets 0.8. With A' = D^-1/2 A D^-1/2, where D
    has the row sums, the classifiers are W = A' LeakyReLU_0.2(A' E W1) W2 and the logits are
    W max(tokens). Without label vectors E is learned. W1 and W2 start uniform within 1 / root of
    their outputs, as graph convolutions do. A learned E starts at the scale of the paper's vectors:
    from a standard normal, logits would start where the sigmoid is flat.
    """

    VECTOR_STD = 0.4
    """About that of GloVe's vectors of length 300."""

    adjacency: Tensor

    def __init__(
        self, prior: Tensor, channels: int, *, vectors: Tensor | None = None, hidden: int = 1024
    ) -> None:
        """Take the prior P(column | row), L L, and maybe a vector per label, L E."""
        super().__init__()
        self.vectors: Tensor
        self.register_buffer("adjacency", reweighted(prior))
        if vectors is None:
            self.vectors = nn.Parameter(self.VECTOR_STD * torch.randn(len(prior), 300))
        else:
            self.register_buffer("vectors", vectors.float())
        self.first_hop = nn.Linear(self.vectors.shape[1], hidden, bias=False)
        self.second_hop = nn.Linear(hidden, channels, bias=False)
        for hop in (self.first_hop, self.second_hop):
            bound = hop.out_features**-0.5
            nn.init.uniform_(hop.weight, -bound, bound)

    def score(self, maps: Tensor) -> Tensor:
        """The logits (B L) of feature maps (B V C h w)."""
        return tokens_of(maps).amax(dim=1) @ self.classifiers(self.adjacency).T

    def classifiers(self, adjacency: Tensor) -> Tensor:
        """The classifiers that a graph (L L) makes of the label vectors: L C."""
        hidden = F.leaky_relu(adjacency @ self.first_hop(self.vectors), 0.2)
        return adjacency @ self.second_hop(hidden)

    def label_graph(self) -> Tensor:
        """The fixed adjacency: L L; its rows do not sum to 1."""
        return self.adjacency

    def undecayed(self) -> list[Tensor]:
        """The label vectors."""
        return [self.vectors]

    def looked(self, maps: Tensor) -> Tensor:
        """ReLU of the score that each token has alone, as shares: B L T."""
        return shares((tokens_of(maps) @ self.classifiers(self.adjacency).T).mT)

    def influences(self, maps: Tensor) -> Tensor:
        """Each logit minus its value without a label's node (`Head.influences`): B L L.

        The node's row and column are set to 0 and the other rows are scaled to the sums they had.
        A label without its own node has no classifier, so the diagonal is 0.
        """
        pooled = tokens_of(maps).amax(dim=1)
        logits = pooled @ self.classifiers(self.adjacency).T
        change = torch.zeros(*logits.shape, logits.shape[1], device=logits.device)
        sums = self.adjacency.sum(dim=1, keepdim=True)
        for label in range(logits.shape[1]):
            cut = self.adjacency.clone()
            cut[label] = 0
            cut[:, label] = 0
            cut = cut * (sums / cut.sum(dim=1, keepdim=True).clamp(min=1e-30))
            change[:, :, label] = logits - pooled @ self.classifiers(cut).T
            change[:, label, label] = 0
        return change


def reweighted(prior: Tensor, *, threshold: float = 0.4, weight: float = 0.2) -> Tensor:
    """ML-GCN's normalised adjacency (L L) from P(column | row); its equations 7 and 8."""
    joined = (prior >= threshold).float()
    joined.fill_diagonal_(0)
    shared = weight * joined / joined.sum(dim=1, keepdim=True).clamp(min=1)
    matrix = shared + (1 - weight) * torch.eye(len(prior), device=prior.device)
    scale = matrix.sum(dim=1) ** -0.5
    return scale[:, None] * matrix * scale
