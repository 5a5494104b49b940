"""What a training minimises: pictures -> feature maps -> logits -> loss."""

import numpy as np
import torch
from torch import Tensor, nn

from lcnet.config import Train
from lcnet.data.statistics import Statistics
from lcnet.data.transforms import Normalize, Preprocessing
from lcnet.metrics import Floats, Targets
from lcnet.model.classifier import Classifier
from lcnet.model.filled_views import left_out, with_filled
from lcnet.training.losses import asymmetric_loss

NEAREST = 2.0**-25
"""How near to 0 and 1 the probabilities of a validation loss come: logits of up to 17.3."""


class Objective(nn.Module):
    """A model in training. With targets it gives the loss of a batch, without them the logits.

    The recipe's `positive_weight` needs the `statistics` of the training labels.
    """

    positive_weight: Tensor | None
    rejected_share: float = 0.0
    """Share of the unknown entries that the loss leaves out, as the recipe says for this epoch."""

    def __init__(
        self,
        model: Classifier,
        recipe: Train,
        preprocessing: Preprocessing,
        statistics: Statistics | None = None,
    ) -> None:
        super().__init__()
        self.model = model.to(memory_format=torch.channels_last)
        self.recipe = recipe
        self.normalize = Normalize(preprocessing)
        self.model.backbone.freeze(learning=recipe.learning_stages, keep_norms=recipe.keep_norms)
        weights = None
        if recipe.positive_weight and statistics is not None:
            unknown = recipe.weight_of_unknown(len(statistics.positives))
            by_label = statistics.positive_weights(recipe.positive_weight, unknown)
            weights = torch.from_numpy(by_label).float()
        self.register_buffer("positive_weight", weights, persistent=False)

    def forward(
        self, images: Tensor, targets: Tensor | None = None, entries: Tensor | None = None
    ) -> Tensor:
        """The loss, a scalar, of images (B 3 H W, uint8) or cached maps (B V C h w); see `losses`.

        It is the sum over the model's ways to its logits, each of which has its own loss. `targets`
        (B L) are from 0 to 1, or -1 for unknown. Without them the result is the logits (B L,
        float32).
        """
        maps = self._maps(images, drop=self.recipe.drop_views if targets is not None else 0.0)
        if targets is None:
            return self.model.score(maps).float()
        losses = [self._loss(logits, targets, entries) for logits in self.model.ways(maps)]
        return self.recipe.loss_factor * torch.stack(losses).sum()

    def validation_loss(self, probabilities: Floats, targets: Targets) -> float:
        """The loss of the known entries of predictions (N x L each), as the recipe sets it.

        Without mixing, smoothing, rejection or a weight of unknown entries, and of the model's
        logits alone, not of each of its ways to them.
        """
        # In float32, in which the probabilities come, nothing but 1 itself is nearer to 1.
        known = torch.from_numpy(probabilities).double().clamp(NEAREST, 1 - NEAREST)
        weight = self.positive_weight
        loss = asymmetric_loss(
            known.logit(),
            torch.from_numpy(targets),
            gamma_neg=self.recipe.gamma_neg,
            gamma_pos=self.recipe.gamma_pos,
            clip=self.recipe.loss_clip,
            positive_weight=None if weight is None else weight.double().cpu(),
        )
        return self.recipe.loss_factor * float(loss)

    def _maps(self, images: Tensor, *, drop: float) -> Tensor:
        """The feature maps (B V C h w), in which this share of the tiles is filled."""
        kept = bool(self.recipe.cache_features)
        tiles, level = self.model.crops.views - 1, self.model.crops.level
        out = left_out(len(images), tiles, drop, images.device) if drop else None
        if kept:
            maps = images.float()
            return maps if out is None else with_filled(maps, out, level)
        images = self.normalize(images)
        return self.model.maps(images) if out is None else self.model.maps_without(images, out)

    def _loss(self, logits: Tensor, targets: Tensor, entries: Tensor | None) -> Tensor:
        return asymmetric_loss(
            logits.float(),
            targets,
            gamma_neg=self.recipe.gamma_neg,
            gamma_pos=self.recipe.gamma_pos,
            clip=self.recipe.loss_clip,
            unknown_weight=self.recipe.weight_of_unknown(targets.shape[1]),
            positive_weight=self.positive_weight,
            entries=entries,
            smoothing=self.recipe.label_smoothing,
            rejected=self.rejected_share,
        )


def compile_parts(model: nn.Module) -> None:
    """Make torch compile each part of a model at its first call, for `--train.compile`."""
    for part in model.children():
        part.compile()


def seed_step(seed: int, epoch: int, batch: int, rank: int) -> None:
    """Seed a step's random numbers, so that a resumed run draws the same dropout."""
    torch.manual_seed(int(np.random.SeedSequence((seed, epoch, batch, rank)).generate_state(1)[0]))
