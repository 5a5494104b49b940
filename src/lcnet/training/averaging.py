"""The moving average of the weights; validation and model/ use it."""

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from lcnet.training.learner import Learner


class AveragedWeights(WeightAveraging):
    """Keeps an exponential moving average of the weights, and puts it in place for validation.

    The decay after n steps is min(decay, (1 + n) / (10 + n)). Skipped steps do not count.
    """

    def __init__(self, decay: float) -> None:
        def average(kept: list[Tensor], current: list[Tensor], steps: Tensor) -> None:
            # The decay rises slowly, so that a short run does not average in its random start.
            warm = min(decay, (1 + int(steps)) / (10 + int(steps)))
            get_ema_multi_avg_fn(warm)(kept, current, steps)

        super().__init__(multi_avg_fn=average)
        self._is_in_place = False

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Average the weights after a step of the optimizer, unless it was skipped."""
        assert isinstance(pl_module, Learner)
        if pl_module.has_skipped:  # makes the base class take the step as averaged already
            self._latest_update_step = trainer.global_step
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the averaged weights into the model."""
        super().on_validation_epoch_start(trainer, pl_module)
        self._is_in_place = True

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the current weights back into the model."""
        if self._is_in_place:
            super().on_validation_epoch_end(trainer, pl_module)
        self._is_in_place = False

    def take_back(self, learner: LightningModule) -> None:
        """Put the current weights back if a validation is broken off."""
        if self._is_in_place and self._average_model is not None:
            self._swap_models(learner)
        self._is_in_place = False
