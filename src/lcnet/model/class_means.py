"""Class means: what a label's training pictures look like on average, as a score in closed form."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lcnet.model.image_tokens import tokens_of

RIDGE = 1.0
"""Added to the covariance's diagonal, as a multiple of its mean."""


class ClassMeans(nn.Module):
    """Scores of the pooled features by the distance to each label's mean, seen by a shared metric.

    With f the features of a picture, m_k their mean over the training pictures that show label k,
    m the mean over all, and S the covariance over all plus a multiple of the identity:

        score_k = strength (f - m)^T S^-1 (m_k - m) / deviation_k

    where the deviation is that of the numerator over the training pictures. It is what linear
    discriminant analysis scores by (Fisher 1936), with one covariance for all labels. Nothing is
    trained, so a mean of few pictures is as good as their number allows.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, labels: int, channels: int, last: int) -> None:
        """Make scores of 0. Of the C channels of the maps, the first `last` are the last stage's.

        The others are statistics of earlier stages.
        """
        super().__init__()
        self.last = last
        self.register_buffer("weight", torch.zeros(labels, channels))
        self.register_buffer("bias", torch.zeros(labels))

    def forward(self, maps: Tensor) -> Tensor:
        """The scores (B L, float32) of the views' feature maps (B V C h w)."""
        return pooled(maps, self.last) @ self.weight.T + self.bias


def pooled(maps: Tensor, last: int) -> Tensor:
    """The mean of feature maps (B V C h w) over all places: B C, float32.

    The last stage's channels are scaled to length 1 together, and so are those of earlier stages.
    """
    mean = tokens_of(maps).float().mean(dim=1)
    parts = (mean[:, :last], mean[:, last:])
    return torch.cat([F.normalize(part, dim=1) for part in parts], dim=1)


class Moments:
    """Sums over pictures, from which class means follow; pictures come in batches.

    Entries that are unknown say nothing of their label.
    """

    def __init__(self, labels: int, channels: int) -> None:
        self.pictures = 0
        self.sum = torch.zeros(channels, dtype=torch.float64)
        self.products = torch.zeros(channels, channels, dtype=torch.float64)
        self.present = torch.zeros(labels, dtype=torch.float64)
        self.known = torch.zeros(labels, dtype=torch.float64)
        self.sums_present = torch.zeros(labels, channels, dtype=torch.float64)
        self.sums_known = torch.zeros(labels, channels, dtype=torch.float64)

    def update(self, features: Tensor, targets: Tensor) -> None:
        """Add pictures: their pooled features (B C) and their targets (B L: 1, 0, -1 unknown)."""
        features = features.double()
        present, known = (targets == 1).double(), (targets >= 0).double()
        self.pictures += len(features)
        self.sum += features.sum(dim=0)
        self.products += features.T @ features
        self.present += present.sum(dim=0)
        self.known += known.sum(dim=0)
        self.sums_present += present.T @ features
        self.sums_known += known.T @ features

    def class_means(self, last: int) -> ClassMeans:
        """The scores that the pictures give, with strength 1; 0 for labels that none shows."""
        mean = self.sum / self.pictures
        covariance = self.products / self.pictures - torch.outer(mean, mean)
        ridge = RIDGE * covariance.diagonal().mean().clamp(min=1e-12)
        metric = covariance + ridge * torch.eye(len(mean), dtype=torch.float64)
        of_label = self.sums_present / self.present.clamp(min=1)[:, None]
        of_all = self.sums_known / self.known.clamp(min=1)[:, None]
        away = (of_label - of_all) * (self.present > 0)[:, None]  # L C
        weight = torch.linalg.solve(metric, away.T).T  # L C
        deviation = ((weight @ covariance) * weight).sum(dim=1).clamp(min=0).sqrt()
        weight = weight / torch.where(deviation > 0, deviation, 1)[:, None]
        made = ClassMeans(len(weight), len(mean), last)
        made.weight.copy_(weight)
        made.bias.copy_(-weight @ mean)
        return made
