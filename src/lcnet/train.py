"""`lcnet train`: from a config to a run folder."""

import logging
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Literal

import lightning
import rich
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    LearningRateMonitor,
    ModelCheckpoint,
)
from lightning.pytorch.loggers import TensorBoardLogger

from lcnet.callbacks import DataWait, EpochBar, History, KeepBest, average_weights
from lcnet.checkpoint import ModelInfo, is_model, load_model, read_info
from lcnet.compute import usual_device
from lcnet.config import Config, Train
from lcnet.data.dataset import NEGATIVE, POSITIVE, Split
from lcnet.data.loading import (
    Batches,
    Pictures,
    available_cores,
    check_steps,
    chosen_workers,
    eval_loader,
    train_loader,
)
from lcnet.data.readers import load_split, load_split_for
from lcnet.data.statistics import (
    assume_absent,
    count_labels,
    labels_without_absent,
    repeat_factors,
)
from lcnet.data.vectors import read_vectors
from lcnet.errors import CheckpointError, ConfigError, DataError, reason_of
from lcnet.evaluate import Measured, measure, write_metrics
from lcnet.files import is_free
from lcnet.frozen import frozen_features
from lcnet.import_model import Choices, Import, read_model
from lcnet.learner import Learner
from lcnet.memory import Memory, fitting_batch, training_memory
from lcnet.model.backbone import describe_backbone
from lcnet.model.build import build_model
from lcnet.model.classifier import Classifier
from lcnet.pictures import eval_pictures, train_pictures
from lcnet.processes import is_first, number, part, pass_turn, rank, together, wait_turn
from lcnet.progress import tell
from lcnet.published.backbones import load_backbone_weights
from lcnet.report import report_on
from lcnet.strategy import check_strategy, strategy_for, with_shared_norms

PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "fp32": "32-true",
    "bf16": "bf16-mixed",
    "fp16": "16-mixed",
}


@together(lambda config, out, **_: (config.train, out))
def train(
    config: Config, out: Path, *, overwrite: bool = False, init: Path | Import | None = None
) -> Path:
    """Train a model and give back its run folder.

    `init` is a model or run folder or a published checkpoint, or what was read from one, whose
    model is trained on; its own architecture takes the place of `config.model`.

    The folder holds config.yaml, history.csv, metrics.json and report.html (of the validation
    split), model/ (the best by validation mAP), checkpoints/last.ckpt (for `resume`) and logs/
    (TensorBoard). An older run is replaced only if `overwrite`, and only once data and model are
    known to be usable. A run that fails before its first checkpoint leaves nothing.
    Raises ConfigError if `out` may not be written or a setting cannot work here; DataError if the
    data cannot be used.
    """
    _check_machine(config)
    wait_turn()
    _check_free(out, overwrite=overwrite)
    lightning.seed_everything(config.train.seed, verbose=False)
    if init is None:
        splits = _load_splits(config)
        model, info = _build(config, splits[0])
    else:
        model, info = _read_start(init)
        splits = _load_splits(config, info.labels)
        info = replace(
            info.uncalibrated(),
            labels=splits[0].labels,
            statistics=count_labels(splits[0].targets()),
        )
        config = replace(config, model=info.model)
    config = _with_batch(config, model)
    check_steps(len(splits[0]), config.train.batch, config.train.processes)
    if is_first():
        if out.exists():
            shutil.rmtree(out)
        out.mkdir(parents=True)
        config.save(out / "config.yaml")
    try:
        return _fit(config, out, model, info, *splits)
    finally:
        if is_first() and not (out / "checkpoints" / "last.ckpt").is_file():
            shutil.rmtree(out)  # it failed before there was anything to keep


def recipe_of(run: Path) -> Train:
    """How a run is to be trained, or the defaults if it does not say."""
    file = run / "config.yaml"
    return Config.load(file).train if file.is_file() else Train()


@together(lambda run: (recipe_of(run), run))
def resume(run: Path) -> Path:
    """Continue an interrupted run from its last finished epoch, as if it had never stopped.

    Raises CheckpointError if the folder has no config.yaml or no checkpoint.
    """
    checkpoint = run / "checkpoints" / "last.ckpt"
    for file in (run / "config.yaml", checkpoint):
        if not file.is_file():
            raise CheckpointError(
                f"{file}: not there (expected a run that finished an epoch). "
                f"Start it anew with: lcnet train --out {run}"
            )
    config, info = Config.load(run / "config.yaml"), read_info(run)
    if _is_finished(checkpoint, config.train.epochs):
        tell(f"{run}: already finished")
        return run
    _check_machine(config)
    splits = _load_splits(config, info.labels)
    model = load_model(run).requires_grad_(True).train()
    # A better model than the one that was calibrated starts uncalibrated.
    return _fit(config, run, model, info.uncalibrated(), *splits, checkpoint=checkpoint)


def _is_finished(checkpoint: Path, epochs: int) -> bool:
    """Whether a run came to its last epoch, or stopped early."""
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        callbacks = state["callbacks"].values()
        stopped = any(callback.get("stopped_epoch") for callback in callbacks)
        return stopped or state["epoch"] + 1 >= epochs
    except Exception as error:  # a damaged zip, pickle or dict fails in a dozen types
        raise CheckpointError(
            f"{checkpoint}: not a checkpoint ({type(error).__name__}). Start the run anew."
        ) from error


def _check_free(out: Path, *, overwrite: bool) -> None:
    """Raises ConfigError unless `out` is free, or a run that may be replaced."""
    if is_free(out) or not is_first():
        return
    if not overwrite:
        raise ConfigError(
            f"--out {out}: already there. Choose another folder, replace it with --overwrite, "
            f"or continue it with: lcnet train --resume {out}"
        )
    if not (out / "config.yaml").is_file():
        raise ConfigError(
            f"--out {out}: --overwrite replaces run folders only, and this one has no config.yaml. "
            "Choose another folder."
        )


def _check_machine(config: Config) -> None:
    check_strategy(config.train)
    if config.train.precision == "fp16" and not torch.cuda.is_available():
        raise ConfigError(
            "train.precision: fp16 needs an accelerator and there is none. "
            "Set --train.precision bf16 or fp32."
        )


def _load_splits(config: Config, labels: tuple[str, ...] | None = None) -> tuple[Split, Split]:
    if labels is None:
        training = load_split(config.data, config.data.train)
    else:
        training = load_split_for(config.data, config.data.train, labels)
    validation = load_split(config.data, config.data.val, training.labels)
    if not (validation.targets() == POSITIVE).any():
        raise DataError(
            f"{config.data.val}: no label is present in any picture, so nothing can be measured. "
            "Choose another --data.val."
        )
    _check_absent(config, training, validation)
    return training, validation


def _check_absent(config: Config, training: Split, validation: Split) -> None:
    """Says which labels are nowhere known to be absent; raises DataError if all of them are not."""
    targets = training.targets()
    never = labels_without_absent(targets)
    names = ", ".join(training.labels[label] for label in never[:5]) + ", ..." * (len(never) > 5)
    if never.size and config.train.unknown == "ignore":
        if not (targets == NEGATIVE).any():
            raise DataError(
                f"{config.data.train}: no label is known to be absent in any picture, so that a "
                "model which always says yes has no loss. Set --train.unknown weighted (for one "
                "known label a picture) or negative, or mark absent labels with 0."
            )
        tell(
            f"warning: nowhere known to be absent, so the model will always predict it: {names}. "
            "Mark some pictures with 0, or set --train.unknown weighted."
        )
    if not (validation.targets() == NEGATIVE).any():
        tell(
            f"warning: {config.data.val}: no label is known to be absent in any picture, so that "
            "the validation mAP is 100 whatever the model does. Mark a validation split fully."
        )


def _with_batch(config: Config, model: Classifier) -> Config:
    """The config with a number for a `batch_size` of auto, the first process's in all of them."""
    recipe = config.train
    if recipe.batch_size == "auto" and is_first():
        recipe = fitting_batch(recipe, _memory(config, model))
        steps = f", {recipe.accumulate} of them a step" if recipe.accumulate > 1 else ""
        tell(f"batch size {recipe.batch}{steps}")
    batch, accumulate = pass_turn(f"{recipe.batch_size} {recipe.accumulate}").split()
    return replace(config, train=replace(recipe, batch_size=int(batch), accumulate=int(accumulate)))


def _memory(config: Config, model: Classifier) -> Memory:
    """The estimate, with the model on the device where it will be trained."""
    if config.train.backbone_lr_factor == 0:
        model.backbone.features.requires_grad_(False)
    return training_memory(model.to(usual_device()), config.train, config.model.image_size)


def _fit(
    config: Config,
    run: Path,
    model: Classifier,
    info: ModelInfo,
    training: Split,
    validation: Split,
    *,
    checkpoint: Path | None = None,
) -> Path:
    recipe = config.train
    tell(_summary(config, model, training, validation))
    if not recipe.cache_features:
        tell(_memory(config, model).describe(recipe.batch))
    if recipe.processes > 1:
        tell(_shared_work(recipe))
    model = with_shared_norms(model, recipe)
    keep_best = KeepBest(run / "model", info)
    loaders = _loaders(config, model, info, training, validation)
    trainer = _trainer(config, run, keep_best)
    learner = Learner(model, recipe, info.preprocessing, info.statistics)
    _fit_quietly(trainer, learner, *loaders, checkpoint)
    others = not is_first()
    part()
    if others:
        return run
    tell(f"best validation mAP {keep_best.best:.1f}, epoch {keep_best.best_epoch + 1}")
    tell(f"run folder: {run}")
    measured = measure(run, split=config.data.val, use_cache=True, quiet=True)
    write_metrics(run / "metrics.json", measured)
    _report(run, measured)
    return run


def _report(run: Path, measured: Measured) -> None:
    """Write report.html; a run that is trained and measured does not fail for the want of it."""
    try:
        report_on(run, measured, run / "report.html")
        tell(f"report: {run / 'report.html'}")
    except Exception as error:
        tell(
            f"warning: no report.html ({type(error).__name__}: {reason_of(error)}). "
            f"Try again with: lcnet report {run} --split {measured.samples.name}"
        )


def _loaders(
    config: Config, model: Classifier, info: ModelInfo, training: Split, validation: Split
) -> tuple[Batches, Batches]:
    """The batches to train on and to validate on, of pictures or of cached features."""
    recipe, shares = config.train, None
    workers = chosen_workers(config.data.workers, recipe.devices)
    if recipe.repeat_rare:
        shares = repeat_factors(training.targets(), recipe.repeat_rare)
    seen: Pictures
    measured: Pictures
    if recipe.cache_features:
        seen = frozen_features(config, model, info, training, mirrored=recipe.flip)
        measured = frozen_features(config, model, info, validation)
        workers = 0
    else:
        seen = train_pictures(training, config.data, info.preprocessing, recipe)
        measured = eval_pictures(validation, config.data, info.preprocessing)
    return (
        train_loader(
            seen,
            batch_size=recipe.batch,
            workers=workers,
            seed=recipe.seed,
            shares=shares,
            window=config.data.shuffle_window,
            rank=rank(),
            processes=number(),
        ),
        eval_loader(
            measured,
            batch_size=recipe.batch,
            workers=workers,
            rank=rank(),
            processes=number(),
        ),
    )


def _build(config: Config, training: Split) -> tuple[Classifier, ModelInfo]:
    """The model to train and what its folder will say of it."""
    targets = training.targets()
    assumed = count_labels(assume_absent(targets, everywhere=config.train.unknown == "negative"))
    vectors = None
    if config.model.backbone_weights and config.model.pretrained:
        config = replace(config, model=replace(config.model, pretrained=False))
    if config.model.label_vectors:
        vectors = torch.from_numpy(read_vectors(Path(config.model.label_vectors), training.labels))
    spec = describe_backbone(config.model.backbone, config.model.view_size)
    model = build_model(
        config.model,
        len(training.labels),
        spec=spec,
        prior=torch.from_numpy(assumed.conditional_probability()),
        vectors=vectors,
        shares=torch.from_numpy(assumed.shares()),
    )
    if config.model.backbone_weights:
        load_backbone_weights(model.backbone.features, Path(config.model.backbone_weights))
    _check_forward(config, model)
    info = ModelInfo(
        labels=training.labels,
        model=config.model,
        backbone=spec,
        thresholds=(0.5,) * len(training.labels),
        statistics=count_labels(targets),
    )
    return model, info


def _read_start(init: Path | Import) -> tuple[Classifier, ModelInfo]:
    """The model to train on, from a model or run folder or a published checkpoint."""
    if isinstance(init, Path) and is_model(init):
        return load_model(init).requires_grad_(True).train(), read_info(init)
    made = read_model(init, Choices()) if isinstance(init, Path) else init
    for line in made.report:
        tell(line)
    return made.model.requires_grad_(True).train(), made.info


def _check_forward(config: Config, model: Classifier) -> None:
    """Raises ConfigError if a picture does not go through, as with a backbone without a map."""
    size = config.model.view_size
    try:
        with torch.inference_mode():
            model.eval()(torch.zeros(1, 3, size, size))
    except (RuntimeError, AssertionError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"model.backbone: {config.model.backbone!r} gives no map for views of {size} px "
            f"({reason_of(error)}). Choose another backbone or --model.view_size."
        ) from error
    model.train()


def _trainer(config: Config, run: Path, keep_best: KeepBest) -> lightning.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    recipe = config.train
    callbacks: list[Callback] = [keep_best]
    if recipe.ema_decay:
        callbacks.append(average_weights(recipe.ema_decay))
    if recipe.early_stop:
        callbacks.append(EarlyStopping("val/mAP", mode="max", patience=recipe.early_stop))
    interactive = rich.get_console().is_terminal
    if interactive:
        callbacks.append(EpochBar())
    callbacks += [
        waiting := DataWait(tell, hint=_hint(config)),
        History(run / "history.csv", keep_best, waiting, tell),
        LearningRateMonitor("step"),
        ModelCheckpoint(run / "checkpoints", filename="last", enable_version_counter=False),
    ]
    return lightning.Trainer(
        max_epochs=recipe.epochs,
        precision=PRECISIONS[recipe.precision],
        accelerator="auto",
        devices=recipe.devices,
        num_nodes=recipe.nodes,
        strategy=strategy_for(recipe),
        use_distributed_sampler=False,  # the loaders have theirs
        accumulate_grad_batches=recipe.accumulate,
        gradient_clip_val=recipe.clip_norm or None,
        callbacks=callbacks,
        logger=TensorBoardLogger(run, name="", version="logs"),
        log_every_n_steps=10,
        num_sanity_val_steps=0,
        enable_progress_bar=interactive,
        enable_model_summary=False,
    )


def _hint(config: Config) -> str:
    """What a user can do about training that waits for its pictures."""
    if config.train.cache_features:
        return ""
    workers, ways = chosen_workers(config.data.workers, config.train.devices), []
    if workers < available_cores():
        ways.append(f"--data.workers above {workers}")
    if not config.data.cache_images:
        ways.append("--data.cache_images FOLDER, which keeps the pictures shrunk")
    return f"Try {', or '.join(ways)}." if ways else ""


def _fit_quietly(
    trainer: lightning.Trainer,
    learner: Learner,
    training: object,
    validation: object,
    checkpoint: Path | None,
) -> None:
    """Fit without the engine's advice, which is about settings that lcnet chooses itself."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        warnings.filterwarnings("ignore", message="find_unused_parameters=True was specified")
        try:
            trainer.fit(learner, training, validation, ckpt_path=checkpoint, weights_only=True)
        except SystemExit:
            if trainer.interrupted:  # the engine turns Ctrl-C into an exit of its own
                raise KeyboardInterrupt from None
            raise


def _shared_work(recipe: Train) -> str:
    machines = f" on each of {recipe.nodes} machines" if recipe.nodes > 1 else ""
    whole = recipe.batch * recipe.processes * recipe.accumulate
    return (
        f"{recipe.devices} devices{machines}, {recipe.strategy}: {whole} pictures a step of the "
        f"optimizer ({recipe.batch} x {recipe.processes} devices"
        f"{f' x {recipe.accumulate} batches' if recipe.accumulate > 1 else ''})"
    )


def _summary(config: Config, model: Classifier, training: Split, validation: Split) -> str:
    weights = sum(weight.numel() for weight in model.parameters())
    views = config.model.crop_level**2 + 1
    return (
        f"{len(training):,} training and {len(validation):,} validation pictures, "
        f"{len(training.labels)} labels\n"
        f"{config.model.backbone}, {weights / 1e6:.1f} M weights, "
        f"{views} view{'s' * (views > 1)} of {config.model.view_size} px a picture"
    )
