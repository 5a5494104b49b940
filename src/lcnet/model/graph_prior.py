"""What the label graph starts from: the training labels, or a control that knows none."""

from typing import overload

import torch
from torch import Tensor

from lcnet.model.label_edges import Edges

SURE = 1e6
"""So much larger than the other labels' part that a label takes from itself alone."""
WHOLE = 512
"""Up to this many labels each is joined to every other, if no number of edges is set."""
FEW = 32
"""Edges of a label, itself among them, from there on."""


def edges_for(labels: int, edges: int) -> int | None:
    """How many edges a label has with `config.Model.graph_edges`; None if it is joined to all."""
    most = edges or (FEW if labels > WHOLE else labels)
    return most if most < labels else None


@overload
def prior_as(kind: str, prior: Tensor) -> Tensor: ...
@overload
def prior_as(kind: str, prior: Edges) -> Edges: ...


def prior_as(kind: str, prior: Tensor | Edges) -> Tensor | Edges:
    """The prior P(column | row), L L, as `config.Model.graph_prior` names the kinds.

    Shuffled labels are the same for the same number of labels. Of edges, the same with theirs.
    """
    if isinstance(prior, Edges):
        return _edges_as(kind, prior)
    labels = len(prior)
    match kind:
        case "uniform":
            return torch.ones_like(prior)
        case "shuffled":
            others = _shuffled(labels)
            return prior[others][:, others]
        case "apart":
            return SURE * torch.eye(labels, dtype=prior.dtype, device=prior.device)
        case _:
            return prior


def _edges_as(kind: str, prior: Edges) -> Edges:
    joined, probability = prior.joined, prior.probability
    match kind:
        case "uniform":
            return Edges(joined, torch.ones_like(probability))
        case "shuffled":
            others = _shuffled(len(joined))
            return Edges(others.argsort()[joined[others]], probability[others])
        case "apart":
            itself = joined == torch.arange(len(joined))[:, None]
            return Edges(joined, SURE * itself.to(probability.dtype))
        case _:
            return prior


def _shuffled(labels: int) -> Tensor:
    return torch.randperm(labels, generator=torch.Generator().manual_seed(0))
