"""Where a model looked: from attention to image tokens to maps over the image."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lcnet.model.attention import Attention


@dataclass(frozen=True)
class Explanation:
    """Why a model gave its scores."""

    logits: Tensor
    """B L."""
    attention: Tensor
    """Where each label looked: B L H W, not negative, each map sums to 1."""
    graph: Tensor | None
    """What each label (row) takes from each other (column): L L; None without a graph. Rows sum to
    1, except in the released graph and in ML-GCN. A sparse tensor (COO) of more than 512 labels."""


@contextmanager
def recorded(parts: Sequence[Attention]) -> Iterator[list[Tensor]]:
    """Collects the attention weights (B heads L T) of each call of `parts`."""
    weights: list[Tensor] = []

    def record(part: nn.Module, inputs: tuple[Tensor, Tensor], places: dict[str, Any]) -> None:
        assert isinstance(part, Attention)
        weights.append(part.weights(*inputs, **places).float())

    hooks = [part.register_forward_pre_hook(record, with_kwargs=True) for part in parts]
    try:
        yield weights
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """A model in evaluation mode inside, and in its own mode again afterwards."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def mean_attention(weights: Sequence[Tensor]) -> Tensor:
    """The mean over calls and heads of attention weights (B heads L T each): B L T."""
    return torch.stack(list(weights)).mean(dim=(0, 2))


def shares(scores: Tensor) -> Tensor:
    """Positive scores (... T) as shares of their sum; equal shares where none is positive."""
    positive = scores.float().clamp(min=0)
    total = positive.sum(dim=-1, keepdim=True)
    return torch.where(total > 0, positive / total.clamp(min=1e-30), 1 / scores.shape[-1])


def over_image(looked: Tensor, maps: Tensor, *, level: int, images: Tensor) -> Tensor:
    """Shares of the tokens (B L T) of feature maps (B V C h w) over their images: B L H W."""
    views = looked.unflatten(-1, (maps.shape[1], *maps.shape[-2:]))  # B L V h w
    return stitch(views, level, size_of(images))


def size_of(images: Tensor) -> tuple[int, int]:
    """Height and width in pixels of images (B 3 H W)."""
    return images.shape[-2], images.shape[-1]


def stitch(views: Tensor, level: int, size: tuple[int, int]) -> Tensor:
    """Values of the views' cells (B L V h w, not negative) laid over the image: B L H W, sums to 1.

    The views are those of `Crops`: level x level tiles row by row, then the whole image. A view has
    the same share of the map as of the sum of all values. Inside a view, values are interpolated
    between the centres of the cells, bilinear.
    """
    whole = views[:, :, -1].float()
    total = _density(whole, size)
    if level:
        tiles = views[:, :, :-1].float().unflatten(2, (level, level))  # B L row column h w
        tiles = tiles.permute(0, 1, 2, 4, 3, 5).flatten(4, 5).flatten(2, 3)
        total = total + _density(tiles, size)
    return shares(total.flatten(2)).unflatten(2, size)


def _density(grid: Tensor, size: tuple[int, int]) -> Tensor:
    """Values per pixel that a cell covers: larger where more cells cover the image."""
    return F.interpolate(grid, size, mode="bilinear") * grid[0, 0].numel()
