"""Builds the parts of a training and lets its loop run: loaders, engine, optimizer and state."""

import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from itertools import islice
from math import ceil, inf
from pathlib import Path

from lcnet.config import Config, Train, by_name
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
from lcnet.errors import CheckpointError, quoted, reason_of
from lcnet.evaluating.frozen_features import frozen_features
from lcnet.model.classifier import Classifier
from lcnet.progress import tell
from lcnet.run_folder import RunFolder
from lcnet.runs.start import Start, memory_of
from lcnet.training.averaging import Average
from lcnet.training.checkpoints import Progress, explained
from lcnet.training.engine import Engine, with_shared_norms
from lcnet.training.history import write_history
from lcnet.training.loggers import Tracker
from lcnet.training.loop import Loop
from lcnet.training.objective import Objective, compile_parts
from lcnet.training.optimizers import learning_rate, optimizer_for, schedule_for
from lcnet.training.pace import Pace
from lcnet.training.parameter_groups import frozen_weights
from lcnet.training.saving import Saving
from lcnet.training.skipping import Guard
from lcnet.training.state import State
from lcnet.training.stopping import Stop
from lcnet.training.watching import Watch


def fit(
    run: RunFolder,
    start: Start,
    engine: Engine,
    stop: Stop,
    watch: Watch,
    progress: Progress | None = None,
) -> None:
    """Train a run to its end; with `progress`, from that checkpoint on.

    Writes model/, history.csv, checkpoints/ and logs/ in the run folder. Raises Stopped after a
    signal, DataError for a picture that cannot be read, CheckpointError for a checkpoint that does
    not fit the run, and TrainingError or ConfigError if the training cannot go on.
    """
    recipe = start.config.train
    tell(_summary(start.config, start.model, start.training, start.validation))
    if not recipe.cache_features:
        tell(memory_of(start.config, start.model).describe(recipe.batch))
    if recipe.processes > 1:
        tell(_shared_work(recipe))
    with explained(run):
        loop: Loop | None = _loop(run, start, engine, stop, watch, progress)
        assert loop is not None
        if engine.is_first:
            write_history(run, loop.state.history)  # without epochs that are trained again
        for logger in engine.fabric.loggers:
            if isinstance(logger, Tracker):
                logger.log_hyperparams(by_name(asdict(start.config)))
        try:
            with loop.pace.shown(), warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="find_unused_parameters=True was")
                loop.train()
        except BaseException as error:
            _let_go_of_loaders(error)
            raise
        finally:
            loop = None
            for logger in engine.fabric.loggers:
                logger.finalize("")


def _let_go_of_loaders(error: BaseException | None) -> None:
    """Clear the variables of an error's frames, so that loader processes end with their loaders.

    They ignore the signal by which Python would end them, see `data.loading`.
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _loop(
    run: RunFolder,
    start: Start,
    engine: Engine,
    stop: Stop,
    watch: Watch,
    progress: Progress | None,
) -> Loop:
    """The training with all its parts, at the place where it begins or goes on."""
    config, recipe, info = start.config, start.config.train, start.info
    training, validation = _loaders(start, engine)
    sampler = training.sampler
    assert isinstance(sampler, SeededSampler)
    model = with_shared_norms(start.model, recipe).to(engine.fabric.device)
    objective = Objective(model, recipe, info.preprocessing, info.statistics)
    average = None
    if recipe.ema_decay:
        average = Average(objective, recipe.ema_decay, warmup=recipe.ema_warmup)
        if progress:
            with _fitting(progress):
                average.module.model.load_state_dict(progress.state["average"])
    steps = ceil(len(training) / recipe.accumulate) * recipe.epochs
    forward = engine.share(objective, average.module if average else None)
    optimizer = optimizer_for(model, recipe)
    state = State(objective, optimizer, schedule_for(optimizer, recipe, steps), average, steps)
    if progress:
        _restore(state, progress, engine, has_lost_best=start.has_lost_best)
        _tell_schedule(state, progress, recipe)
    if recipe.compile:
        compile_parts(state.objective.model)
        compile_parts(state.averaged.model)
    return Loop(
        recipe=recipe,
        info=info,
        run=run,
        engine=engine,
        state=state,
        forward=forward,
        optimizer=engine.fabric.setup_optimizers(optimizer),
        training=training,
        validation=validation,
        sampler=sampler,
        guard=_guard(run, recipe, engine, partial(_pictures_of, sampler, start.training, recipe)),
        pace=Pace(epochs=recipe.epochs, batches=len(training), hint=_hint(config)),
        saving=Saving(run, info, engine, recipe),
        stop=stop,
        frozen=frozen_weights(model, recipe),
        broken=partial(_broken, training.dataset, validation.dataset),
        measures_start=start.is_trained,
        watch=watch,
    )


@contextmanager
def _fitting(progress: Progress) -> Iterator[None]:
    """Raises CheckpointError if what the block takes from a checkpoint does not fit the run."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{progress.file}: does not fit its run ({type(error).__name__}: {reason_of(error)}). "
            "Start the run again with --overwrite."
        ) from error


def _restore(state: State, progress: Progress, engine: Engine, *, has_lost_best: bool) -> None:
    """Put a run's state back."""
    with _fitting(progress):
        state.restore(progress.state, engine)
    if has_lost_best:  # the best of the epochs to come takes its place
        state.best, state.best_epoch, state.epochs_without_better = -inf, -1, 0


def _tell_schedule(state: State, progress: Progress, recipe: Train) -> None:
    """Say where the learning rate stands, if the number of steps in all has changed."""
    planned, epochs = progress.state["total_steps"], progress.planned_epochs
    if planned == state.total_steps:
        return
    if epochs != recipe.epochs:
        change, whole = f"{recipe.epochs} epochs, {epochs} before", f"of {recipe.epochs} epochs"
    else:
        change, whole = f"{state.total_steps} steps in all, {planned} before", "of that length"
    tell(
        f"{change}: the learning rate goes on as in a run {whole}: it is "
        f"{learning_rate(state.optimizer):.2g} now"
    )


def _loaders(start: Start, engine: Engine) -> tuple[Batches, Batches]:
    """The batches to train on and to validate on, of pictures or of cached features."""
    config, model, info = start.config, start.model, start.info
    training, validation = start.training, start.validation
    recipe, factors = config.train, None
    workers = chosen_workers(config.data.workers, recipe.devices)
    if recipe.repeat_rare:
        factors = repeat_factors(training.targets, recipe.repeat_rare)
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
            rank=engine.fabric.global_rank,
            processes=engine.fabric.world_size,
        ),
        eval_loader(
            validation_pictures,
            batch_size=recipe.batch,
            workers=workers,
            rank=engine.fabric.global_rank,
            processes=engine.fabric.world_size,
        ),
    )


def _guard(
    run: RunFolder, recipe: Train, engine: Engine, pictures_of: Callable[[int], Sequence[str]]
) -> Guard:
    return Guard(
        engine,
        recipe.nan_limit,
        pictures_of,
        advice="If the run is continued, this happens again. Train its best model on at a "
        f"lower rate: lcnet train --init {quoted(run)} --train.lr {recipe.lr / 3:.2g} "
        "--out ANOTHER",
    )


def _pictures_of(sampler: SeededSampler, split: Split, recipe: Train, batch: int) -> list[str]:
    """The files of a batch of this process, in the epoch that the sampler is at."""
    first = batch * recipe.batch
    return [
        str(split.samples[draw.index].path)
        for draw in islice(sampler.own(), first, first + recipe.batch)
    ]


def _broken(*pictures: object) -> list[Path]:
    """The files that could not be read so far."""
    return [file for data in pictures if isinstance(data, ImageLabels) for file in data.broken()]


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
