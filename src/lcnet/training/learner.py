"""A model in training: its loss, its optimizer, and the predictions kept for validation."""

from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FullyShardedDataParallel

from lcnet import config
from lcnet.data.loading import places_in_split
from lcnet.data.statistics import Statistics
from lcnet.data.transforms import Normalize, Preprocessing
from lcnet.metrics.gathering import VerificationState
from lcnet.model.classifier import Classifier
from lcnet.training.losses import asymmetric_loss, known_entries
from lcnet.training.parameter_groups import parameter_groups
from lcnet.training.processes import mean_over_processes

Batch = tuple[Tensor, Tensor]


def compile_parts(model: nn.Module) -> None:
    """Make torch compile each part of a model at its first call, for `--train.compile`."""
    for part in model.children():
        part.compile()


class Learner(lightning.LightningModule):
    """A model in training, with the asymmetric loss, AdamW and the one-cycle schedule."""

    positive_weight: Tensor | None

    def __init__(
        self,
        model: Classifier,
        recipe: config.Train,
        preprocessing: Preprocessing,
        statistics: Statistics | None = None,
    ) -> None:
        """Train `model` with `recipe`; `preprocessing` says how the model wants its pictures.

        The recipe's `positive_weight` needs the `statistics` of the training labels.
        """
        super().__init__()
        self.model = model.to(memory_format=torch.channels_last)
        self.recipe = recipe
        self.normalize = Normalize(preprocessing)
        self.verification = VerificationState()
        self.has_begun = False
        """Whether a step has begun; an error before that comes from the checkpoint."""
        weights = None
        if recipe.positive_weight and statistics is not None:
            unknown = recipe.weight_of_unknown(len(statistics.positives))
            by_label = statistics.positive_weights(recipe.positive_weight, unknown)
            weights = torch.from_numpy(by_label).float()
        self.register_buffer("positive_weight", weights, persistent=False)
        if recipe.backbone_lr_factor == 0:
            self.model.backbone.features.requires_grad_(False)
        if recipe.compile:
            compile_parts(self.model)
        self.loss = torch.zeros(())
        """The loss of the last batch."""
        self.has_skipped = False
        """Whether the last step of the optimizer was skipped, see `skipping`."""
        self.train()  # Lightning leaves each module in the mode that it has

    def train(self, mode: bool = True) -> "Learner":
        """Switch dropout and batch statistics on or off; in a frozen backbone they stay off."""
        super().train(mode)
        if self.recipe.backbone_lr_factor == 0:
            self.model.backbone.features.eval()
        return self

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed the step, so that a resumed run draws the same dropout as an uninterrupted one."""
        self.has_begun = True
        step = (self.recipe.seed, self.current_epoch, batch_idx, self.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(step).generate_state(1)[0]))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of a batch: images B 3 H W in uint8 (or cached maps B V C h w), targets B L.

        It is the sum over the model's ways to its logits, each of which has its own loss. Its mean
        over the processes is the loss of all their images as one batch.
        """
        images, targets = batch
        unknown_weight = self.recipe.weight_of_unknown(targets.shape[1])
        entries = mean_over_processes(known_entries(targets, unknown_weight))
        loss = torch.stack(
            [
                asymmetric_loss(
                    logits.float(),
                    targets,
                    gamma_neg=self.recipe.gamma_neg,
                    gamma_pos=self.recipe.gamma_pos,
                    clip=self.recipe.loss_clip,
                    unknown_weight=unknown_weight,
                    positive_weight=self.positive_weight,
                    entries=entries,
                )
                for logits in self.model.ways(self._maps(images))
            ]
        ).sum()
        self.loss = loss.detach()
        # This process's loss only: gathering costs time. `StepWatch` logs the mean over all.
        self.log("train/loss", loss, on_step=True, on_epoch=False, batch_size=len(images))
        return loss

    def on_validation_epoch_start(self) -> None:
        """Copy the first process's norm statistics to all, so that all validate the same model."""
        if self.trainer.world_size > 1:
            for values in self.model.buffers():
                torch.distributed.broadcast(values, 0)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Keep the predictions of a batch; the callback `KeepBest` scores them."""
        images, targets = batch
        loader: Any = self.trainer.val_dataloaders
        places = places_in_split(
            batch_idx,
            len(images),
            batch_size=loader.batch_size,
            images=len(loader.dataset),
            rank=self.global_rank,
            processes=self.trainer.world_size,
        )
        logits = self.model.score(self._maps(images)).float()
        self.verification.update(logits, targets, places)

    def _maps(self, images: Tensor) -> Tensor:
        """The feature maps (B V C h w) of images, or the cached ones in their place."""
        if self.recipe.cache_features:
            return images.float()
        return self.model.maps(self.normalize(images))

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradients to the recipe's norm."""
        # Lightning itself refuses to clip for a fused optimizer in mixed precision.
        whole = self.trainer.strategy.model
        if isinstance(whole, FullyShardedDataParallel):
            if gradient_clip_val:
                whole.clip_grad_norm_(gradient_clip_val)
        elif self.recipe.precision == "fp16":
            super().configure_gradient_clipping(
                optimizer, gradient_clip_val, gradient_clip_algorithm
            )
        elif gradient_clip_val:
            torch.nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)

    def configure_optimizers(self) -> Any:
        """AdamW with a peak rate per parameter group, and the one-cycle schedule."""
        groups = parameter_groups(
            self.model,
            self.recipe.lr,
            backbone_lr_factor=self.recipe.backbone_lr_factor,
            decoder_lr_factor=self.recipe.decoder_lr_factor,
            weight_decay=self.recipe.weight_decay,
        )
        # Fused AdamW is 8 times faster (docs/log/speed.md), but with float16 the loss scaling of
        # Lightning cannot clip the gradients of a fused optimizer.
        fused = self.recipe.precision != "fp16"
        optimizer = torch.optim.AdamW(groups, fused=fused)
        steps, warmup = int(self.trainer.estimated_stepping_batches), self.recipe.warmup
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=[group["lr"] for group in optimizer.param_groups],
            total_steps=steps,
            # torch divides by the length of the rise, which would be 0 for exactly one step.
            pct_start=warmup if abs(steps * warmup - 1) > 0.01 else 1.02 * warmup,
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }
