"""Runs the training steps: loaders, callbacks and Lightning's Trainer around a `Learner`."""

import logging
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal

import lightning
import rich
from lightning.pytorch.callbacks import Callback, EarlyStopping, LearningRateMonitor
from lightning.pytorch.loggers import TensorBoardLogger

from lcnet.config import Config, Train
from lcnet.data.dataset import ImageLabels, Split
from lcnet.data.loading import (
    Batches,
    Pictures,
    SeededSampler,
    available_cores,
    chosen_workers,
    eval_loader,
    train_loader,
)
from lcnet.data.pictures import eval_pictures, train_pictures
from lcnet.data.statistics import repeat_factors
from lcnet.errors import CheckpointError, Stopped, reason_of
from lcnet.evaluating.frozen_features import frozen_features
from lcnet.model.classifier import Classifier
from lcnet.model_folder import ModelInfo
from lcnet.progress import tell
from lcnet.run_folder import RunFolder
from lcnet.training.averaging import AveragedWeights
from lcnet.training.callbacks import DataWait, EarlyStoppingAnew, EpochBar, KeepBest
from lcnet.training.checkpoints import Progress, Saving, WholeCheckpoints, explained
from lcnet.training.history import History
from lcnet.training.learner import Learner
from lcnet.training.processes import is_connection_error, process_count, rank
from lcnet.training.skipping import StepWatch
from lcnet.training.start import Start, memory_of
from lcnet.training.stopping import Stop
from lcnet.training.strategy import strategy_for, with_shared_norms

PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "fp32": "32-true",
    "bf16": "bf16-mixed",
    "fp16": "16-mixed",
}


def fit(run: RunFolder, start: Start, stop: Stop, progress: Progress | None = None) -> None:
    """Train a run to its end; with `progress`, from that checkpoint on.

    Writes model/, history.csv, checkpoints/ and logs/ in the run folder. Raises Stopped after a
    signal, DataError for a picture that cannot be read, CheckpointError for a checkpoint that does
    not fit the run, and TrainingError or ConfigError if the training cannot go on.
    """
    config, model, info = start.config, start.model, start.info
    recipe = config.train
    tell(_summary(config, model, start.training, start.validation))
    if not recipe.cache_features:
        tell(memory_of(config, model).describe(recipe.batch))
    if recipe.processes > 1:
        tell(_shared_work(recipe))
    model = with_shared_norms(model, recipe)
    with explained(run):
        training, validation = _loaders(config, model, info, start.training, start.validation)
        sampler = training.sampler
        assert isinstance(sampler, SeededSampler)
        if progress:
            sampler.resume_at(progress.epoch, progress.batches * recipe.batch)
        watch = StepWatch(
            recipe.nan_limit,
            tell,
            pictures_of=partial(_pictures_of, sampler, start.training, recipe.batch),
            advice="If the run is continued, this happens again. Train its best model on at a "
            f"lower rate: lcnet train --init {run} --train.lr {recipe.lr / 3:.2g} --out ANOTHER",
        )
        pictures = training.dataset, validation.dataset
        keep_best = KeepBest(run.model, info, anew=start.has_lost_best)
        trainer = _trainer(config, run, keep_best, watch, stop, partial(_broken, *pictures))
        learner = Learner(model, recipe, info.preprocessing, info.statistics)
        _fit_quietly(trainer, learner, training, validation, progress.file if progress else None)


def _loaders(
    config: Config, model: Classifier, info: ModelInfo, training: Split, validation: Split
) -> tuple[Batches, Batches]:
    """The batches to train on and to validate on, of pictures or of cached features."""
    recipe, factors = config.train, None
    workers = chosen_workers(config.data.workers, recipe.devices)
    if recipe.repeat_rare:
        factors = repeat_factors(training.targets(), recipe.repeat_rare)
    training_pictures: Pictures
    validation_pictures: Pictures
    if recipe.cache_features:
        training_pictures = frozen_features(config, model, info, training, mirrored=recipe.flip)
        validation_pictures = frozen_features(config, model, info, validation)
        workers = 0  # cached features need no decoding
    else:
        training_pictures = train_pictures(training, config.data, info.preprocessing, recipe)
        validation_pictures = eval_pictures(validation, config.data, info.preprocessing)
    return (
        train_loader(
            training_pictures,
            batch_size=recipe.batch,
            workers=workers,
            seed=recipe.seed,
            shares=factors,
            window=config.data.shuffle_window,
            rank=rank(),
            processes=process_count(),
        ),
        eval_loader(
            validation_pictures,
            batch_size=recipe.batch,
            workers=workers,
            rank=rank(),
            processes=process_count(),
        ),
    )


def _pictures_of(
    sampler: SeededSampler, split: Split, batch_size: int, epoch: int, batch: int
) -> list[str]:
    """The files of a batch of this process, in the epoch that the sampler is at."""
    first = batch * batch_size
    return [
        str(split.samples[draw.index].path)
        for draw in islice(sampler.own(), first, first + batch_size)
    ]


def _broken(*pictures: object) -> list[Path]:
    """The files that could not be read so far."""
    return [file for data in pictures if isinstance(data, ImageLabels) for file in data.broken()]


def _trainer(
    config: Config,
    run: RunFolder,
    keep_best: KeepBest,
    watch: StepWatch,
    stop: Stop,
    broken: Callable[[], Sequence[Path]],
) -> lightning.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    recipe = config.train
    # Lightning calls callbacks in this order. The classes say what must come before what.
    callbacks: list[Callback] = [watch, keep_best]
    if recipe.ema_decay:
        callbacks.append(AveragedWeights(recipe.ema_decay))
    if recipe.early_stop:
        early_stopping = EarlyStoppingAnew if keep_best.anew else EarlyStopping
        callbacks.append(early_stopping("val/mAP", mode="max", patience=recipe.early_stop))
    interactive = rich.get_console().is_terminal
    if interactive:
        callbacks.append(EpochBar())
    callbacks += [
        waiting := DataWait(tell, hint=_hint(config)),
        History(run.history_file, keep_best, watch, waiting, broken, tell),
        LearningRateMonitor("step"),
        Saving(run.last_checkpoint, keep_best.info, stop, minutes=recipe.save_minutes),
    ]
    return lightning.Trainer(
        max_epochs=recipe.epochs,
        precision=PRECISIONS[recipe.precision],
        accelerator="auto",
        devices=recipe.devices,
        num_nodes=recipe.nodes,
        strategy=strategy_for(recipe),
        use_distributed_sampler=False,  # the loaders have samplers that share the data already
        accumulate_grad_batches=recipe.accumulate,
        gradient_clip_val=recipe.clip_norm or None,
        callbacks=callbacks,
        plugins=[WholeCheckpoints()],
        logger=TensorBoardLogger(run.path, name="", version=run.logs.name),
        log_every_n_steps=10,
        num_sanity_val_steps=0,  # they would be scored and kept as a best model
        enable_progress_bar=interactive,
        enable_model_summary=False,
    )


def _hint(config: Config) -> str:
    """What a user can do if training waits for its pictures; empty if nothing."""
    if config.train.cache_features:
        return ""
    workers, ways = chosen_workers(config.data.workers, config.train.devices), []
    if workers < available_cores():
        ways.append(f"--data.workers above {workers}")
    if not config.data.cache_images:
        ways.append("--data.cache_images FOLDER, which keeps shrunken copies of the pictures")
    return f"Try {', or '.join(ways)}." if ways else ""


def _fit_quietly(
    trainer: lightning.Trainer,
    learner: Learner,
    training: object,
    validation: object,
    checkpoint: Path | None,
) -> None:
    """Fit without Lightning's advice, which is about settings that lcnet chooses itself."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        warnings.filterwarnings("ignore", message="find_unused_parameters=True was specified")
        try:
            trainer.fit(learner, training, validation, ckpt_path=checkpoint, weights_only=True)
        except Stopped:
            raise
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            if checkpoint is None or learner.has_begun or is_connection_error(error):
                raise
            raise CheckpointError(
                f"{checkpoint}: does not fit its run ({type(error).__name__}: {reason_of(error)}). "
                "Start the run again with --overwrite."
            ) from error
        except SystemExit:
            if trainer.interrupted:  # Lightning turns Ctrl-C into SystemExit
                raise KeyboardInterrupt from None
            raise


def _summary(config: Config, model: Classifier, training: Split, validation: Split) -> str:
    """Size of the data and of the model, in two lines."""
    weights = sum(weight.numel() for weight in model.parameters())
    views = model.crops.views
    return (
        f"{len(training):,} training and {len(validation):,} validation pictures, "
        f"{len(training.labels)} labels\n"
        f"{config.model.backbone}, {weights / 1e6:.1f} M weights, "
        f"{views} view{'s' * (views > 1)} of {config.model.view_size} px a picture"
    )


def _shared_work(recipe: Train) -> str:
    """How the devices share a step, in words."""
    machines = f" on each of {recipe.nodes} machines" if recipe.nodes > 1 else ""
    whole = recipe.batch * recipe.processes * recipe.accumulate
    return (
        f"{recipe.devices} devices{machines}, {recipe.strategy}: {whole} pictures a step of the "
        f"optimizer ({recipe.batch} x {recipe.processes} devices"
        f"{f' x {recipe.accumulate} batches' if recipe.accumulate > 1 else ''})"
    )
