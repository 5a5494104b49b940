"""The data, the model and the settled config that a run begins with."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lightning_fabric import seed_everything

from lcnet.compute import best_precision, usual_device
from lcnet.config import Config, Data
from lcnet.data.dataset import Split
from lcnet.data.judgement import lines
from lcnet.data.loading import check_steps
from lcnet.data.pixel_form import in_figures
from lcnet.data.pixel_range import header_kinds, pixel_kinds
from lcnet.data.readers import load_split, load_split_for
from lcnet.data.readers.checks import unnamed
from lcnet.data.rule_faults import judge_rules
from lcnet.data.rules_file import read_rules
from lcnet.data.split_faults import judge_both
from lcnet.errors import CheckpointError, DataError, reason_of
from lcnet.model.classifier import Classifier
from lcnet.model_folder import (
    MISFITS,
    ModelFolder,
    ModelInfo,
    load_model,
    model_of,
    read_info,
    require_single,
)
from lcnet.progress import tell
from lcnet.published.choices import ImportChoices
from lcnet.published.imported import Import
from lcnet.published.importing import read_model
from lcnet.runs.memory import Memory, fitting_batch, training_memory
from lcnet.runs.new_model import new_model
from lcnet.runs.training_on import in_order, train_on
from lcnet.training.checkpoints import Progress
from lcnet.training.engine import Engine


@dataclass(frozen=True)
class Start:
    """Data, model and config of a run that begins or continues."""

    config: Config
    model: Classifier
    info: ModelInfo
    training: Split
    validation: Split
    is_trained: bool = False
    """Whether the model was trained before, so that it is worth measuring before the first step."""
    has_lost_best: bool = False
    """Whether the best model so far is lost, so that even a worse one replaces it."""


def prepare(
    config: Config,
    init: Path | Import | None,
    *,
    given: Collection[str] = (),
    splits: tuple[Split, Split] | None = None,
) -> Start:
    """Data and model of a new run, which starts from its seed or from `init`.

    A model keeps its settings, but for those of `config.model` whose names are in `given`. Without
    `init` the `splits` can be those of `config.data` that were read before.
    """
    seed_everything(config.train.seed, verbose=False)
    if init is None:
        splits = splits or load_splits(config)
        model, info = new_model(
            config.model,
            splits[0].labels,
            targets=splits[0].targets,
            unknown=config.train.unknown,
        )
        info = replace(info, fit=config.data.fit)
    else:
        model, info = _read_start(init)
        splits = load_splits(config, info.labels)
        if tuple(info.labels) == unnamed(len(info.labels)):
            info = replace(info, labels=splits[0].labels)
        model, info = train_on(model, info, config, given, splits[0])
        config, info = _one_fit(replace(config, model=info.model), info)
    info = _with_rules(info, config.data, splits)
    return Start(config, model, info, *splits, is_trained=init is not None)


def _with_rules(info: ModelInfo, data: Data, splits: Sequence[Split]) -> ModelInfo:
    """The info with the rules of `data.rules`, else those of the model that the run starts from.

    Warns of pictures that break them. Raises ConfigError if the file cannot be used.
    """
    rules = info.rules
    if data.rules:
        rules = read_rules(Path(data.rules), info.labels)
    elif rules is not None and (left := rules.names - set(info.labels)):
        tell(
            f"label rules of the model that the run starts from are dropped, since {min(left)!r} "
            "is no label here. --data.rules FILE sets others"
        )
        rules = None
    if rules:
        tell(f"label rules: {rules}")
        for line in lines(one for split in splits for one in judge_rules(split, rules)):
            tell(f"warning: {line}")
    return replace(info, rules=rules or None)


def _one_fit(config: Config, info: ModelInfo) -> tuple[Config, ModelInfo]:
    """Config and model with the same fit: that of the flag if it is set, else the model's."""
    if config.data.fit != Data().fit:
        return config, replace(info, fit=config.data.fit)
    if info.fit != config.data.fit:
        tell(f"pictures are fitted by {info.fit}, as in the model that the run starts from")
    return replace(config, data=replace(config.data, fit=info.fit)), info


def with_pixel_range(start: Start, engine: Engine) -> Start:
    """The start with the values of black and white of deep pictures; the first process finds them.

    They are those of `data.pixel_range`, else those of the model that the run starts from, else the
    least and the largest value of the training pictures. Raises DataError if the values of the
    training pictures cannot be compared.
    """
    pixel_range = start.info.pixel_range
    if engine.is_first:
        pixel_range = _pixel_range(start)
    pixel_range = engine.fabric.broadcast(pixel_range)
    return replace(start, info=replace(start.info, pixel_range=pixel_range))


def _pixel_range(start: Start) -> tuple[float, float] | None:
    data, known = start.config.data, start.info.pixel_range
    if data.given_range:
        if known and known != data.given_range:
            tell(f"pixel range {_words(data.given_range)}; the model before had {_words(known)}")
        return data.given_range
    channels = start.info.model.channels
    kinds = pixel_kinds(start.training, channels=channels, workers=data.workers)
    if known is None:
        found = kinds.checked(header_kinds(start.validation))
        for line in kinds.lines():
            tell(line)
        return found
    tell(f"pixel range {_words(known)}, as in the model that the run starts from")
    for kind, found_of in kinds.deep.items():
        covered = min(known[1], found_of.high) - max(known[0], found_of.low)
        if covered < 0.5 * max(known[1] - known[0], found_of.high - found_of.low):
            tell(
                f"warning: the {kind} training pictures have values from "
                f"{_words((found_of.low, found_of.high))}. Set --data.pixel_range if they mean "
                "something else than that model's"
            )
    return known


def _words(pixel_range: tuple[float, float]) -> str:
    return " to ".join(map(in_figures, pixel_range))


def restored(progress: Progress, info: ModelInfo) -> Classifier:
    """The model as it was at a checkpoint. Raises CheckpointError if its weights do not fit."""
    try:
        return model_of(info, progress.state["weights"]).train()
    except MISFITS as error:
        raise CheckpointError(
            f"{progress.file}: its weights do not fit the run's model ({reason_of(error)}). "
            "Start the run again with --overwrite."
        ) from None


def load_splits(
    config: Config, labels: tuple[str, ...] | None = None, *, again: bool = False
) -> tuple[Split, Split]:
    """The training and the validation split, with the training split's labels.

    They are in the order of `labels`, those of a model, with new ones last. Raises DataError if the
    splits cannot be read, or if nothing can be learned or measured with them. A run that goes on
    (`again`) has the same `labels`, and names that a new run may not have are warned of only.
    """
    if labels is None:
        training = load_split(config.data, config.data.train)
    elif again or tuple(labels) == unnamed(len(labels)):
        training = load_split_for(config.data, config.data.train, labels)
    else:
        training = in_order(load_split(config.data, config.data.train), labels)
    validation = load_split(config.data, config.data.val, training.labels)
    for note in dict.fromkeys((*training.notes, *validation.notes)):
        tell(f"note: {note}")
    _judge(config, training, validation, again=again)
    return training, validation


def _judge(config: Config, training: Split, validation: Split, *, again: bool) -> None:
    """Warn of what may mislead; raise DataError if the numbers of training would mean nothing."""
    found = judge_both(training, validation, config.data, unknown=config.train.unknown)
    stops = {"nothing-absent", "nothing-measurable"} if again else {one.kind for one in found}
    for line in lines(one for one in found if one.verdict == "refused" and one.kind in stops):
        raise DataError(line)
    for line in lines(one for one in found if one.verdict != "noted"):
        tell(f"warning: {line}")
    for line in lines(one for one in found if one.kind in ("same-name", "blank-entry")):
        tell(f"note: {line}")  # it decides how many pictures there are, or what they show


def with_precision(config: Config) -> Config:
    """The config with a `precision` of auto replaced by the best one of this machine."""
    if config.train.precision != "auto":
        return config
    precision = best_precision(usual_device())
    return replace(config, train=replace(config.train, precision=precision))


def with_batch_size(start: Start, engine: Engine) -> Start:
    """The start with a `batch_size` of auto replaced by a number; the first process decides.

    Raises ConfigError if the pictures do not make a batch for each process.
    """
    recipe = start.config.train
    if recipe.batch_size == "auto" and engine.is_first:
        recipe = fitting_batch(recipe, memory_of(start.config, start.model))
        steps = f", {recipe.accumulate} batches per step" if recipe.accumulate > 1 else ""
        tell(f"batch size {recipe.batch}{steps}")
    recipe = engine.fabric.broadcast(recipe)
    check_steps(len(start.training), recipe.batch, recipe.processes)
    return replace(start, config=replace(start.config, train=recipe))


def memory_of(config: Config, model: Classifier) -> Memory:
    """Move the model to the device where it is trained; returns the memory that training needs."""
    recipe = config.train
    model.backbone.freeze(learning=recipe.learning_stages, keep_norms=recipe.keep_norms)
    return training_memory(
        model.to(usual_device()), recipe, config.model.image_size, config.model.channels
    )


def _read_start(init: Path | Import) -> tuple[Classifier, ModelInfo]:
    """The model to start from: that of a model or run folder, or of a published checkpoint."""
    if isinstance(init, Path) and ModelFolder.find(init):
        info = read_info(init)
        require_single(info, init, "--init")
        model = load_model(init)
        model.see(())
        return model.requires_grad_(True).train(), info
    imported = read_model(init, ImportChoices()) if isinstance(init, Path) else init
    for line in imported.report:
        tell(line)
    return imported.model.requires_grad_(True).train(), imported.info
