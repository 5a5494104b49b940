"""A short way from feature maps to logits, beside the decoder."""

import torch
from torch import Tensor, nn

from lcnet.model.image_tokens import tokens_of


class Pooling(nn.Module):
    """Class-specific residual attention over all views.

    With s = w_k . x the score of label k at a token, a label gets mean(s) + a sum(softmax(s) s):
    the mean over tokens, and a mean weighted by where the label seems to be (Zhu and Wu 2021, arXiv
    2108.02456, equations 2 to 5, with T = 1; a is their lambda). With `apart`, the tiles and the
    whole image have a classifier each, and the two logits are added.

    Pooling has a loss of its own, and its logits and the decoder's are averaged. Two predictors
    with different errors do better than one sum that is trained as a whole. See
    docs/reference/method.md.
    """

    def __init__(self, labels: int, channels: int, *, apart: bool, attended: float) -> None:
        super().__init__()
        self.whole = Attended(labels, channels, attended)
        self.tiles = Attended(labels, channels, attended) if apart else None
        self.bias = nn.Parameter(torch.empty(labels))

    def forward(self, maps: Tensor) -> Tensor:
        """The logits (B L) of the views' feature maps (B V C h w, the whole image last)."""
        if self.tiles is None:
            return self.whole(tokens_of(maps)) + self.bias
        return self.tiles(tokens_of(maps[:, :-1])) + self.whole(tokens_of(maps[:, -1:])) + self.bias


class Attended(nn.Module):
    """The mean of a label's scores over tokens, and their mean weighted by themselves."""

    def __init__(self, labels: int, channels: int, attended: float) -> None:
        """Take how much the weighted mean counts.

        When that was learned it rose to 0.2 to 0.4, and mAP on digits fell.
        """
        super().__init__()
        self.weight = nn.Parameter(torch.empty(labels, channels))
        self.attended = attended

    def forward(self, tokens: Tensor) -> Tensor:
        """The scores (B L) of tokens (B T C)."""
        scores = tokens @ self.weight.T  # B T L
        return scores.mean(dim=1) + self.attended * (scores.softmax(dim=1) * scores).sum(dim=1)
