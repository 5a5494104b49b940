"""What labels that are known say of the others.

A state is 1 where a label is known to be present, -1 where it is known to be absent, 0 where
nothing is known.
"""

import math

import torch
from torch import Tensor, nn

SURE = 1e4
"""The logit of a label that is known: its probability is 1 or 0 in float32."""


class Evidence(nn.Module):
    """Moves the logits of labels that are unknown by those that are known.

    With u = slope z + bias the calibrated logits, p = sigmoid(u) what the picture alone says, and
    the sources j to which label k listens:

        z'_k = z_k + 1 / slope_k sum_j weight_kj surprise_j
        surprise_j = scale_1 (1 - p_j) where j is present, -scale_0 p_j where absent, else 0

    So a known label counts as far as the picture did not tell it already. Where nothing is known,
    z' is z, bit for bit.

    If a share `wrong` of what is known is wrong, whether present or absent, a label that is said to
    be present is so with probability q_j = sigmoid(u_j + log((1 - wrong) / wrong)), by Bayes' rule,
    and one that is said to be absent with the same but minus the logarithm. The surprise is then
    the one to be expected: q_j scale_1 (1 - p_j) - (1 - q_j) scale_0 p_j.
    """

    slope: Tensor
    bias: Tensor
    scales: Tensor
    sources: Tensor
    weights: Tensor

    def __init__(self, labels: int, edges: int) -> None:
        """Make evidence that says nothing: each of L labels listens to E others."""
        super().__init__()
        self.wrong = 0.0
        """The share of known labels that are wrong, from 0 to below 0.5. It is of who tells them,
        so it is not kept with the model."""
        self.register_buffer("slope", torch.ones(labels))
        self.register_buffer("bias", torch.zeros(labels))
        self.register_buffer("scales", torch.ones(2))
        self.register_buffer("sources", torch.zeros(labels, edges, dtype=torch.int64))
        self.register_buffer("weights", torch.zeros(labels, edges))

    def forward(self, logits: Tensor, known: Tensor) -> Tensor:
        """The logits (B L), given what is known (B L: 1, -1 and 0); a known label's are sure."""
        return as_given(self.moved(logits, known), known)

    def moved(self, logits: Tensor, known: Tensor) -> Tensor:
        """The same, but a known label's logit is what the others say of it."""
        return logits + self.moves(logits, known).sum(dim=-1) / self.slope

    def moves(self, logits: Tensor, known: Tensor) -> Tensor:
        """What each source adds to a label's calibrated logit: B L E, as `sources` has them."""
        calibrated = self.slope * logits + self.bias
        alone = calibrated.sigmoid()
        present, absent = self.scales[1] * (1 - alone), -self.scales[0] * alone
        if self.wrong:
            trust = math.log((1 - self.wrong) / self.wrong)
            right = (calibrated + trust * known.sign()).sigmoid()
            surprise = (known != 0) * (right * present + (1 - right) * absent)
        else:
            surprise = (known > 0) * present + (known < 0) * absent  # B L
        return surprise[:, self.sources] * self.weights


def as_given(logits: Tensor, known: Tensor) -> Tensor:
    """The logits (B L), with those of known labels (B L: 1, -1 and 0) put to `SURE`."""
    return torch.where(known == 0, logits, SURE * known.to(logits.dtype))
