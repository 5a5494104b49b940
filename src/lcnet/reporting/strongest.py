"""The strongest edges of a graph of labels, whole or sparse, and the labels that are on them."""

import numpy as np
from scipy.sparse import csr_array

from lcnet.metrics import Floats


def strongest_edges(values: Floats | csr_array, most: int | None = None) -> list[tuple[int, int]]:
    """Row and column of the edges between different labels, the strongest first, at most `most`.

    Of a sparse graph (L L) only those that are there.
    """
    if isinstance(values, csr_array):
        sparse = values.tocoo()
        rows, columns, strengths = sparse.row, sparse.col, np.abs(sparse.data)
    else:
        rows, columns = np.indices(values.shape).reshape(2, -1)
        strengths = np.abs(values).ravel()
    order = np.argsort(-strengths, kind="stable")
    order = order[rows[order] != columns[order]][:most]
    return list(zip(rows[order].tolist(), columns[order].tolist(), strict=True))


def strongest_labels(values: Floats | csr_array, most: int) -> list[int]:
    """The labels on the strongest edges of a graph (L L), at most `most`, in the labels' order."""
    labels: int = values.shape[0]
    if labels <= most:
        return list(range(labels))
    chosen: set[int] = set()
    for edge in strongest_edges(values):
        if len(chosen.union(edge)) > most:
            break
        chosen.update(edge)
    return sorted(chosen)
