"""CSRA, Class-Specific Residual Attention: Zhu and Wu 2021, arXiv 2108.02456."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lcnet.model.head import Head
from lcnet.model.image_tokens import tokens_of

TEMPERATURES = {1: (1.0,), 2: (1.0, math.inf), 4: (1.0, 2.0, 4.0, math.inf)}
"""CSRA's temperatures by its number of heads."""


class CSRA(Head):
    """Class-specific residual attention.

    With s the label's scores of all tokens, a head gives mean(s) + lambda * sum(softmax(T s) s).
    Each head has its own classifier and temperature T, and the logits of the heads are summed. An
    infinite T takes the maximum. The paper's setting for a CNN on VOC: one head, T 1, lambda 0.1.
    """

    def __init__(self, labels: int, channels: int, *, heads: int = 1, weight: float = 0.1) -> None:
        super().__init__()
        self.classifiers = nn.ModuleList(
            nn.Linear(channels, labels, bias=False) for _ in range(heads)
        )
        self.temperatures = TEMPERATURES[heads]
        self.weight = weight

    def score(self, maps: Tensor) -> Tensor:
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
        tokens, attention = tokens_of(maps), []
        for classifier, temperature in zip(self.classifiers, self.temperatures, strict=True):
            scores = classifier(tokens).mT  # B L T
            if math.isinf(temperature):
                attention.append(F.one_hot(scores.argmax(dim=-1), scores.shape[-1]).float())
            else:
                attention.append((temperature * scores).softmax(dim=-1))
        return torch.stack(attention).mean(dim=0)
