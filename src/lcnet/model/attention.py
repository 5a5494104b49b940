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
        self.folds = False
        """Whether projections of many tokens are folded into those of the few on the other side:
        the same up to rounding, with less to compute and to keep where labels are thousands."""

    def forward(
        self,
        queries: Tensor,
        memory: Tensor,
        *,
        query_place: Tensor | None = None,
        key_place: Tensor | None = None,
    ) -> Tensor:
        """What each query (B Q D) gathers from the memory (B M D): B Q D."""
        if self.folds and query_place is None and key_place is None:
            few = (len(self.query.bias) - 1) // self.heads
            if memory.shape[1] <= min(few, queries.shape[1]):
                return self._of_few(queries, memory)
            if queries.shape[1] <= min(few, memory.shape[1]):
                return self._by_few(queries, memory)
        query, key = self._compared(queries, memory, query_place, key_place)
        gathered = F.scaled_dot_product_attention(
            query,
            key,
            self._split(self.value(memory)),
            dropout_p=self.dropout if self.training else 0.0,
        )  # B heads Q D/heads
        return self.out(gathered.transpose(1, 2).flatten(2))

    def _of_few(self, queries: Tensor, memory: Tensor) -> Tensor:
        """What many queries gather from a few: the few are brought to the queries' own width."""
        key, value = self._split(self.key(memory)), self._split(self.value(memory))
        turned = (key @ _by_head_rows(self.query.weight, self.heads)).flatten(1, 2)  # B heads*M D
        offsets = (key @ self.query.bias.unflatten(0, (self.heads, -1, 1))).mT  # B heads 1 M
        scores = (queries @ turned.mT).unflatten(-1, (self.heads, -1)).transpose(1, 2) + offsets
        shares = self._dropped(scores).transpose(1, 2).flatten(2)  # B Q heads*M
        out = self.out.weight.T.unflatten(0, (self.heads, -1))  # heads D/heads D
        return shares @ (value @ out).flatten(1, 2) + self.out.bias

    def _by_few(self, queries: Tensor, memory: Tensor) -> Tensor:
        """What a few queries gather from many; a key's bias shifts all alike, and cancels."""
        query = self._split(self.query(queries))
        turned = query @ _by_head_rows(self.key.weight, self.heads)  # B heads Q D
        shares = self._dropped((turned.flatten(1, 2) @ memory.mT).unflatten(1, (self.heads, -1)))
        gathered = (shares.flatten(1, 2) @ memory).unflatten(1, (self.heads, -1))  # B heads Q D
        values = gathered @ _by_head_rows(self.value.weight, self.heads).mT
        bias = self.value.bias.unflatten(0, (self.heads, 1, -1))
        values = values + shares.sum(dim=-1, keepdim=True) * bias
        return self.out(values.transpose(1, 2).flatten(2))

    def _dropped(self, scores: Tensor) -> Tensor:
        """Scores as shares (B heads Q M), some of them dropped in training."""
        width = len(self.query.bias) // self.heads
        return F.dropout((scores / width**0.5).softmax(dim=-1), self.dropout, self.training)

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


def _by_head_rows(weight: Tensor, heads: int) -> Tensor:
    """A linear layer's weight (D D) by head: heads D/heads D."""
    return weight.unflatten(0, (heads, -1))


def by_head(tokens: Tensor, heads: int) -> Tensor:
    """Tokens (B N D), cut into heads: B heads N D/heads."""
    return tokens.unflatten(-1, (heads, -1)).transpose(1, 2)


def shares_of(query: Tensor, key: Tensor) -> Tensor:
    """How much each query attends to each key (by head): B heads Q M, rows sum to 1."""
    return (query @ key.mT / query.shape[-1] ** 0.5).softmax(dim=-1)


def _placed(tokens: Tensor, place: Tensor | None) -> Tensor:
    return tokens if place is None else tokens + place
