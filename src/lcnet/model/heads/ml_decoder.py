"""ML-Decoder, a query per group of labels: Ridnik et al. 2021, arXiv 2111.12933."""

import math

import torch
from torch import Tensor, nn

from lcnet.model.explanation import mean_attention, recorded
from lcnet.model.head import Head
from lcnet.model.image_tokens import tokens_of
from lcnet.model.label_tokens import LabelTokens
from lcnet.model.released_parts import ReleasedRead


class MLDecoder(Head):
    """One decoder layer without self-attention, a query per group, and group pooling.

    Tokens pass a linear layer and ReLU; fixed random queries read them; query g gives the logits of
    the labels g * ceil(L / G) onwards. The paper's setting: width 768, 8 heads, MLP 2048, at most
    100 groups. As many groups as labels is the full decoder.
    """

    def __init__(
        self,
        labels: int,
        channels: int,
        *,
        groups: int = 100,
        width: int = 768,
        heads: int = 8,
        mlp_width: int = 2048,
    ) -> None:
        super().__init__()
        groups = min(groups, labels)
        self.embed = nn.Linear(channels, width)
        self.queries = LabelTokens(groups, width, learn=False)
        self.read = ReleasedRead(width, heads, mlp_width=mlp_width, dropout=0.1)
        self.weight = nn.Parameter(torch.empty(groups, width, math.ceil(labels / groups)))
        self.bias = nn.Parameter(torch.zeros(labels))
        nn.init.normal_(self.queries.tokens)
        nn.init.xavier_normal_(self.weight)

    def score(self, maps: Tensor) -> Tensor:
        """The logits (B L) of feature maps (B V C h w)."""
        tokens = self.embed(tokens_of(maps)).relu()
        queries = self.read(self.queries().expand(tokens.shape[0], -1, -1), tokens)  # B G D
        grouped = torch.einsum("bgd,gds->bgs", queries, self.weight)
        return grouped.flatten(1)[:, : len(self.bias)] + self.bias

    def undecayed(self) -> list[Tensor]:
        """The queries, which get no weight decay."""
        return [self.queries.tokens]

    def looked(self, maps: Tensor) -> Tensor:
        """The attention of the query of each label's group: B L T."""
        with recorded([self.read.labels_read_image]) as weights:
            self(maps)
        by_group = mean_attention(weights)
        return by_group.repeat_interleave(self.weight.shape[-1], dim=1)[:, : len(self.bias)]
