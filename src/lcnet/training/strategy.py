"""How several devices share a training: Lightning's strategies, and shared batch norms."""

from datetime import timedelta

import torch
from lightning import Trainer
from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy, Strategy
from timm.layers import convert_sync_batchnorm
from torch import Tensor

from lcnet.config import Train
from lcnet.errors import ConfigError
from lcnet.model.classifier import Classifier


def has_sharded_weights(trainer: Trainer) -> bool:
    """Whether each process holds only a part of the weights."""
    return isinstance(trainer.strategy, FSDPStrategy)


def whole_weights(trainer: Trainer) -> dict[str, Tensor]:
    """All weights of the model, in the first process; all processes must call this."""
    state = trainer.strategy.lightning_module_state_dict()
    prefix = "model."
    return {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }


def strategy_for(recipe: Train) -> Strategy | str:
    """The strategy to give to Lightning's Trainer."""
    if recipe.processes == 1:
        return "auto"
    limit = timedelta(seconds=recipe.timeout_s)
    if recipe.strategy == "fsdp":
        return FSDPStrategy(timeout=limit)
    # Some of timm's backbones keep a norm of their unused head, which gets no gradients.
    return DDPStrategy(timeout=limit, gradient_as_bucket_view=True, find_unused_parameters=True)


def with_shared_norms(model: Classifier, recipe: Train) -> Classifier:
    """The model with batch norms over the images of all devices, if the recipe asks for them.

    Names and values of its weights stay the same.
    """
    if not recipe.sync_batchnorm or recipe.processes == 1:
        return model
    # Not torch's own conversion: it loses the activation that some of timm's norms contain.
    shared: Classifier = convert_sync_batchnorm(model)
    return shared


def check_strategy(recipe: Train) -> None:
    """Raises ConfigError for settings that need accelerators, if there are none."""
    if torch.cuda.is_available():
        return
    for name, chosen in (
        ("strategy fsdp", recipe.strategy == "fsdp"),
        ("sync_batchnorm", recipe.sync_batchnorm),
    ):
        if chosen and recipe.processes > 1:
            raise ConfigError(
                f"train.{name}: needs accelerators, and this machine has none. Leave it out."
            )
