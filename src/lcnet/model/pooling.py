"""A short way from features to scores, beside the decoder."""

import torch
from torch import Tensor, nn

from lcnet.model.image_tokens import tokens_of


class Pooling(nn.Module):
    """Class-specific residual attention over the tokens of all views.

    With s = w_k . x the score of label k at a token, a label gets mean(s) + a_k sum(softmax(s) s):
    the mean, and the mean weighted by where the label seems to be (Zhu and Wu 2021, arXiv
    2108.02456, equations 2 to 5, with T = 1 and a_k for lambda). a_k is learned. Where there are
    tiles, w_k is another by `whole` for the tokens of the whole image, which show things smaller.
    """

    def __init__(self, labels: int, channels: int, *, tiles: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(labels, channels))
        self.whole = nn.Parameter(torch.empty(labels, channels)) if tiles else None
        self.attended = nn.Parameter(torch.empty(labels))

    def forward(self, maps: Tensor) -> Tensor:
        """What the views' feature maps (B V C h w, the whole image last) add to the logits: B L."""
        scores = tokens_of(maps) @ self.weight.T  # B T L
        if self.whole is not None:
            own = tokens_of(maps[:, -1:]) @ self.whole.T
            scores = torch.cat([scores[:, : -own.shape[1]], scores[:, -own.shape[1] :] + own], 1)
        return scores.mean(dim=1) + self.attended * (scores.softmax(dim=1) * scores).sum(dim=1)
