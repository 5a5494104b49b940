"""Fits which tiles are needed: from what the whole image shows to how much a look would change."""

import copy
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from lcnet.model.needed_views import NeededViews

WIDTH = 64
"""Hidden width of what is fitted."""
STEPS, BATCH, RATE, DECAY, DROPOUT = 600, 256, 1e-3, 1e-2, 0.3
FOLDS = 5
RAMP = 0.05
"""Needs of tiles that count in part, as a share of the needs' standard deviation."""
FAR = 100.0
"""A need that no tile has: needs are around 0, with a deviation of about 1."""
LEAST = 1e-3
"""Changes below it are all alike."""


def fit_need(statistics: Tensor, change: Tensor, *, seed: int = 0) -> NeededViews:
    """What says how much a look at a tile changes (N V-1), from its `statistics_of` (N V-1 3C).

    It is fitted to the logarithm of the change by AdamW, in the same way each time. Its need has
    the mean 0 and about the deviation 1 over these tiles.
    """
    generator = torch.Generator().manual_seed(seed)
    rows, wanted = statistics.flatten(0, 1), (change.flatten() + LEAST).log()
    wanted = (wanted - wanted.mean()) / wanted.std().clamp_min(1e-6)
    mean, scale = rows.mean(dim=0), rows.std(dim=0).clamp_min(1e-6)
    channels = rows.shape[1] // 3
    needed = NeededViews(channels, WIDTH)
    for linear in (needed.inner, needed.outer):
        bound = linear.in_features**-0.5
        nn.init.uniform_(linear.weight, -bound, bound, generator=generator)
        nn.init.zeros_(linear.bias)
    optimizer = torch.optim.AdamW(needed.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS)
    for chosen in _batches(len(rows), generator):
        given = _dropped((rows[chosen] - mean) / scale, generator)
        hidden = _dropped(F.gelu(needed.inner(given)), generator)
        loss = F.mse_loss(needed.outer(hidden).squeeze(-1), wanted[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():  # the statistics come as they are
        needed.inner.weight.div_(scale)
        needed.inner.bias.sub_(needed.inner.weight @ mean)
    return needed.requires_grad_(False)


def _batches(rows: int, generator: torch.Generator) -> Iterator[Tensor]:
    for _ in range(STEPS):
        yield torch.randint(rows, (BATCH,), generator=generator)


def _dropped(values: Tensor, generator: torch.Generator) -> Tensor:
    kept = torch.rand(values.shape, generator=generator) >= DROPOUT
    return values * kept / (1 - DROPOUT)


def crossfitted(statistics: Tensor, change: Tensor) -> Tensor:
    """The need of each tile (N V-1) by what was fitted to other pictures, as of new ones."""
    fold_of = torch.from_numpy(np.random.default_rng(0).permutation(len(change)) % FOLDS)
    need = torch.empty_like(change)
    for fold in range(FOLDS):
        held_out = fold_of == fold
        fitted = fit_need(statistics[~held_out], change[~held_out])
        need[held_out] = fitted.need(statistics[held_out])
    return need


def with_threshold(needed: NeededViews, threshold: float) -> NeededViews:
    """The same with a need above 0 where it was above the threshold, and 1 where by `RAMP`."""
    changed = copy.deepcopy(needed)
    changed.outer.weight.div_(RAMP)
    changed.outer.bias.sub_(threshold).div_(RAMP)
    return changed


def above(need: Tensor, threshold: float) -> Tensor:
    """The need that `with_threshold` gives."""
    return (need - threshold) / RAMP


def thresholds(need: NDArray[np.floating], tiles: NDArray[np.floating]) -> list[float]:
    """The thresholds above which as many tiles a picture are needed, on average."""
    ordered = np.concatenate([[FAR], np.sort(need.ravel())[::-1], [-FAR]])
    counts = np.rint(tiles * len(need)).astype(int)
    return [float(ordered[count + 1]) if count else FAR for count in counts]
