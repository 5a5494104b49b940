"""Skips and counts steps whose loss or gradient is not finite; too many in a row end the run."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from lcnet.errors import TrainingError
from lcnet.training.learner import Learner
from lcnet.training.processes import from_all_processes, rank

NAMED = 3
"""Pictures of a bad batch that a message names, at most."""


class StepWatch(Callback):
    """Skips steps that would spoil the weights, and keeps the epoch's mean loss.

    A skipped step leaves weights, averages, optimizer and the running statistics of batch norm as
    they were; the schedule of the learning rate goes on. With float16, gradients that are not
    finite are left to the loss scaling, which skips such a step too and lowers its scale.

    All processes skip a step or none does, and the mean is over the images of all.

    It must come before callbacks that use a step's weights.
    """

    def __init__(
        self,
        limit: int,
        tell: Callable[[str], None],
        pictures_of: Callable[[int, int], Sequence[str]],
        advice: str,
    ) -> None:
        """Raise after `limit` skipped steps in a row, with `advice` at the end of the message.

        `pictures_of(epoch, batch)` returns the files of a batch.
        """
        self.limit = limit
        self.tell = tell
        self.pictures_of = pictures_of
        self.advice = advice
        self.skipped = 0
        """Number of skipped steps in this epoch."""
        self.in_a_row = 0
        self._sum: Tensor | float = 0.0
        self._images: Tensor | float = 0.0
        self._is_finite: Tensor | None = None
        self._kept: list[Tensor] = []

    def mean_loss(self) -> float:
        """The mean of the epoch's finite losses, over images; nan if there is none.

        All processes must call this.
        """
        sums, counts = zip(
            *from_all_processes((float(self._sum), float(self._images))), strict=True
        )
        return sum(sums) / sum(counts) if sum(counts) else float("nan")

    def on_train_epoch_start(self, trainer: Trainer, learner: LightningModule) -> None:
        """Start the counts at 0."""
        self.skipped = 0
        self._sum = self._images = 0.0

    def on_train_batch_start(
        self, trainer: Trainer, learner: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Keep a copy of the running statistics before the first batch of a step."""
        if batch_idx % trainer.accumulate_grad_batches == 0:
            assert isinstance(learner, Learner)
            learner.has_skipped = False
            self._is_finite = None
            statistics = _statistics(learner)
            if [kept.shape for kept in self._kept] != [buffer.shape for buffer in statistics]:
                self._kept = [buffer.clone() for buffer in statistics]
            elif statistics:
                torch._foreach_copy_(self._kept, statistics)

    def on_before_optimizer_step(
        self, trainer: Trainer, learner: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Skip the step if it is not finite; raises TrainingError if too many were in a row."""
        assert isinstance(learner, Learner)
        self._see(learner.loss)
        assert self._is_finite is not None
        has_finite_loss = self._is_finite
        if learner.recipe.precision != "fp16":
            gradients = [p.grad for p in learner.parameters() if p.grad is not None]
            norm = torch.nn.utils.get_total_norm(gradients)
            self._is_finite = has_finite_loss & norm.isfinite()
        is_finite = bool(self._is_finite)
        if trainer.world_size > 1:  # all processes must decide alike
            is_finite = trainer.strategy.reduce_boolean_decision(is_finite, all=True)
        if is_finite:
            self.in_a_row = 0
            return
        optimizer.zero_grad(set_to_none=True)  # without gradients the optimizer changes nothing
        if self._kept:
            torch._foreach_copy_(_statistics(learner), self._kept)
        learner.has_skipped = True
        self.skipped += 1
        self.in_a_row += 1
        self._report(trainer, bool(has_finite_loss))

    def on_train_batch_end(
        self,
        trainer: Trainer,
        learner: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Add the batch's loss to the mean, if it is finite."""
        assert isinstance(learner, Learner)
        self._see(learner.loss)
        # float64, so that the sum does not depend on where a run was resumed; MPS lacks it.
        kind = torch.float32 if learner.device.type == "mps" else torch.float64
        counted = learner.loss.isfinite().to(kind) * len(batch[0])
        self._sum = self._sum + learner.loss.nan_to_num(0, 0, 0).to(kind) * counted
        self._images = self._images + counted

    def on_train_epoch_end(self, trainer: Trainer, learner: LightningModule) -> None:
        """Log the mean loss."""
        learner.log("train/loss_epoch", self.mean_loss())

    def _see(self, loss: Tensor) -> None:
        finite = loss.isfinite()
        self._is_finite = finite if self._is_finite is None else self._is_finite & finite

    def _report(self, trainer: Trainer, has_finite_loss: bool) -> None:
        epoch, batch = trainer.current_epoch, trainer.fit_loop.batch_idx
        rate = max(group["lr"] for group in trainer.optimizers[0].param_groups)
        where = f"epoch {epoch + 1}, batch {batch + 1}, learning rate {rate:.3g}"
        # Processes with a loss that is not finite name their pictures; if there are none, all do.
        of_all = from_all_processes((has_finite_loss, list(self.pictures_of(epoch, batch))))
        to_blame = [files for is_finite, files in of_all if not is_finite]
        names = [name for files in to_blame or [files for _, files in of_all] for name in files]
        shown = f"{', '.join(names[:NAMED])}{', ...' * (len(names) > NAMED)}"
        if self.in_a_row >= self.limit:
            raise TrainingError(
                f"{where}: the loss or its gradient was not finite in {self.in_a_row} steps in a "
                f"row, the last with {shown}. {self.advice}"
            )
        if self.skipped == 1:
            self.tell(
                f"warning: {where}: step skipped, since the loss or its gradient is not finite "
                f"({shown})."
            )

    def state_dict(self) -> dict[str, Any]:
        """Counts and sums, for a resumed epoch; all processes must call this."""
        return {
            "skipped": self.skipped,
            "in_a_row": self.in_a_row,
            "sums": from_all_processes((float(self._sum), float(self._images))),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.skipped, self.in_a_row = state_dict["skipped"], state_dict["in_a_row"]
        # After a whole epoch a run may be resumed with another number of processes.
        sums = state_dict["sums"]
        self._sum, self._images = sums[rank()] if rank() < len(sums) else (0.0, 0.0)


def _statistics(learner: Learner) -> list[Tensor]:
    """The running statistics of the batch norms that a forward pass in training changes."""
    return [
        buffer
        for module in learner.modules()
        if isinstance(module, _BatchNorm) and module.training
        for buffer in module.buffers(recurse=False)
    ]
