"""`lcnet train`: from a config to a run folder."""

import logging
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal

import lightning
import rich
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    LearningRateMonitor,
)
from lightning.pytorch.loggers import TensorBoardLogger

from lcnet.averaging import AveragedWeights
from lcnet.callbacks import DataWait, EpochBar, History, KeepBest, read_history
from lcnet.checkpoint import MISFITS, ModelInfo, is_model, load_model, model_of, read_info
from lcnet.compute import usual_device
from lcnet.config import Config, Train
from lcnet.data.dataset import NEGATIVE, POSITIVE, ImageLabels, Split
from lcnet.data.loading import (
    Batches,
    Pictures,
    SeededSampler,
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
from lcnet.data_changes import remember, tell_changes
from lcnet.errors import CheckpointError, ConfigError, DataError, Stopped, reason_of
from lcnet.evaluate import Measured, measure, write_metrics
from lcnet.frozen import frozen_features
from lcnet.import_model import Choices, Import, read_model
from lcnet.learner import Learner
from lcnet.memory import Memory, fitting_batch, training_memory
from lcnet.model.backbone import describe_backbone
from lcnet.model.build import build_model
from lcnet.model.classifier import Classifier
from lcnet.model.size import TooLarge, within_memory
from lcnet.pictures import eval_pictures, train_pictures
from lcnet.processes import (
    is_first,
    is_of_group,
    number,
    part,
    pass_turn,
    rank,
    together,
    wait_turn,
)
from lcnet.progress import tell
from lcnet.published.backbones import load_backbone_weights
from lcnet.report import report_on
from lcnet.run_lock import LOCK, is_unused, only_run_in
from lcnet.run_record import add_resumption, read_record, write_record
from lcnet.saving import (
    Progress,
    Saving,
    WholeCheckpoints,
    continuation,
    explained,
    has_checkpoint,
    read_progress,
    remove_unfinished,
)
from lcnet.skipping import StepWatch
from lcnet.stopping import Stop, stopping
from lcnet.strategy import check_strategy, strategy_for, with_shared_norms

PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "fp32": "32-true",
    "bf16": "bf16-mixed",
    "fp16": "16-mixed",
}
IN_MEMORY = "a model in memory"
"""What run.json says of a start that was not read from a path."""


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
    with stopping("Start it again.") as stop:
        start = _prepare(config, init)
        config = start.config
        with _own_folder(out):
            if is_first():
                _check_free(out, overwrite=overwrite)
                _clear(out)
                _write_record(out, start, init)
                config.save(out / "config.yaml")  # from here on `resume` knows the run
            stop.advice = continuation(out)
            try:
                return _fit(out, start, stop)
            except Exception:
                if is_first() and not has_checkpoint(out):
                    shutil.rmtree(out)  # it failed before there was anything to keep
                raise


def recipe_of(run: Path) -> Train:
    """How a run is to be trained, or the defaults if it does not say."""
    file = run / "config.yaml"
    return Config.load(file).train if file.is_file() else Train()


@together(lambda run: (recipe_of(run), run))
def resume(run: Path) -> Path:
    """Continue an interrupted run where its last checkpoint was written, as if never stopped.

    A run that was stopped before its first checkpoint starts from the beginning, with the same
    result; one that was stopped after its last epoch is measured. What is unlike when it started,
    versions and data, is told. Raises CheckpointError if the folder has no config.yaml or its
    checkpoints are damaged, ConfigError if the run still goes on.
    """
    if not (run / "config.yaml").is_file():
        raise CheckpointError(
            f"{run / 'config.yaml'}: not there (expected the folder of a run). "
            f"Start it anew with: lcnet train --out {run}"
        )
    with stopping(continuation(run)) as stop, _own_folder(run):
        wait_turn()
        if is_first():
            if (run / "history.csv").is_file():
                read_history(run)  # which says so if it is damaged, before anything is written
            remove_unfinished(run)
        config, progress = Config.load(run / "config.yaml"), read_progress(run, tell)
        if progress and (progress.has_stopped_early or progress.epoch >= config.train.epochs):
            pass_turn()
            if (run / "metrics.json").is_file() and (run / "report.html").is_file():
                tell(f"{run}: already finished")
                return run
            return _finish(config, run)
        _check_machine(config)
        if is_first():
            _tell_resumption(run, progress)
        if progress is None:
            return _fit(run, _prepare(config, _init_of(run)), stop)
        _check_processes(progress, config.train)
        info = progress.info or read_info(run)
        splits = _load_splits(config, info.labels)
        if is_first():
            for split in splits:
                tell_changes(run, config.data, split)
        pass_turn()
        # A better model than the one that was calibrated starts uncalibrated.
        start = _Start(config, _restored(progress, info), info.uncalibrated(), *splits)
        return _fit(run, start, stop, progress)


@contextmanager
def _own_folder(run: Path) -> Iterator[None]:
    """The run's lock, which its first process holds for all."""
    with only_run_in(run) if is_first() else nullcontext():
        yield


@dataclass(frozen=True)
class _Start:
    """What a run begins with."""

    config: Config
    model: Classifier
    info: ModelInfo
    training: Split
    validation: Split


def _prepare(config: Config, init: Path | Import | None) -> _Start:
    """Data and model of a run that begins, from its seed or from `init`."""
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
    start = _Start(_with_batch(config, model), model, info, *splits)
    check_steps(len(splits[0]), start.config.train.batch, start.config.train.processes)
    return start


def _restored(progress: Progress, info: ModelInfo) -> Classifier:
    try:
        return model_of(info, progress.weights).train()
    except MISFITS as error:
        raise CheckpointError(
            f"{progress.file}: its weights do not fit the run's model ({reason_of(error)}). "
            "Start the run anew."
        ) from None


def _write_record(run: Path, start: _Start, init: Path | Import | None) -> None:
    """Write run.json and the fingerprints of the data."""
    kind = str(init.resolve()) if isinstance(init, Path) else IN_MEMORY if init else ""
    write_record(
        run,
        device=_device(),
        seed=start.config.train.seed,
        init=kind,
        data=remember(run, start.config.data, start.training, start.validation),
    )


def _init_of(run: Path) -> Path | None:
    """What a run trains on from. Raises CheckpointError if that is gone."""
    init = read_record(run).get("init", "")
    if init == IN_MEMORY:
        raise CheckpointError(
            f"{run}: stopped before its first checkpoint, and the model that it trains on from was "
            "in memory only. Start it anew."
        )
    return Path(init) if init else None


def _tell_resumption(run: Path, progress: Progress | None) -> None:
    """Say from where a run goes on, and what is unlike its start."""
    at = progress.describe() if progress else "the beginning, as there is no checkpoint yet"
    tell(f"continuing from {at}")
    if unlike := add_resumption(run, device=_device(), at=at):
        tell(
            f"warning: not as the run was started: {'; '.join(unlike)}. "
            "It may not end with exactly the same weights."
        )


def _device() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def _check_free(out: Path, *, overwrite: bool) -> None:
    """Raises ConfigError unless `out` is free, or a run that may be replaced."""
    if is_unused(out) or not is_first():
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


def _clear(out: Path) -> None:
    """Remove what a folder holds but its lock; what makes it a run folder goes last."""
    for path in sorted(out.iterdir(), key=lambda path: path.name == "config.yaml"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def _check_machine(config: Config) -> None:
    check_strategy(config.train)
    if config.train.precision == "fp16" and not torch.cuda.is_available():
        raise ConfigError(
            "train.precision: fp16 needs an accelerator and there is none. "
            "Set --train.precision bf16 or fp32."
        )


def _check_processes(progress: Progress, recipe: Train) -> None:
    """Raises ConfigError if a broken-off epoch was shared by another number of processes."""
    if progress.batches and progress.processes != recipe.processes:
        raise ConfigError(
            f"train.devices: expected {progress.processes} processes in all, as when the run "
            f"stopped in {progress.describe()}, got {recipe.processes}. Set it as it was."
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


def _fit(run: Path, start: _Start, stop: Stop, progress: Progress | None = None) -> Path:
    config, model, info = start.config, start.model, start.info
    recipe = config.train
    tell(_summary(config, model, start.training, start.validation))
    if not recipe.cache_features:
        tell(_memory(config, model).describe(recipe.batch))
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
            advice=f"A continued run would meet it again; train on from what it learned at a lower "
            f"rate: lcnet train --init {run} --train.lr {recipe.lr / 3:.2g} --out ANOTHER",
        )
        pictures = training.dataset, validation.dataset
        trainer = _trainer(config, run, info, watch, stop, partial(_broken, *pictures))
        learner = Learner(model, recipe, info.preprocessing, info.statistics)
        _fit_quietly(trainer, learner, training, validation, progress.file if progress else None)
    return _finish(config, run)


def _pictures_of(
    sampler: SeededSampler, split: Split, batch_size: int, epoch: int, batch: int
) -> list[str]:
    """The files of this process's batch of the epoch that the sampler is at."""
    first = batch * batch_size
    return [
        str(split.samples[draw.index].path)
        for draw in islice(sampler.own(), first, first + batch_size)
    ]


def _broken(*pictures: object) -> list[Path]:
    """Those that could not be read so far."""
    return [file for some in pictures if isinstance(some, ImageLabels) for file in some.broken()]


def _finish(config: Config, run: Path) -> Path:
    """Measure a trained model and write its report, in the first process alone."""
    others = not is_first()
    part()
    if others:
        return run
    rows = read_history(run)
    best = max(rows, key=lambda row: (row["val_mAP"], row["epoch"]))
    tell(f"best validation mAP {best['val_mAP']:.1f}, epoch {int(best['epoch']) + 1}")
    tell(f"run folder: {run}")
    with explained(run):
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
    try:
        with within_memory():
            model = build_model(
                config.model,
                len(training.labels),
                spec=spec,
                prior=torch.from_numpy(assumed.conditional_probability()),
                vectors=vectors,
                shares=torch.from_numpy(assumed.shares()),
            )
    except TooLarge as error:
        raise ConfigError(f"--model: {error}. Set smaller widths, or fewer layers.") from None
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


def _trainer(
    config: Config,
    run: Path,
    info: ModelInfo,
    watch: StepWatch,
    stop: Stop,
    broken: Callable[[], Sequence[Path]],
) -> lightning.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    recipe = config.train
    keep_best = KeepBest(run / "model", info)
    callbacks: list[Callback] = [watch, keep_best]
    if recipe.ema_decay:
        callbacks.append(AveragedWeights(recipe.ema_decay))
    if recipe.early_stop:
        callbacks.append(EarlyStopping("val/mAP", mode="max", patience=recipe.early_stop))
    interactive = rich.get_console().is_terminal
    if interactive:
        callbacks.append(EpochBar())
    callbacks += [
        waiting := DataWait(tell, hint=_hint(config)),
        History(run / "history.csv", keep_best, watch, waiting, broken, tell),
        LearningRateMonitor("step"),
        Saving(run / "checkpoints" / "last.ckpt", info, stop, minutes=recipe.save_minutes),
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
        plugins=[WholeCheckpoints()],
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
        except Stopped:
            raise
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            if checkpoint is None or learner.has_begun or is_of_group(error):
                raise
            raise CheckpointError(
                f"{checkpoint}: does not fit its run ({type(error).__name__}: {reason_of(error)}). "
                "Start the run anew."
            ) from error
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
