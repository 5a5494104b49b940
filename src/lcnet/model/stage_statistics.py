"""What the earlier stages of a backbone say of a whole view, beside its last feature map."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def with_statistics(last: Tensor, earlier: Sequence[Tensor]) -> Tensor:
    """The last map (N C h w) with the earlier maps' statistics at each place: N C+2M h w.

    M are the channels of all earlier maps (N M_s h_s w_s) together. The statistics are the mean and
    the standard deviation of each channel over the places of a view. They tell textures and scenes,
    which the last stage has given up for objects (Huang and Belongie 2017, arXiv 1703.06868, take
    the two for the style of a picture). Each of the two is normalised over a stage's channels, so
    that all stages count alike.
    """
    statistics = torch.cat([each for maps in earlier for each in _statistics(maps.float())], dim=1)
    everywhere = statistics.to(last.dtype)[:, :, None, None].expand(-1, -1, *last.shape[2:])
    return torch.cat([last, everywhere], dim=1)


def _statistics(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation over places, N C each, normalised over channels."""
    mean = maps.mean(dim=(2, 3))
    # The root has no gradient at 0, where a channel is the same everywhere.
    deviation = (maps.var(dim=(2, 3), correction=0) + 1e-6).sqrt()
    return F.layer_norm(mean, mean.shape[1:]), F.layer_norm(deviation, deviation.shape[1:])
