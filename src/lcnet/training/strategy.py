"""How the devices of a training share its work: Lightning's strategies, and shared norms."""

from datetime import timedelta

import torch
from lightning import Trainer
from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy, Strategy
from timm.layers import convert_sync_batchnorm
from torch import Tensor

from lcnet.config import Train
from lcnet.errors import ConfigError
from lcnet.model.classifier import Classifier


def lies_in_parts(trainer: Trainer) -> bool:
    """Whether no process holds all weights."""
    return isinstance(trainer.strategy, FSDPStrategy)


def whole_weights(trainer: Trainer) -> dict[str, Tensor]:
    """The model's weights put together, in the first process; all have to ask for them."""
    state = trainer.strategy.lightning_module_state_dict()
    own = "model."
    return {name.removeprefix(own): value for name, value in state.items() if name.startswith(own)}


def strategy_for(recipe: Train) -> Strategy | str:
    """What Lightning's Trainer takes as its strategy."""
    if recipe.processes == 1:
        return "auto"
    limit = timedelta(seconds=recipe.timeout_s)
    if recipe.strategy == "fsdp":
        return FSDPStrategy(timeout=limit)
    # Some of timm's backbones keep a norm of the head that they are used without.
    return DDPStrategy(timeout=limit, gradient_as_bucket_view=True, find_unused_parameters=True)


def with_shared_norms(model: Classifier, recipe: Train) -> Classifier:
    """The model with batch norms over the images of all devices, if the recipe asks for them.

    Names and values of its weights stay the same. timm's conversion keeps the activation that some
    of its norms contain, which torch's own loses.
    """
    if not recipe.sync_batchnorm or recipe.processes == 1:
        return model
    shared: Classifier = convert_sync_batchnorm(model)
    return shared


def check_strategy(recipe: Train) -> None:
    """Raises ConfigError for what needs accelerators where there are none."""
    if torch.cuda.is_available():
        return
    for name, chosen in (
        ("strategy fsdp", recipe.strategy == "fsdp"),
        ("sync_batchnorm", recipe.sync_batchnorm),
    ):
        if chosen and recipe.processes > 1:
            raise ConfigError(f"train.{name}: needs accelerators and there are none. Leave it out.")
