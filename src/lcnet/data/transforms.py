"""From a picture to the uint8 tensor that a loader carries, and from there to a model's input."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode, v2

from lcnet import config
from lcnet.data.decoding import PixelForm, Pixels
from lcnet.data.fit import place_in_square

NARROWEST = 0.8
"""A random crop has the picture's ratio of width to height times this at least, and divided by it
at most."""


@dataclass(frozen=True)
class Preprocessing:
    """Size and normalisation of the pictures that a model expects."""

    size: int
    """Side in pixels of the square that the model takes."""
    mean: tuple[float, ...]
    """Mean of each channel to subtract, for values from 0 to 1."""
    std: tuple[float, ...]
    """Standard deviation of each to divide by."""
    interpolation: str
    """`bilinear` or `bicubic`."""
    fit: config.Fit = "squash"
    """How a picture is made square, as `config.Data.fit` explains."""
    pixel_range: tuple[float, float] | None = None
    """Values of black and white in pictures of more than 8 bits; None if there were none."""

    @property
    def form(self) -> PixelForm:
        """What decoding must give: the channels and the range."""
        return PixelForm(len(self.mean), self.pixel_range)


@dataclass(frozen=True)
class Transform:
    """From a picture (or its pixels, C H W in uint8) to a uint8 tensor, C size size."""

    steps: Callable[[Pixels], Tensor]
    decode_size: int
    """Smallest side in pixels that loses nothing: `read_pixels` need not decode more."""
    form: PixelForm = PixelForm()  # noqa: RUF009 -- it is frozen
    """What `read_pixels` must give."""

    def __call__(self, picture: Pixels) -> Tensor:
        """The tensor of a picture, its channels from 0 to 255."""
        return self.steps(picture)


class Normalize(nn.Module):
    """From a loader's batch to a model's: uint8 B C H W to float32, normalised.

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
        moved = images.to(self.factor.device).permute(0, 2, 3, 1)  # B H W C, as they lie in memory
        # Whole rows of pixels at a time: broadcasting over the channels takes four times as long.
        rows = moved.flatten(2).to(torch.float32)  # B H CW
        factor, shift = (values.repeat(moved.shape[2]) for values in (self.factor, self.shift))
        torch.addcmul(shift, rows, factor, out=rows)
        return rows.view(moved.shape).permute(0, 3, 1, 2)


def eval_transform(expected: Preprocessing) -> Transform:
    """The transform to a model's input size, before normalisation."""
    steps = v2.Compose([v2.ToImage(), fitted(expected), v2.ToPureTensor()])
    return Transform(steps, expected.size, expected.form)


def train_transform(expected: Preprocessing, recipe: config.Train) -> Transform:
    """`eval_transform` with the recipe's random crop, flips, rotation, RandAugment and cutout."""
    steps: list[Callable[..., object]] = [v2.ToImage()]
    if recipe.min_scale < 1:
        steps += [RandomRegion(recipe.min_scale), fitted(expected, at_random=True)]
    else:
        steps.append(fitted(expected))
    if recipe.flip:
        steps.append(v2.RandomHorizontalFlip())
    if recipe.vertical_flip:
        steps.append(v2.RandomVerticalFlip())
    if recipe.rotation:
        method, filling = InterpolationMode.BILINEAR, mean_levels(expected)
        steps.append(v2.RandomRotation(recipe.rotation, interpolation=method, fill=filling))
    if recipe.randaugment:
        # On a Pillow picture, RandAugment takes a sixth of the time that it takes on a tensor.
        steps += [v2.ToPILImage(), v2.RandAugment(magnitude=recipe.randaugment), v2.ToImage()]
    if recipe.cutout:
        # A square inside the picture, set to the mean colour (DeVries and Taylor 2017).
        area, mean = recipe.cutout**2, mean_levels(expected)
        steps.append(v2.RandomErasing(p=0.5, scale=(area, area), ratio=(1.0, 1.0), value=mean))
    steps.append(v2.ToPureTensor())
    return Transform(v2.Compose(steps), train_size(expected, recipe), expected.form)


def mean_levels(expected: Preprocessing) -> list[int]:
    """The mean colour, a level from 0 to 255 for each channel."""
    return [min(255, max(0, round(255 * value))) for value in expected.mean]


def train_size(expected: Preprocessing, recipe: config.Train) -> int:
    """Smallest side in pixels at which the recipe's smallest crop still fills the model's input."""
    if recipe.min_scale == 1:
        return expected.size
    return math.ceil(expected.size / math.sqrt(NARROWEST * recipe.min_scale))


@dataclass(frozen=True)
class Shrink:
    """Shrinks pixels (C H W, uint8) to a shorter side of `size`, and keeps their proportions.

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
    step = fitted(expected) if size == expected.size else Shrink(size, expected.interpolation)
    return Transform(v2.Compose([v2.ToImage(), step, v2.ToPureTensor()]), size, expected.form)


@dataclass(frozen=True)
class RandomRegion:
    """Cuts a random region out of pixels (C H W): at least `min_scale` of their area.

    Its ratio of width to height is the picture's, times a factor from `NARROWEST` to its inverse.
    So a long picture keeps its length, and every pixel can be in it.
    """

    min_scale: float

    def __call__(self, pixels: Tensor) -> Tensor:
        """The region's pixels."""
        top, left, height, width = self.place(*pixels.shape[-2:])
        return v2.functional.crop(pixels, top, left, height, width)

    def place(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Top, left, height and width of a region of a picture, by torch's random numbers."""
        share, turn = torch.rand(2, dtype=torch.float64).tolist()
        share = self.min_scale + (1 - self.min_scale) * share
        # A factor beyond these would make the region wider or higher than the picture.
        low, high = max(NARROWEST, share), min(1 / NARROWEST, 1 / share)
        factor = low * (high / low) ** turn
        down = min(height, math.ceil(height * math.sqrt(share / factor)))
        across = min(width, math.ceil(width * math.sqrt(share * factor)))
        top = int(torch.randint(height - down + 1, ()))
        left = int(torch.randint(width - across + 1, ()))
        return top, left, down, across


def fitted(expected: Preprocessing, *, at_random: bool = False) -> Callable[..., Tensor]:
    """The step that makes pixels (C H W, uint8) the model's square, with antialiasing.

    A square picture fits in one way only. `at_random` cuts the square of `crop` out at a random
    place instead of the middle.

    torchvision's resize on uint8 is four times as fast as Pillow's and differs from it by 1 or 2 of
    255 in a few pixels (docs/log/speed.md).
    """
    side, method = expected.size, InterpolationMode(expected.interpolation)
    if expected.fit == "squash":
        squash: Callable[..., Tensor] = v2.Resize((side, side), interpolation=method)
        return squash
    filling = mean_levels(expected)

    def fit(pixels: Tensor) -> Tensor:
        height, width = pixels.shape[-2:]
        left, top, right, bottom = place_in_square(expected.fit, (width, height), side)
        inner = [bottom - top, right - left]
        resized = v2.functional.resize(pixels, inner, interpolation=method)
        if expected.fit == "crop":
            if at_random:
                return v2.RandomCrop(side)(resized)
            return v2.functional.crop(resized, -top, -left, side, side)
        borders = [left, top, side - right, side - bottom]
        return v2.functional.pad(resized, borders, fill=filling)

    return fit
