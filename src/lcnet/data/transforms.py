"""From a picture to the tensor a backbone expects, with or without augmentation."""

from collections.abc import Callable

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

from lcnet import config
from lcnet.model.backbone import BackboneSpec

Transform = Callable[[Image.Image], Tensor]


def eval_transform(size: int, spec: BackboneSpec) -> Transform:
    """A transform to size x size pixels, whatever the aspect ratio, normalised for `spec`."""
    resize = v2.Resize((size, size), interpolation=InterpolationMode(spec.interpolation))
    transform: Transform = v2.Compose([resize, *_normalize(spec)])
    return transform


def train_transform(size: int, spec: BackboneSpec, recipe: config.Train) -> Transform:
    """The same with the recipe's random crop, mirroring, RandAugment and cutout."""
    interpolation = InterpolationMode(spec.interpolation)
    steps: list[Callable[..., object]] = []
    if recipe.min_scale < 1:
        steps.append(
            v2.RandomResizedCrop(
                size, scale=(recipe.min_scale, 1.0), ratio=(0.8, 1.25), interpolation=interpolation
            )
        )
    else:
        steps.append(v2.Resize((size, size), interpolation=interpolation))
    if recipe.flip:
        steps.append(v2.RandomHorizontalFlip())
    if recipe.randaugment:
        steps.append(v2.RandAugment(magnitude=recipe.randaugment))
    steps.extend(_normalize(spec))
    if recipe.cutout:
        # A square inside the picture, set to the mean colour (DeVries and Taylor 2017).
        area = recipe.cutout**2
        steps.append(v2.RandomErasing(p=0.5, scale=(area, area), ratio=(1.0, 1.0), value=0))
    transform: Transform = v2.Compose(steps)
    return transform


def _normalize(spec: BackboneSpec) -> list[Callable[..., object]]:
    return [
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(list(spec.mean), list(spec.std)),
        v2.ToPureTensor(),
    ]
