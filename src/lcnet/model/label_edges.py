"""The edges of a graph of many labels: a few for each label, so that nothing is labels x labels."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

AT_ONCE = 2**22
"""Numbers gathered at a time, at most, where each label looks at those that it is joined to."""


@dataclass(frozen=True)
class Edges:
    """For each of L labels the K labels that it may take from, itself among them."""

    joined: Tensor
    """Their places, L K, int64; no label twice in a row."""
    probability: Tensor
    """P(joined label | label) in the training labels: L K, in [0, 1]."""

    def __len__(self) -> int:
        return len(self.joined)

    def check(self, labels: int) -> "Edges":
        """The same edges. Raises ValueError if they are not those of so many labels."""
        shape, joined = self.joined.shape, self.joined
        if joined.dtype != torch.int64 or len(shape) != 2 or shape != self.probability.shape:
            raise ValueError("graph.joined: expected the places of a label's edges, got others")
        if (
            shape[0] != labels
            or not joined.numel()
            or not 0 <= joined.min() <= joined.max() < labels
        ):
            raise ValueError(f"graph.joined: expected places among {labels:,} labels, got others")
        return self


def alike(labels: int, edges: int) -> Edges:
    """Edges between neighbours in the order of the labels, all of one strength."""
    places = torch.arange(labels)
    joined = (places[:, None] + places[: min(edges, labels)]) % labels
    return Edges(joined, torch.ones(joined.shape))


def products(rows: Tensor, others: Tensor, joined: Tensor) -> Tensor:
    """The product of each row (L D) with the K rows of `others` that it is joined to: L K."""
    kind = torch.promote_types(rows.dtype, torch.float32)
    found: Tensor = _Products.apply(rows.to(kind), others.to(kind), joined)
    return found


def weighted_sum(weights: Tensor, others: Tensor, joined: Tensor) -> Tensor:
    """For each label the sum of its joined rows of `others` (L D), each times its weight: L D.

    It is `matrix` @ others, without the matrix. The weights are L K.
    """
    others = others.to(weights.dtype)
    return F.embedding_bag(joined, others, per_sample_weights=weights, mode="sum")


def matrix(weights: Tensor, joined: Tensor) -> Tensor:
    """The weights (L K) as a sparse matrix in COO form: L L."""
    rows = torch.arange(len(joined), device=joined.device).repeat_interleave(joined.shape[1])
    places = torch.stack([rows, joined.flatten()])
    size = (len(joined), len(joined))
    return torch.sparse_coo_tensor(places, weights.flatten(), size, check_invariants=False)


class _Products(torch.autograd.Function):
    """`products`, which autograd itself would do with L x K x D numbers in memory."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, others: Tensor, joined: Tensor) -> Tensor:
        ctx.save_for_backward(rows, others, joined)
        parts = [
            (rows[some, None] * others[joined[some]]).sum(dim=-1)
            for some in _some_rows(joined, rows.shape[1])
        ]
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        (gradient,) = gradients
        rows, others, joined = ctx.saved_tensors
        of_rows = weighted_sum(gradient, others, joined)
        of_others = torch.zeros_like(others)
        for some in _some_rows(joined, rows.shape[1]):
            added = gradient[some, :, None] * rows[some, None]
            of_others.index_add_(0, joined[some].flatten(), added.flatten(0, 1))
        return of_rows, of_others, None


def _some_rows(joined: Tensor, width: int) -> list[slice]:
    """The rows of labels, in parts that gather at most `AT_ONCE` numbers of this width."""
    step = max(1, AT_ONCE // (joined.shape[1] * width))
    return [slice(first, first + step) for first in range(0, len(joined), step)]
