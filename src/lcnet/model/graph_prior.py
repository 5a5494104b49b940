"""What the label graph starts from: the training labels, or a control that knows none."""

import torch
from torch import Tensor

SURE = 1e6
"""So much larger than the other labels' part that a label takes from itself alone."""


def prior_as(kind: str, prior: Tensor) -> Tensor:
    """The prior P(column | row), L L, as `config.Model.graph_prior` names the kinds.

    Shuffled labels are the same for the same number of labels.
    """
    labels = len(prior)
    match kind:
        case "uniform":
            return torch.ones_like(prior)
        case "shuffled":
            others = torch.randperm(labels, generator=torch.Generator().manual_seed(0))
            return prior[others][:, others]
        case "apart":
            return SURE * torch.eye(labels, dtype=prior.dtype, device=prior.device)
        case _:
            return prior
