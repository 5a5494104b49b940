"""A label graph as matrices, before and after learning: what is drawn and listed of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

Matrix = NDArray[np.floating]


@dataclass(frozen=True)
class GraphMatrices:
    """What each label (row) takes from each other (column), before and after learning: L x L.

    Of many labels, each of which is joined to a few alone, the matrices are sparse.
    """

    prior: Matrix | csr_array
    """Where learning started."""
    learned: Matrix | csr_array | None
    """None if the graph is not learned."""
    is_comparable: bool = True
    """Whether both are of one kind, so that their difference means something."""

    @property
    def final(self) -> Matrix | csr_array:
        """The matrix that the model uses: the learned one, or the prior if nothing is learned."""
        return self.prior if self.learned is None else self.learned


def among(values: Matrix | csr_array, labels: Sequence[int]) -> Matrix:
    """The part of a matrix (L L) that is among some labels, K K, as a whole matrix."""
    if isinstance(values, csr_array):
        return np.asarray(values[list(labels)][:, list(labels)].toarray())
    return values[np.ix_(labels, labels)]


def matrix_of(adjacency: Tensor) -> Matrix | csr_array:
    """An adjacency matrix (L L, on any device) as float32 numbers; sparse if it is."""
    adjacency = adjacency.detach().float().cpu()
    if not adjacency.is_sparse:
        return adjacency.numpy()
    adjacency = adjacency.coalesce()
    places, values = adjacency.indices().numpy(), adjacency.values().numpy()
    return csr_array((values, tuple(places)), shape=tuple(adjacency.shape))
