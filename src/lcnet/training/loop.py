"""The training loop: epochs of steps, each epoch followed by a validation; the best is kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, isnan
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lcnet.config import Train
from lcnet.data.loading import Batches, SeededSampler, places_in_split
from lcnet.errors import DataError
from lcnet.metrics import Floats, Targets, Verification, verify
from lcnet.metrics.gathering import VerificationState
from lcnet.model_folder import ModelFolder, ModelInfo
from lcnet.run_folder import RunFolder
from lcnet.training.engine import Engine
from lcnet.training.history import note_broken, print_row, row_of, row_of_start, write_history
from lcnet.training.losses import known_entries
from lcnet.training.mixing import mixed_batch
from lcnet.training.objective import seed_step
from lcnet.training.optimizers import learning_rate
from lcnet.training.pace import Pace
from lcnet.training.saving import Saving
from lcnet.training.skipping import Guard
from lcnet.training.state import Epoch, State
from lcnet.training.stopping import Stop
from lcnet.training.watching import Watch

LOG_STEPS = 10
"""Steps between two entries in the loggers."""
LOGGED = {"val/mAP": "val_mAP", "train/loss_epoch": "train_loss", "train/data_wait": "data_wait"}
"""What the loggers get of an epoch: their name of a value, and its column in history.csv."""


@dataclass
class Loop:
    """A training: its parts, and when each has its turn."""

    recipe: Train
    info: ModelInfo
    run: RunFolder
    engine: Engine
    state: State
    forward: Any
    """The state's objective as Fabric wraps it: in its steps the processes share gradients."""
    optimizer: Any
    """The state's optimizer as Fabric wraps it, with the scaling that the precision needs."""
    training: Batches
    validation: Batches
    sampler: SeededSampler
    guard: Guard
    pace: Pace
    saving: Saving
    stop: Stop
    frozen: Sequence[nn.Parameter]
    """Weights that do not learn, in the recipe's first `freeze_epochs` or in all."""
    broken: Callable[[], Sequence[Path]]
    """Returns the pictures that this process could not read so far."""
    measures_start: bool
    """Whether the model is validated before its first step, as epoch 0."""
    watch: Watch

    def train(self) -> None:
        """Train to the last epoch, or until nothing has become better for `early_stop` epochs."""
        self.stop.is_patient = True  # from here on the loop looks for signals where it can save
        if self.watch.finishes and self.state.best_epoch < 0:
            self.stop.until = inf  # a model that comes late is better than none
        if self.measures_start and not self.state.history and not self.state.steps:
            self.keep(self.validate(), epoch=0)
        while self.state.epochs < self.recipe.epochs and not self.state.stopped_early:
            self.train_epoch()
            self.keep(self.validate(), epoch=self.state.epochs + 1)
        self.stop.is_patient = False  # everything is saved

    def train_epoch(self) -> None:
        """Train what is left of an epoch: batches -> maps -> losses -> step -> average."""
        state, recipe, engine = self.state, self.recipe, self.engine
        state.objective.train()
        state.objective.rejected_share = recipe.rejected_share(state.epochs)
        self.freeze()
        self.sampler.start(state.epochs, state.epoch.batches * recipe.batch)
        for images, targets in self.pace.timed(self.training, state):
            batch = state.epoch.batches
            seed_step(recipe.seed, state.epochs, batch, engine.fabric.global_rank)
            if batch % recipe.accumulate == 0:
                self.guard.begin_step(state.objective)
            is_step = (batch + 1) % recipe.accumulate == 0 or batch + 1 == len(self.training)
            images, targets = engine.fabric.to_device((images, targets))
            count = len(images)
            if recipe.mixes:
                place = (state.epochs, batch, engine.fabric.global_rank)
                images, targets = mixed_batch(images, targets, recipe, place)
            entries = known_entries(targets, recipe.weight_of_unknown(targets.shape[1]))
            with engine.fabric.no_backward_sync(self.forward, enabled=not is_step):
                loss = self.forward(images, targets, engine.fabric.all_reduce(entries))
                engine.fabric.backward(loss / recipe.accumulate)
            self.guard.see(loss.detach())
            state.count(loss.detach(), count)
            if is_step:
                self.step(loss.detach())

    def freeze(self) -> None:
        """Let the recipe's frozen weights learn, or not, in the epoch that begins."""
        learns = 0 < self.recipe.freeze_epochs <= self.state.epochs
        for weight in self.frozen:
            weight.requires_grad_(learns)
        features = self.state.objective.model.backbone.features
        if not any(weight.requires_grad for weight in features.parameters()):
            features.eval()  # its maps stay those that it was trained to give

    def step(self, loss: torch.Tensor) -> None:
        """Change the weights and their average, unless the step is bad. Save if it is time to."""
        state, recipe = self.state, self.recipe
        norm = self.engine.clipped_norm(self.forward, self.optimizer, recipe.clip_norm)
        bad, due, stops = self.engine.anywhere(
            self.guard.is_bad(norm), self.saving.is_due, self.stop.is_wanted
        )
        if bad:
            self.guard.skip(state)
            if recipe.precision != "fp16":  # there the loss scaling leaves the step out
                self.optimizer.zero_grad()  # without gradients the step changes nothing
        self.optimizer.step()
        if not bad:
            state.skipped_in_a_row = 0
            if state.average:
                state.average.update(state.objective)
        self.optimizer.zero_grad()
        state.schedule.step()
        state.steps += 1
        if state.steps % LOG_STEPS == 0:
            rate = learning_rate(state.optimizer)
            self.log({"train/loss": float(loss), "train/lr": rate, "epoch": state.epochs})
        if due or stops:
            self.saving.save(state)
        if stops:
            raise self.stop.now(f"in {state.place}, which is saved")

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """The mAP (0 to 100) of the averaged model in validation, and what `best_by` names."""
        engine, module, seen = self.engine, self.state.averaged, VerificationState()
        module.eval()
        engine.share_buffers(module.model)
        with self.pace.validating(self.state):
            for number, (images, targets) in enumerate(self.validation):
                images, targets = engine.fabric.to_device((images, targets))
                with engine.fabric.autocast():
                    logits = module(images).float()
                seen.update(logits, targets, self.places(number, len(images)))
                if any(engine.anywhere(self.stop.is_wanted)):
                    self.saving.save(self.state)  # a resumed run does the validation again
                    raise self.stop.now(f"in {self.state.place}, which is saved")
            verification = verify(*(found := seen.compute()), self.info.labels)
            if isnan(verification.mAP):  # only if pictures that cannot be read were skipped
                raise DataError(
                    "data.val: no label has both present and absent pictures among those that can "
                    "be read, so nothing can be measured. Repair the pictures."
                )
            return self.scores(verification, *found)

    def scores(
        self, verification: Verification, probabilities: Floats, targets: Targets
    ) -> dict[str, float]:
        """The mAP of a validation, and the number by which the best model is picked."""
        chosen, mean_ap = self.recipe.best_by, {"mAP": verification.mAP}
        match chosen:
            case "mAP":
                return mean_ap
            case "loss":
                loss = self.state.averaged.validation_loss(probabilities, targets)
                return {**mean_ap, chosen: loss}
            case _:
                return {**mean_ap, chosen: getattr(verification.at_threshold, chosen)}

    def keep(self, scores: dict[str, float], *, epoch: int) -> None:
        """Write the best model and the epoch's row, and save. Epoch 0 is before training."""
        state, engine = self.state, self.engine
        note_broken(state, engine, self.broken())
        chosen = self.recipe.best_by
        score = -scores[chosen] if chosen == "loss" else scores[chosen]
        state.judge(score, epoch, patience=self.recipe.early_stop)
        if state.best_epoch == epoch:
            weights = engine.weights(state.averaged.model)
            if engine.is_first:
                ModelFolder(self.run.model).save(state.averaged.model, self.info, weights)
        if epoch:
            row = row_of(state, engine, scores, chosen)
        else:
            row = row_of_start(state, scores, chosen)
        state.history.append(row)
        if engine.is_first:
            write_history(self.run, state.history)
        print_row(row, self.recipe.epochs, is_best=state.best_epoch == epoch)
        logged = LOGGED | {f"val/{chosen}": f"val_{chosen}"}
        self.log({name: float(row[column]) for name, column in logged.items() if row[column]})
        self.pace.advise(state.epoch)
        if epoch:
            state.epochs, state.epoch = epoch, Epoch()
        self.saving.save(state)
        if engine.is_first:
            self.watch.see(row)
        self.stop.until = self.watch.until
        if any(engine.anywhere(self.stop.is_wanted)):
            raise self.stop.now(f"after epoch {epoch}")

    def places(self, batch: int, size: int) -> torch.Tensor:
        """The places in the split of the pictures of a validation batch."""
        return places_in_split(
            batch,
            size,
            batch_size=self.recipe.batch,
            images=len(self.validation.dataset),  # type: ignore[arg-type]
            rank=self.engine.fabric.global_rank,
            processes=self.engine.fabric.world_size,
        )

    def log(self, values: dict[str, float]) -> None:
        """Give values to the loggers, at the number of steps so far."""
        self.engine.fabric.log_dict(values, step=self.state.steps)
