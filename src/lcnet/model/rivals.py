"""The heads that LCNet is compared with, each from its paper, on the same image tokens.

| setting       | paper                                | what it does                             |
|---------------|--------------------------------------|------------------------------------------|
| `gap`         | He et al. 2016; ASL's baseline       | mean of the tokens, one linear layer     |
| `csra`        | Zhu and Wu 2021, arXiv 2108.02456    | mean plus attention pooling per label    |
| `ml_gcn`      | Chen et al. 2019, arXiv 1904.03582   | label vectors from a graph, max pooling  |
| `query2label` | Liu et al. 2021, arXiv 2107.10834    | transformer with a query per label       |
| `ml_decoder`  | Ridnik et al. 2021, arXiv 2111.12933 | one decoder layer with a query per group |

A head takes the feature maps of all views (B V C h w, the backbone's own features) and gives logits
(B L). Its settings are its paper's and no flags, but for what a checkpoint's shapes say.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lcnet.model.attention import Attention
from lcnet.model.backbone import Backbone
from lcnet.model.classifier import Classifier
from lcnet.model.crops import Crops
from lcnet.model.decoder import Read
from lcnet.model.explanation import mean_attention, recorded, shares
from lcnet.model.image_tokens import tokens_of
from lcnet.model.label_tokens import LabelTokens
from lcnet.model.released_parts import ReleasedRead


class RivalNet(Classifier):
    """A backbone and one of the heads of this file, with Crop-Forwarding as LCNet has it."""

    def __init__(self, *, crops: Crops, backbone: Backbone, head: nn.Module) -> None:
        super().__init__(crops, backbone)
        self.head = head

    def score(self, maps: Tensor) -> Tensor:
        """The logits (B L) of the feature maps of all views (B V C h w)."""
        return self.head(maps)

    def looked(self, maps: Tensor) -> Tensor:
        """Where each label looked in the feature maps (B V C h w): B L T, rows sum to 1."""
        looked: Tensor = self.head.looked(maps)  # type: ignore[operator]
        return looked

    def adjacency(self) -> Tensor | None:
        """What each label (row) takes from each other (column) in ML-GCN: L L."""
        return self.head.adjacency if isinstance(self.head, MLGCN) else None

    @torch.inference_mode()
    def influences(self, maps: Tensor) -> Tensor | None:
        """What each label's node does to each score in ML-GCN: B L L; none for other heads."""
        return self.head.influences(maps) if isinstance(self.head, MLGCN) else None

    def undecayed(self) -> list[Tensor]:
        """The queries, or the learned label vectors, of heads that have some."""
        queries = [part.tokens for part in self.head.modules() if isinstance(part, LabelTokens)]
        return [*queries, self.head.vectors] if isinstance(self.head, MLGCN) else queries


class GlobalPooling(nn.Module):
    """Global average pooling and one linear layer."""

    def __init__(self, labels: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(labels, channels))
        self.bias = nn.Parameter(torch.zeros(labels))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, maps: Tensor) -> Tensor:
        """The logits (B L) of feature maps (B V C h w)."""
        return F.linear(tokens_of(maps).mean(dim=1), self.weight, self.bias)

    def looked(self, maps: Tensor) -> Tensor:
        """The class activation map (Zhou et al. 2016), ReLU(w_k . x) as shares: B L T."""
        return shares((tokens_of(maps) @ self.weight.T).mT)


TEMPERATURES = {1: (1.0,), 2: (1.0, math.inf), 4: (1.0, 2.0, 4.0, math.inf)}
"""CSRA's temperatures by its number of heads."""


class CSRA(nn.Module):
    """Class-specific residual attention.

    With s the label's scores of all tokens, a head gives mean(s) + lambda * sum(softmax(T s) s);
    the heads have own classifiers and temperatures T, and their logits are summed. An infinite T is
    the maximum. The paper's setting for a CNN on VOC: one head, T 1, lambda 0.1.
    """

    def __init__(self, labels: int, channels: int, *, heads: int = 1, weight: float = 0.1) -> None:
        super().__init__()
        self.classifiers = nn.ModuleList(
            nn.Linear(channels, labels, bias=False) for _ in range(heads)
        )
        self.temperatures = TEMPERATURES[heads]
        self.weight = weight

    def forward(self, maps: Tensor) -> Tensor:
        """The logits (B L) of feature maps (B V C h w)."""
        tokens = tokens_of(maps)
        logits = torch.zeros((), device=tokens.device)
        for classifier, temperature in zip(self.classifiers, self.temperatures, strict=True):
            scores = classifier(tokens)  # B T L
            if math.isinf(temperature):
                attended = scores.amax(dim=1)
            else:
                attended = ((temperature * scores).softmax(dim=1) * scores).sum(dim=1)
            logits = logits + scores.mean(dim=1) + self.weight * attended
        return logits

    def looked(self, maps: Tensor) -> Tensor:
        """The mean over heads of the attention softmax(T s): B L T."""
        tokens, found = tokens_of(maps), []
        for classifier, temperature in zip(self.classifiers, self.temperatures, strict=True):
            scores = classifier(tokens).mT  # B L T
            if math.isinf(temperature):
                found.append(F.one_hot(scores.argmax(dim=-1), scores.shape[-1]).float())
            else:
                found.append((temperature * scores).softmax(dim=-1))
        return torch.stack(found).mean(dim=0)


class MLGCN(nn.Module):
    """A classifier per label, made by two graph convolutions over label vectors.

    A' = D^-1/2 A D^-1/2 with A the training labels' conditional probability, set to 1 from 0.4 on
    and 0 below, each row then given the weight 0.2 in all and 0.8 for the label itself;
    W = A' LeakyReLU_0.2(A' E W1) W2, and the logits are W max(tokens). Without label vectors E is
    learned. W1 and W2 start uniform within 1 / root of their outputs, as graph convolutions do, and
    a learned E at the scale of the paper's vectors: at a standard normal's, logits start where the
    sigmoid is flat.
    """

    VECTOR_STD = 0.4
    """About that of GloVe's vectors of length 300."""

    adjacency: Tensor

    def __init__(
        self, prior: Tensor, channels: int, *, vectors: Tensor | None = None, hidden: int = 1024
    ) -> None:
        """Take the prior P(column | row), L L, and maybe a vector per label, L E."""
        super().__init__()
        self.vectors: Tensor
        self.register_buffer("adjacency", reweighted(prior))
        if vectors is None:
            self.vectors = nn.Parameter(self.VECTOR_STD * torch.randn(len(prior), 300))
        else:
            self.register_buffer("vectors", vectors.float())
        self.first_hop = nn.Linear(self.vectors.shape[1], hidden, bias=False)
        self.second_hop = nn.Linear(hidden, channels, bias=False)
        for hop in (self.first_hop, self.second_hop):
            bound = hop.out_features**-0.5
            nn.init.uniform_(hop.weight, -bound, bound)

    def forward(self, maps: Tensor) -> Tensor:
        """The logits (B L) of feature maps (B V C h w)."""
        return tokens_of(maps).amax(dim=1) @ self.classifiers(self.adjacency).T

    def classifiers(self, adjacency: Tensor) -> Tensor:
        """What the label vectors become on a graph (L L): L C."""
        hidden = F.leaky_relu(adjacency @ self.first_hop(self.vectors), 0.2)
        return adjacency @ self.second_hop(hidden)

    def looked(self, maps: Tensor) -> Tensor:
        """ReLU of the score that each token has alone, as shares: B L T."""
        return shares((tokens_of(maps) @ self.classifiers(self.adjacency).T).mT)

    def influences(self, maps: Tensor) -> Tensor:
        """Each logit less what it is without a label's node (`Classifier.influences`): B L L.

        The node's row and column are set to 0 and the other rows scaled to the sums they had. A
        label without its own node has no classifier, so the diagonal is 0.
        """
        pooled = tokens_of(maps).amax(dim=1)
        logits = pooled @ self.classifiers(self.adjacency).T
        found = torch.zeros(*logits.shape, logits.shape[1], device=logits.device)
        sums = self.adjacency.sum(dim=1, keepdim=True)
        for label in range(logits.shape[1]):
            cut = self.adjacency.clone()
            cut[label] = 0
            cut[:, label] = 0
            cut = cut * (sums / cut.sum(dim=1, keepdim=True).clamp(min=1e-30))
            found[:, :, label] = logits - pooled @ self.classifiers(cut).T
            found[:, label, label] = 0
        return found


def reweighted(prior: Tensor, *, threshold: float = 0.4, weight: float = 0.2) -> Tensor:
    """ML-GCN's normalised adjacency (L L) from P(column | row); its equations 7 and 8."""
    joined = (prior >= threshold).float()
    joined.fill_diagonal_(0)
    shared = weight * joined / joined.sum(dim=1, keepdim=True).clamp(min=1)
    matrix = shared + (1 - weight) * torch.eye(len(prior), device=prior.device)
    scale = matrix.sum(dim=1) ** -0.5
    return scale[:, None] * matrix * scale


class MLDecoder(nn.Module):
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

    def forward(self, maps: Tensor) -> Tensor:
        """The logits (B L) of feature maps (B V C h w)."""
        tokens = self.embed(tokens_of(maps)).relu()
        queries = self.read(self.queries().expand(tokens.shape[0], -1, -1), tokens)  # B G D
        grouped = torch.einsum("bgd,gds->bgs", queries, self.weight)
        return grouped.flatten(1)[:, : len(self.bias)] + self.bias

    def looked(self, maps: Tensor) -> Tensor:
        """The attention of the query of each label's group: B L T."""
        with recorded([self.read.labels_read_image]) as weights:
            self(maps)
        by_group = mean_attention(weights)
        return by_group.repeat_interleave(self.weight.shape[-1], dim=1)[:, : len(self.bias)]


class Query2Label(nn.Module):
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

        `self_attention` says which decoder layers keep it.
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

    def forward(self, maps: Tensor) -> Tensor:
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
