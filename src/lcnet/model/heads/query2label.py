"""Query2Label, a transformer with a query per label: Liu et al. 2021, arXiv 2107.10834."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lcnet.model.attention import Attention
from lcnet.model.decoder import Read
from lcnet.model.explanation import mean_attention, recorded
from lcnet.model.head import Head
from lcnet.model.image_tokens import tokens_of
from lcnet.model.label_tokens import LabelTokens


class Query2Label(Head):
    """A transformer encoder over the tokens and a decoder with a learned query per label.

    The sine code of a token's place is added to queries and keys, never to values. Decoder streams
    start at zero and have no self-attention, which the authors remove by default. The paper's
    setting: one encoder and two decoder layers, 4 heads, the backbone's own width.
    """

    def __init__(
        self,
        labels: int,
        channels: int,
        *,
        width: int = 0,
        mlp_width: int = 0,
        heads: int = 4,
        encoder_depth: int = 1,
        decoder_depth: int = 2,
        self_attention: tuple[int, ...] = (),
    ) -> None:
        """Width 0 takes the backbone's, without a projection; MLP width 0 takes the width.

        `self_attention` has the numbers of the decoder layers that keep self-attention.
        """
        super().__init__()
        self.project = nn.Linear(channels, width) if width else nn.Identity()
        width = width or channels
        mlp_width = mlp_width or width
        self.encoder = nn.ModuleList(
            EncoderLayer(width, heads, mlp_width=mlp_width) for _ in range(encoder_depth)
        )
        self.queries = LabelTokens(labels, width)
        self.decoder = nn.ModuleList(
            DecoderLayer(width, heads, mlp_width=mlp_width, self_attention=n in self_attention)
            for n in range(decoder_depth)
        )
        nn.init.normal_(self.queries.tokens)
        self.norm = nn.LayerNorm(width)
        bound = width**-0.5
        self.weight = nn.Parameter(torch.empty(labels, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(labels).uniform_(-bound, bound))

    def score(self, maps: Tensor) -> Tensor:
        """The logits (B L) of feature maps (B V C h w)."""
        memory = self.project(tokens_of(maps))  # B T D
        place = sine_code(maps.shape[-2], maps.shape[-1], memory.shape[-1])
        place = place.to(memory).repeat(maps.shape[1], 1)  # each view has the same code
        for layer in self.encoder:
            memory = layer(memory, place)
        queries = self.queries()
        labels = torch.zeros_like(queries).expand(memory.shape[0], -1, -1)
        for layer in self.decoder:
            labels = layer(labels, queries, memory, place)
        return (self.norm(labels) * self.weight).sum(dim=-1) + self.bias

    def undecayed(self) -> list[Tensor]:
        """The label queries, which get no weight decay."""
        return [self.queries.tokens]

    def looked(self, maps: Tensor) -> Tensor:
        """The mean over layers and heads of what each label's stream reads: B L T."""
        layers = [layer for layer in self.decoder if isinstance(layer, DecoderLayer)]
        with recorded([layer.read.labels_read_image for layer in layers]) as weights:
            self(maps)
        return mean_attention(weights)


class EncoderLayer(nn.Module):
    """Tokens read each other (Vaswani et al. 2017), with the place added to queries and keys."""

    def __init__(self, width: int, heads: int, *, mlp_width: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.read = Read(width, heads, mlp_width=mlp_width, dropout=dropout)

    def forward(self, tokens: Tensor, place: Tensor) -> Tensor:
        """The tokens (B T D) with their places (T D) after this layer: B T D."""
        return self.read(tokens, tokens, query_place=place, key_place=place)


class DecoderLayer(nn.Module):
    """Label streams read the tokens, after reading each other where that is kept."""

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        mlp_width: int,
        self_attention: bool,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.self_attention = Attention(width, heads, dropout=dropout) if self_attention else None
        self.self_norm = nn.LayerNorm(width) if self_attention else None
        self.dropout = nn.Dropout(dropout)
        self.read = Read(width, heads, mlp_width=mlp_width, dropout=dropout)

    def forward(self, labels: Tensor, queries: Tensor, memory: Tensor, place: Tensor) -> Tensor:
        """The label streams (B L D) after this layer: B L D."""
        if self.self_attention is not None and self.self_norm is not None:
            change = self.self_attention(labels, labels, query_place=queries, key_place=queries)
            labels = self.self_norm(labels + self.dropout(change))
        return self.read(labels, memory, query_place=queries, key_place=place)


def sine_code(height: int, width: int, channels: int) -> Tensor:
    """A sine code of every place of a map, row by row: height*width channels.

    Half of the channels say the row, half the column, counted from 1 and scaled so that the last is
    2 pi; pairs of sine and cosine with wavelengths up to 10000 times that (Carion et al. 2020).
    """
    half = channels // 2
    rates = 10000 ** -(2 * (torch.arange(half) // 2) / half)
    rows = (torch.arange(height) + 1) * 2 * math.pi / (height + 1e-6)
    columns = (torch.arange(width) + 1) * 2 * math.pi / (width + 1e-6)

    def code(places: Tensor) -> Tensor:
        angles = places[:, None] * rates
        return torch.where(torch.arange(half) % 2 == 0, angles.sin(), angles.cos())

    down = code(rows)[:, None].expand(height, width, half)
    across = code(columns)[None].expand(height, width, half)
    both = torch.cat([down, across], dim=-1).flatten(0, 1)
    return F.pad(both, (0, channels - 2 * half))
