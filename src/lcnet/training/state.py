"""The state of a training: one object, saved and restored whole."""

from dataclasses import asdict, dataclass, field, fields
from math import inf
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lcnet.training.averaging import Average
from lcnet.training.checkpoints import describe_position
from lcnet.training.engine import Engine
from lcnet.training.objective import Objective
from lcnet.training.optimizers import advanced


@dataclass
class Epoch:
    """What an unfinished epoch has come to so far."""

    batches: int = 0
    """Batches trained."""
    loss: Tensor | float = 0.0
    """Sum of the finite losses, each times its images; of this process."""
    images: Tensor | float = 0.0
    """Images with a finite loss; of this process."""
    skipped: int = 0
    """Steps skipped, since their loss or gradient was not finite."""
    trained_s: float = 0.0
    """Seconds of training, waiting for pictures included."""
    waited_s: float = 0.0
    """Seconds of waiting for pictures."""
    validated_s: float = 0.0

    @property
    def waiting(self) -> float:
        """The share of the training time that was spent waiting for pictures, 0 to 1."""
        return self.waited_s / max(self.trained_s, 1e-9)


@dataclass
class State:
    """Everything that a training changes.

    No random state is in it: order, augmentation and dropout are functions of seed, epoch and step.
    """

    objective: Objective
    optimizer: Optimizer
    schedule: LRScheduler
    average: Average[Objective] | None
    total_steps: int
    """Steps of the optimizer in the whole training."""

    epochs: int = 0
    """Epochs that are done."""
    steps: int = 0
    """Steps of the optimizer, skipped ones too."""
    epoch: Epoch = field(default_factory=Epoch)
    skipped_in_a_row: int = 0
    best: float = -inf
    """The best score in validation so far, by the recipe's `best_by`; more is better."""
    best_epoch: int = -1
    """The epoch that it is of; 0 is before the first."""
    epochs_without_better: int = 0
    stopped_early: bool = False
    broken: list[str] = field(default_factory=list)
    """Pictures that could not be read so far."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """A row per epoch, as in history.csv."""

    @property
    def averaged(self) -> Objective:
        """The objective with the averaged weights; with the current ones if there is no average."""
        return self.average.module if self.average else self.objective

    @property
    def place(self) -> str:
        """How far the training has got, in words."""
        return describe_position(self.epochs, self.epoch.batches)

    def judge(self, score: float, epoch: int, *, patience: int) -> None:
        """Note whether an epoch's model is the best so far, and whether the training should end.

        Of its `score` more is better.
        """
        self.epochs_without_better = 0 if score > self.best else self.epochs_without_better + 1
        if score >= self.best:  # among equals, the model that was trained longer
            self.best, self.best_epoch = score, epoch
        self.stopped_early = 0 < patience <= self.epochs_without_better

    def count(self, loss: Tensor, images: int) -> None:
        """Add a batch to the epoch; a loss that is not finite is left out of the mean."""
        # float64, so that the sum does not depend on where a run was resumed; MPS lacks it.
        kind = torch.float32 if loss.device.type == "mps" else torch.float64
        counted = loss.isfinite().to(kind) * images
        self.epoch.loss = self.epoch.loss + loss.nan_to_num(0, 0, 0).to(kind) * counted
        self.epoch.images = self.epoch.images + counted
        self.epoch.batches += 1

    def content(self, engine: Engine) -> dict[str, Any]:
        """The state as a dict that torch can save; all processes must call this.

        Where they share the weights, the first process alone gets them.
        """
        sums = (float(self.epoch.loss), float(self.epoch.images))
        epoch = asdict(self.epoch) | {"loss": 0.0, "images": 0.0}
        return {
            **{name: getattr(self, name) for name in PLAIN},
            "epoch": epoch | {"sums": engine.from_all(sums)},
            "weights": engine.weights(self.objective.model),
            "average": self.average and engine.weights(self.average.module.model),
            "average_steps": self.average.steps if self.average else 0,
            "optimizer": engine.optimizer_state(self.objective, self.optimizer),
            "schedule": self.schedule.state_dict(),
            "loss_scaling": engine.fabric.strategy.precision.state_dict(),
        }

    def restore(self, content: dict[str, Any], engine: Engine) -> None:
        """Take back what `content` returned, but for the weights, which the model starts with.

        With another number of steps in the whole training, the learning rate goes on as in a
        training that had that number from its beginning.
        """
        is_as_planned, rates = content["total_steps"] == self.total_steps, list[dict[str, Any]]()
        if not is_as_planned:
            rates = self._rates_after(content["steps"])
        engine.restore_optimizer(self.objective, self.optimizer, content["optimizer"])
        for name in set(PLAIN) - {"total_steps"}:
            setattr(self, name, content[name])
        if is_as_planned:
            self.schedule.load_state_dict(content["schedule"])
        for group, settings in zip(self.optimizer.param_groups, rates, strict=False):
            group.update(settings)
        epoch = dict(content["epoch"])
        # After a whole epoch a run may be resumed with another number of processes.
        sums, rank = epoch.pop("sums"), engine.fabric.global_rank
        self.epoch = Epoch(**epoch)
        self.epoch.loss, self.epoch.images = sums[rank] if rank < len(sums) else (0.0, 0.0)
        if self.average:
            self.average.steps = content["average_steps"]
        engine.fabric.strategy.precision.load_state_dict(content["loss_scaling"])

    def _rates_after(self, steps: int) -> list[dict[str, Any]]:
        """The settings of each parameter group after some steps of the schedule.

        For a fresh optimizer: some schedules compute a rate from the one before, and that of a run
        that was to end there would be 0.
        """
        advanced(self.schedule, steps)
        return [
            {name: value for name, value in group.items() if name != "params"}
            for group in self.optimizer.param_groups
        ]


PARTS = ("objective", "optimizer", "schedule", "average", "epoch")
"""Fields of `State` that have a state of their own."""
PLAIN = tuple(field.name for field in fields(State) if field.name not in PARTS)
"""The other fields: numbers, texts and rows."""
