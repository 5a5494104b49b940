"""The optimizers and schedules that a recipe can name. One line here makes another one."""

import warnings
from collections.abc import Callable
from functools import partial

import torch
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, OneCycleLR

from lcnet.config import Train
from lcnet.model.classifier import Classifier
from lcnet.training.parameter_groups import parameter_groups

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "adamw": AdamW,
    "adam": Adam,
    "sgd": partial(SGD, momentum=0.9),
}
"""The recipe's `optimizer` by name. Each gets parameter groups with their rates and decays."""

SCHEDULES: dict[str, Callable[[Optimizer, Train, int], LRScheduler]] = {
    "one_cycle": lambda optimizer, recipe, steps: _one_cycle(optimizer, recipe.warmup, steps),
    "cosine": lambda optimizer, recipe, steps: CosineAnnealingLR(optimizer, steps),
    "constant": lambda optimizer, recipe, steps: LambdaLR(optimizer, lambda step: 1.0),
}
"""The recipe's `schedule` by name, for a training of so many steps."""


def optimizer_for(model: Classifier, recipe: Train) -> Optimizer:
    """The recipe's optimizer, with a learning rate and a weight decay for each group of weights."""
    # Fused is 8 times faster (docs/log/speed.md), but with fp16 the loss scaling cannot clip then.
    fused = recipe.precision != "fp16"
    groups = parameter_groups(
        model,
        recipe.lr,
        backbone_lr_factor=recipe.backbone_lr_factor,
        weight_decay=recipe.weight_decay,
        decoder_lr_factor=recipe.decoder_lr_factor,
        all_matrices=recipe.decay == "all_matrices",
    )
    return OPTIMIZERS[recipe.optimizer](groups, fused=fused)


def schedule_for(optimizer: Optimizer, recipe: Train, steps: int) -> LRScheduler:
    """The recipe's schedule over a training of `steps` steps of the optimizer."""
    return SCHEDULES[recipe.schedule](optimizer, recipe, steps)


def advanced(schedule: LRScheduler, steps: int) -> LRScheduler:
    """The schedule after `steps` steps, for a run whose number of steps has changed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
        for _ in range(steps):
            schedule.step()
    return schedule


def _one_cycle(optimizer: Optimizer, warmup: float, steps: int) -> OneCycleLR:
    return OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=steps,
        # torch divides by the length of the rise, which would be 0 for exactly one step.
        pct_start=warmup if abs(steps * warmup - 1) > 0.01 else 1.02 * warmup,
    )


def learning_rate(optimizer: Optimizer) -> float:
    """The learning rate of the first group, as it is now."""
    rate: float | torch.Tensor = optimizer.param_groups[0]["lr"]
    return float(rate)
