"""Initial values of all weights outside the backbone, which keeps those that timm gave it.

| weight                          | start                                                        |
|---------------------------------|--------------------------------------------------------------|
| linear layers                   | Xavier uniform, bias 0                                       |
| layer norms                     | weight 1, bias 0                                             |
| label tokens, graph nodes       | standard normal, the scale that layer norms keep             |
| graph attention scale           | 0.1, so that the adjacency starts close to the prior         |
| mapping vectors                 | normal with variance 1 / width: logits start near their bias |
| biases of mapping               | log odds of the label's share in training, within [-4, 4];   |
|                                 | their mean where one bias serves all labels                  |
| pooling: classifiers            | uniform within 1 / root of the channels, as linear layers of |
|                                 | torch start                                                  |
| looking: classifiers, biases    | as pooling's                                                 |
| pooling: biases                 | 0: with log odds the backbone learned later (digits)         |
| released graph: nodes           | the label tokens                                             |
| released graph: attentions      | torch's own start; Xavier's makes row sums negative          |
"""

import torch
from torch import Tensor, nn

from lcnet.model.backbone import Backbone
from lcnet.model.label_graph import LabelGraph
from lcnet.model.label_tokens import LabelTokens
from lcnet.model.looking import Looking
from lcnet.model.mapping import Mapping
from lcnet.model.pooling import Attended, Pooling
from lcnet.model.released_parts import ReleasedGraph


def initialize(model: nn.Module, *, shares: Tensor | None = None) -> None:
    """Set every weight outside the backbone to its initial value (the table above).

    `shares` (L, from 0 to 1) are how often each label is present; without them the mapping's biases
    start at 0.
    """
    for part in _own_parts(model):
        match part:
            case nn.Linear():
                nn.init.xavier_uniform_(part.weight)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)
            case nn.LayerNorm():
                nn.init.ones_(part.weight)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)
            case LabelTokens():
                nn.init.normal_(part.tokens)
            case LabelGraph():
                if part.nodes is not None:
                    nn.init.normal_(part.nodes)
                if part.learn:
                    nn.init.constant_(part.scale, 0.1)
            case Attended():
                _start_classifiers(part.weight)
            case Looking():
                _start_classifiers(part.weight)
                nn.init.zeros_(part.bias)
            case Mapping():
                nn.init.normal_(part.weight, std=part.weight.shape[-1] ** -0.5)
                start_at_shares(part.bias, shares)
            case Pooling():
                nn.init.zeros_(part.bias)
    for graph in model.modules():
        if isinstance(graph, ReleasedGraph):
            _start_released_graph(graph, model)


def _start_classifiers(weight: Tensor) -> None:
    bound = weight.shape[1] ** -0.5
    nn.init.uniform_(weight, -bound, bound)


@torch.no_grad()
def _start_released_graph(graph: ReleasedGraph, model: nn.Module) -> None:
    for tokens in model.modules():
        if isinstance(tokens, LabelTokens):
            graph.nodes.copy_(tokens.tokens)
    for attention in (graph.first_attention, graph.second_attention):
        for linear in (attention.query, attention.key, attention.value, attention.out):
            linear.reset_parameters()


@torch.no_grad()
def start_at_shares(bias: Tensor, shares: Tensor | None) -> None:
    """Set a head's biases to the log odds of the labels' shares.

    A head with a single bias for all labels gets the mean of these log odds.
    """
    odds = torch.zeros(1) if shares is None else torch.logit(shares.float(), eps=1e-6).clamp(-4, 4)
    bias.copy_(odds if len(odds) == len(bias) else odds.mean())


def _own_parts(model: nn.Module) -> list[nn.Module]:
    """All modules except those inside a backbone's own network."""
    foreign = {
        id(part)
        for backbone in model.modules()
        if isinstance(backbone, Backbone)
        for part in backbone.features.modules()
    }
    return [part for part in model.modules() if id(part) not in foreign]
