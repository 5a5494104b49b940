"""A label graph as matrices, before and after learning: what is drawn and listed of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Matrix = NDArray[np.floating]


@dataclass(frozen=True)
class GraphMatrices:
    """What each label (row) takes from each other (column), before and after learning: L x L."""

    prior: Matrix
    """Where learning started."""
    learned: Matrix | None
    """None if the graph is not learned."""
    is_comparable: bool = True
    """Whether both are of one kind, so that their difference means something."""

    @property
    def final(self) -> Matrix:
        """The matrix that the model uses: the learned one, or the prior if nothing is learned."""
        return self.prior if self.learned is None else self.learned


def matrix_of(adjacency: Tensor) -> Matrix:
    """An adjacency matrix (L L, on any device) as float32 numbers."""
    return adjacency.detach().float().cpu().numpy()
