"""From a picture to the tensor a backbone expects, with or without augmentation."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

from lcnet import config

Transform = Callable[[Image.Image], Tensor]


@dataclass(frozen=True)
class Preprocessing:
    """What a model expects of its pictures."""

    size: int
    """Side in pixels; pictures are stretched to a square."""
    mean: tuple[float, float, float]
    """Mean of red, green and blue to subtract, for values from 0 to 1."""
    std: tuple[float, float, float]
    """Standard deviation to divide by."""
    interpolation: str
    """`bilinear` or `bicubic`."""


def eval_transform(expected: Preprocessing) -> Transform:
    """The transform to what a model expects: 3 size size, normalised."""
    transform: Transform = v2.Compose([_resize(expected), *_normalize(expected)])
    return transform


def train_transform(expected: Preprocessing, recipe: config.Train) -> Transform:
    """The same with the recipe's random crop, mirroring, RandAugment and cutout."""
    steps: list[Callable[..., object]] = []
    if recipe.min_scale < 1:
        steps.append(
            v2.RandomResizedCrop(
                expected.size,
                scale=(recipe.min_scale, 1.0),
                ratio=(0.8, 1.25),
                interpolation=InterpolationMode(expected.interpolation),
            )
        )
    else:
        steps.append(_resize(expected))
    if recipe.flip:
        steps.append(v2.RandomHorizontalFlip())
    if recipe.randaugment:
        steps.append(v2.RandAugment(magnitude=recipe.randaugment))
    steps.extend(_normalize(expected))
    if recipe.cutout:
        # A square inside the picture, set to the mean colour (DeVries and Taylor 2017).
        area = recipe.cutout**2
        steps.append(v2.RandomErasing(p=0.5, scale=(area, area), ratio=(1.0, 1.0), value=0))
    transform: Transform = v2.Compose(steps)
    return transform


def _resize(expected: Preprocessing) -> Callable[..., object]:
    interpolation = InterpolationMode(expected.interpolation)
    return v2.Resize((expected.size, expected.size), interpolation=interpolation)


def _normalize(expected: Preprocessing) -> list[Callable[..., object]]:
    return [
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(list(expected.mean), list(expected.std)),
        v2.ToPureTensor(),
    ]
