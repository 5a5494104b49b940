"""Multi-head attention that can also give its weights."""

import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head scaled dot-product attention (Vaswani et al. 2017, equation 1).

    `forward` never materialises the attention weights; `weights` computes them on request. Place
    codes are added to queries and keys, never to values.
    """

    def __init__(self, width: int, heads: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(
        self,
        queries: Tensor,
        memory: Tensor,
        *,
        query_place: Tensor | None = None,
        key_place: Tensor | None = None,
    ) -> Tensor:
        """What each query (B Q D) gathers from the memory (B M D): B Q D."""
        query, key = self._compared(queries, memory, query_place, key_place)
        gathered = F.scaled_dot_product_attention(
            query,
            key,
            self._split(self.value(memory)),
            dropout_p=self.dropout if self.training else 0.0,
        )  # B heads Q D/heads
        return self.out(gathered.transpose(1, 2).flatten(2))

    def weights(
        self,
        queries: Tensor,
        memory: Tensor,
        *,
        query_place: Tensor | None = None,
        key_place: Tensor | None = None,
    ) -> Tensor:
        """How much each query attends to each memory token: B heads Q M, rows sum to 1."""
        query, key = self._compared(queries, memory, query_place, key_place)
        return shares_of(query, key)

    def _compared(
        self,
        queries: Tensor,
        memory: Tensor,
        query_place: Tensor | None,
        key_place: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Queries and keys, split into heads: B heads Q D/heads and B heads M D/heads."""
        query = self._split(self.query(_placed(queries, query_place)))
        return query, self._split(self.key(_placed(memory, key_place)))

    def _split(self, tokens: Tensor) -> Tensor:
        return by_head(tokens, self.heads)


def by_head(tokens: Tensor, heads: int) -> Tensor:
    """Tokens (B N D), cut into heads: B heads N D/heads."""
    return tokens.unflatten(-1, (heads, -1)).transpose(1, 2)


def shares_of(query: Tensor, key: Tensor) -> Tensor:
    """How much each query attends to each key (by head): B heads Q M, rows sum to 1."""
    return (query @ key.mT / query.shape[-1] ** 0.5).softmax(dim=-1)


def _placed(tokens: Tensor, place: Tensor | None) -> Tensor:
    return tokens if place is None else tokens + place
