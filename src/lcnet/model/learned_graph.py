"""A model's label graph, before and after learning."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lcnet.model.classifier import Classifier
from lcnet.model.label_graph import LabelGraph
from lcnet.model.lcnet import LCNet


@dataclass(frozen=True)
class Graph:
    """A model's label graph: what each label (row) takes from each other (column), L x L."""

    prior: NDArray[np.floating]
    """Where learning started."""
    learned: NDArray[np.floating] | None
    """None if it is not learned."""
    is_comparable: bool
    """Whether both are of one kind, so that their difference says something."""


@torch.inference_mode()
def graph_of(model: Classifier) -> Graph | None:
    """The label graph of a model, if it has one; ML-GCN's is not learned."""
    adjacency = model.adjacency()
    if adjacency is None:
        return None
    learned = adjacency.float().cpu().numpy()
    graph = model.graph if isinstance(model, LCNet) else None
    if graph is None:
        return Graph(learned, None, is_comparable=True)
    if not isinstance(graph, LabelGraph):
        return Graph(graph.band.float().cpu().numpy(), learned, is_comparable=False)
    return Graph(
        graph.start().float().cpu().numpy(), learned if graph.learn else None, is_comparable=True
    )
