"""Lightning Fabric for a recipe: devices, precision, and how several processes share a training."""

import logging
import math
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, TypeVar

import rich
import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.loggers.logger import Logger
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from lightning_fabric.strategies.model_parallel import ModelParallelStrategy
from timm.layers import convert_sync_batchnorm
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from lcnet.compute import usual_device
from lcnet.config import Train
from lcnet.errors import ConfigError
from lcnet.model.classifier import Classifier

Value = TypeVar("Value")

PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "fp32": "32-true",
    "bf16": "bf16-mixed",
    "fp16": "16-mixed",
}
WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


@dataclass(frozen=True)
class Engine:
    """Fabric, and what the processes of a training do together."""

    fabric: Fabric
    shares_weights: bool = False
    """Whether each process holds only a part of the weights (fsdp)."""
    numbers: set[str] = field(default_factory=set)
    """Names of weights that are a single number; while they are shared, they have a dimension."""

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes and prints."""
        return self.fabric.is_global_zero

    def from_all(self, value: Value) -> list[Value]:
        """The values of all processes, by rank; all must call this."""
        values: list[Any] = [value] * self.fabric.world_size
        if self.fabric.world_size > 1:
            dist.all_gather_object(values, value)
        return values

    def anywhere(self, *wanted: bool) -> tuple[bool, ...]:
        """Of each value, whether it is true in any process; all must call this."""
        if self.fabric.world_size == 1:
            return wanted
        counts = torch.tensor(wanted, dtype=torch.float32, device=self.fabric.device)
        dist.all_reduce(counts)
        return tuple(count > 0 for count in counts.tolist())

    def share_buffers(self, module: nn.Module) -> None:
        """Copy the first process's buffers to all, so that all validate the same model."""
        if self.fabric.world_size > 1:
            for values in module.buffers():
                dist.broadcast(values, 0)

    def weights(self, model: nn.Module) -> dict[str, Any]:
        """All weights and buffers of a model by name; all processes must call this."""
        if not self.shares_weights:
            return model.state_dict()
        weights: dict[str, Any] = get_model_state_dict(model, options=WHOLE)
        # Only the first process gets them.
        return {
            name: weight.reshape(()) if name in self.numbers else weight
            for name, weight in weights.items()
        }

    def optimizer_state(self, module: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
        """The optimizer's state for all weights; all processes must call this."""
        if self.shares_weights:
            return get_optimizer_state_dict(module, optimizer, options=WHOLE)
        return optimizer.state_dict()

    def restore_optimizer(
        self, module: nn.Module, optimizer: Optimizer, state: dict[str, Any]
    ) -> None:
        """Take back what `optimizer_state` returned."""
        if self.shares_weights:
            set_optimizer_state_dict(module, optimizer, state, options=WHOLE)
        else:
            optimizer.load_state_dict(state)

    def clipped_norm(self, module: nn.Module, optimizer: Any, limit: float) -> Tensor | None:
        """Clip the gradients to a norm (0 never clips); returns the norm before.

        None with float16: gradients that are not finite are a matter of the loss scaling there.
        """
        norm = self.fabric.clip_gradients(
            module, optimizer, max_norm=limit or math.inf, error_if_nonfinite=False
        )
        whole = norm.full_tensor() if isinstance(norm, DTensor) else norm
        return None if self.fabric.strategy.precision.precision == "16-mixed" else whole

    def share(self, module: nn.Module, second: nn.Module | None) -> nn.Module:
        """The module for training steps, in which the processes share their work.

        Where they share the weights (fsdp), those of a second module are shared too.
        """
        named = module.get_submodule("model").named_parameters()
        self.numbers.update(name for name, weight in named if weight.ndim == 0)
        wrapped = self.fabric.setup_module(module)
        if self.shares_weights and second is not None:
            assert isinstance(self.fabric.strategy, ModelParallelStrategy)
            _shard(second, self.fabric.strategy.device_mesh)
        return wrapped

    def end(self) -> None:
        """Wait for all processes; from here on each goes on alone."""
        if dist.is_initialized() and self.fabric.world_size > 1:
            dist.barrier()
            dist.destroy_process_group()


@contextmanager
def engine_for(recipe: Train, loggers: list[Logger]) -> Iterator[Engine]:
    """The engine of a training, whose processes have met. Only the first one prints.

    Raises ConfigError if the recipe does not fit the machine or the processes that were started.
    """
    check_machine(recipe)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    console, was_quiet, kept = rich.get_console(), rich.get_console().quiet, dict(os.environ)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning_fabric\..*")
        try:
            fabric = Fabric(
                accelerator=usual_device().type,
                devices=recipe.devices,
                num_nodes=recipe.nodes,
                strategy=_strategy(recipe),
                precision=PRECISIONS[recipe.precision],
                # A training in one process is one even where a launcher has started several.
                plugins=[LightningEnvironment()] if recipe.processes == 1 else [],
                loggers=loggers,
            )
        except ValueError as error:
            raise ConfigError(f"train.devices: {' '.join(str(error).split())}") from None
        try:
            fabric.launch()
            console.quiet = was_quiet or not fabric.is_global_zero
            shares = recipe.processes > 1 and recipe.strategy == "fsdp"
            yield Engine(fabric, shares_weights=shares)
        finally:
            console.quiet = was_quiet
            os.environ.clear()
            os.environ.update(kept)


def check_machine(recipe: Train) -> None:
    """Raises ConfigError for settings that need accelerators which this machine does not have."""
    available = torch.cuda.device_count()
    if available and available < recipe.devices:
        raise ConfigError(
            f"train.devices: expected at most {available}, which this machine has, got "
            f"{recipe.devices}. Set --train.devices {available}."
        )
    if available:
        return
    if recipe.precision == "fp16":
        raise ConfigError(
            "train.precision: fp16 needs an accelerator, and this machine has none. "
            "Set --train.precision bf16 or fp32."
        )
    if recipe.sync_batchnorm and recipe.processes > 1:
        raise ConfigError(
            "train.sync_batchnorm: needs accelerators, and this machine has none. Leave it out."
        )


def with_shared_norms(model: Classifier, recipe: Train) -> Classifier:
    """The model with batch norms over the images of all devices, if the recipe asks for them.

    Names and values of its weights stay the same.
    """
    if not recipe.sync_batchnorm or recipe.processes == 1:
        return model
    # Not torch's own conversion: it loses the activation that some of timm's norms contain.
    shared: Classifier = convert_sync_batchnorm(model)
    return shared


def _strategy(recipe: Train) -> Any:
    if recipe.processes == 1:
        return "auto"
    limit = timedelta(seconds=recipe.timeout_s)
    if recipe.strategy == "fsdp":
        return ModelParallelStrategy(
            _shard, data_parallel_size=recipe.processes, tensor_parallel_size=1, timeout=limit
        )
    # Some of timm's backbones keep a norm of their unused head, which gets no gradients.
    return DDPStrategy(timeout=limit, gradient_as_bucket_view=True, find_unused_parameters=True)


def _shard(module: nn.Module, mesh: DeviceMesh) -> nn.Module:
    """Split the weights among the processes: the backbone's by themselves, and all others."""
    # torch can split neither channels_last weights nor those that are a single number.
    module.to(memory_format=torch.contiguous_format)
    for part in list(module.modules()):
        for name, weight in list(part.named_parameters(recurse=False)):
            if weight.ndim == 0:
                line = nn.Parameter(weight.detach().reshape(1), weight.requires_grad)
                part.register_parameter(name, line)
    # A part of the head can give its weights themselves to the next, so all of it stays together.
    for part in (module.get_submodule("model.backbone"), module):
        fully_shard(part, mesh=mesh["data_parallel"])
    return module
