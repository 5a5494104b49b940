"""From a picture to the uint8 tensor that a loader carries, and from there to a model's input."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode, v2

from lcnet import config

NARROWEST = 0.8
"""Smallest ratio of width to height of a random crop; the largest is its inverse."""


@dataclass(frozen=True)
class Preprocessing:
    """Size and normalisation of the pictures that a model expects."""

    size: int
    """Side in pixels; pictures are stretched to a square."""
    mean: tuple[float, float, float]
    """Mean of red, green and blue to subtract, for values from 0 to 1."""
    std: tuple[float, float, float]
    """Standard deviation to divide by."""
    interpolation: str
    """`bilinear` or `bicubic`."""


@dataclass(frozen=True)
class Transform:
    """From a picture (or its pixels, 3 H W in uint8) to a uint8 tensor, 3 size size."""

    steps: Callable[[Image.Image | Tensor], Tensor]
    decode_size: int
    """Smallest side in pixels that loses nothing: `read_image` need not decode more."""

    def __call__(self, picture: Image.Image | Tensor) -> Tensor:
        """The tensor of a picture, red, green, blue from 0 to 255."""
        return self.steps(picture)


class Normalize(nn.Module):
    """From a loader's batch to a model's: uint8 B 3 H W to float32, normalised.

    It is the only place where pictures are normalised. It runs after the loader, on the model's
    device, so that batches travel as uint8, in a quarter of the memory.
    """

    factor: Tensor
    shift: Tensor

    def __init__(self, expected: Preprocessing) -> None:
        super().__init__()
        mean, std = (torch.tensor(values) for values in (expected.mean, expected.std))
        # (x / 255 - mean) / std in one multiplication and one addition.
        self.register_buffer("factor", 1 / (255 * std), persistent=False)
        self.register_buffer("shift", -mean / std, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """The normalised images, channels_last, on the module's device."""
        if images.dtype != torch.uint8:
            raise TypeError(f"expected images in uint8, got {images.dtype}")
        # Moved before the conversion to float, which makes four times as many bytes.
        moved = images.to(self.factor.device).permute(0, 2, 3, 1)  # B H W 3, as they lie in memory
        # Whole rows of pixels at a time: broadcasting over 3 channels takes four times as long.
        rows = moved.flatten(2).to(torch.float32)  # B H 3W
        factor, shift = (values.repeat(moved.shape[2]) for values in (self.factor, self.shift))
        torch.addcmul(shift, rows, factor, out=rows)
        return rows.view(moved.shape).permute(0, 3, 1, 2)


def eval_transform(expected: Preprocessing) -> Transform:
    """The transform to a model's input size, before normalisation."""
    return Transform(v2.Compose([v2.ToImage(), resize(expected), v2.ToPureTensor()]), expected.size)


def train_transform(expected: Preprocessing, recipe: config.Train) -> Transform:
    """`eval_transform` with the recipe's random crop, mirroring, RandAugment and cutout."""
    steps: list[Callable[..., object]] = [v2.ToImage()]
    if recipe.min_scale < 1:
        steps.append(
            v2.RandomResizedCrop(
                expected.size,
                scale=(recipe.min_scale, 1.0),
                ratio=(NARROWEST, 1 / NARROWEST),
                interpolation=InterpolationMode(expected.interpolation),
            )
        )
    else:
        steps.append(resize(expected))
    if recipe.flip:
        steps.append(v2.RandomHorizontalFlip())
    if recipe.randaugment:
        # On a Pillow picture, RandAugment takes a sixth of the time that it takes on a tensor.
        steps += [v2.ToPILImage(), v2.RandAugment(magnitude=recipe.randaugment), v2.ToImage()]
    if recipe.cutout:
        # A square inside the picture, set to the mean colour (DeVries and Taylor 2017).
        area, mean = recipe.cutout**2, [round(255 * value) for value in expected.mean]
        steps.append(v2.RandomErasing(p=0.5, scale=(area, area), ratio=(1.0, 1.0), value=mean))
    return Transform(v2.Compose([*steps, v2.ToPureTensor()]), train_size(expected, recipe))


def train_size(expected: Preprocessing, recipe: config.Train) -> int:
    """Smallest side in pixels at which the recipe's smallest crop still fills the model's input."""
    if recipe.min_scale == 1:
        return expected.size
    return math.ceil(expected.size / math.sqrt(NARROWEST * recipe.min_scale))


@dataclass(frozen=True)
class Shrink:
    """Shrinks pixels (3 H W, uint8) to a shorter side of `size`, and keeps their proportions.

    A picture with a smaller side stays as it is.
    """

    size: int
    interpolation: str

    def __call__(self, pixels: Tensor) -> Tensor:
        """The pixels, with a shorter side of at most `size`."""
        if min(pixels.shape[-2:]) <= self.size:
            return pixels
        interpolation = InterpolationMode(self.interpolation)
        return v2.functional.resize(pixels, [self.size], interpolation=interpolation)


def keep_transform(expected: Preprocessing, size: int) -> Transform:
    """The transform to the copy of a picture that the cache keeps, for a `decode_size` of `size`.

    That is the square that the model takes. If random crops need more, it is the whole picture
    with a shorter side of `size` pixels.
    """
    step = resize(expected) if size == expected.size else Shrink(size, expected.interpolation)
    return Transform(v2.Compose([v2.ToImage(), step, v2.ToPureTensor()]), size)


def resize(expected: Preprocessing) -> Callable[..., Tensor]:
    """The step that stretches pixels (3 H W, uint8) to a square, with antialiasing.

    torchvision's resize on uint8 is four times as fast as Pillow's and differs from it by 1 or 2 of
    255 in a few pixels (docs/log/speed.md).
    """
    transform: Callable[..., Tensor] = v2.Resize(
        (expected.size, expected.size), interpolation=InterpolationMode(expected.interpolation)
    )
    return transform
