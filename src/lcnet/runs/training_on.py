"""A trained model as the start of a run: with the run's labels and sizes, in place of its own."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lcnet.config import Config, Model, by_name
from lcnet.config.config import parse_config
from lcnet.data.dataset import Split
from lcnet.data.label_names import plain
from lcnet.data.statistics import Statistics, assume_absent, count_labels
from lcnet.data.vectors import read_vectors
from lcnet.errors import ConfigError, reason_of
from lcnet.model.backbone import BackboneSpec, describe_backbone
from lcnet.model.build import build_model
from lcnet.model.carrying_over import Misfit, Places, carry_over, groups_for, starts_anew
from lcnet.model.classifier import Classifier
from lcnet.model.size import TooLarge, within_memory
from lcnet.model_folder import ModelInfo
from lcnet.progress import tell
from lcnet.runs.new_model import check_forward, graph_prior

ALL = tuple(by_name(asdict(Model())))
"""The names of all settings of a model."""
CHANGEABLE = (
    "pixel_statistics",
    "crop_level",
    "view_size",
    "view_chunk",
    "dropout",
    "attended",
    "decoder_gradient",
    "position",
    "released.label_tokens",
    "released.antialias",
)
"""Settings that a trained model can be given another value of: no weight's shape or meaning hangs
on them."""
OF_A_NEW_MODEL = ("pretrained", "label_vectors")
"""Settings that say what a new model starts from. A trained one needs `label_vectors` only for new
labels."""
SHOWN = 5
"""Most label names in a line."""


def train_on(
    model: Classifier, info: ModelInfo, config: Config, given: Collection[str], training: Split
) -> tuple[Classifier, ModelInfo]:
    """The model for the labels of a training split, with those settings of the config in `given`.

    Weights of a label are carried over by its name, all others as they are. A label that the model
    does not have gets those of a new model. The training split must have the labels in the order of
    `in_order`. What was kept and changed is printed. Raises ConfigError for a setting that a
    trained model cannot change.
    """
    settings = changed_settings(info.model, config.model, given)
    model.evidence = model.needed = None  # fitted to the logits of before
    model.class_means = None  # those of the features of before
    spec = _resized(info, settings)
    places = places_of(training.labels, info.labels)
    for line in (
        *_label_lines(info.labels, training.labels),
        *_setting_lines(info.model, settings),
    ):
        tell(line)
    statistics = count_labels(training.targets)
    after = replace(
        info.uncalibrated(),
        labels=training.labels,
        model=settings,
        backbone=spec,
        thresholds=(0.5,) * len(training.labels),
        statistics=statistics,
    )
    if places != list(range(len(info.labels))) or settings != info.model:
        known = count_labels(
            assume_absent(training.targets, everywhere=config.train.unknown == "negative")
        )
        after = replace(after, head_options=_head_options(info, places))
        model = _carried_over(model, info, after, places, config, known)
    tell(_dropped(info))
    return model, after


def places_of(labels: Sequence[str], before: Sequence[str]) -> Places:
    """For each label its place in another list of labels; None if it is not there."""
    place = {label: index for index, label in enumerate(before)}
    return [place.get(label) for label in labels]


def in_order(split: Split, labels: Sequence[str]) -> Split:
    """The split with its labels in the order of a model's, and those that the model lacks last."""
    own = set(split.labels)
    order = [label for label in labels if label in own]
    order += [label for label in split.labels if label not in set(labels)]
    columns = [split.labels.index(label) for label in order]
    return replace(split, labels=tuple(order), targets=split.targets[:, columns])


# Settings


def changed_settings(own: Model, wanted: Model, given: Collection[str]) -> Model:
    """A model's own settings, with those of `wanted` that are in `given`.

    Raises ConfigError for one of them that a trained model cannot change, unless it is equal.
    """
    before, asked = by_name(asdict(own)), by_name(asdict(wanted))
    different = {name: asked[name] for name in ALL if name in given and asked[name] != before[name]}
    fixed = [name for name in different if name not in (*CHANGEABLE, *OF_A_NEW_MODEL)]
    if fixed:
        several = "; ".join(
            f"model.{name}: expected {_value(before[name])}, got {_value(asked[name])}"
            for name in fixed
        )
        raise ConfigError(
            f"{several}. The model in --init keeps its architecture: leave "
            f"{'it' if len(fixed) == 1 else 'them'} out, or train a new model without --init."
        )
    if different.get("label_vectors") and not before["label_vectors"]:
        raise ConfigError(
            "model.label_vectors: expected none, as the model in --init learned its own nodes, "
            f"got {asked['label_vectors']}. Leave it out."
        )
    kept = {name: value for name, value in different.items() if name != "pretrained"}
    if not kept:
        return own
    changed = parse_config(_nested_model(before | kept), "--init").model
    if changed.pooling == "two_classifiers" and (own.crop_level > 0) != (changed.crop_level > 0):
        expected = "1 or more" if own.crop_level else "0"
        raise ConfigError(
            f"model.crop_level: expected {expected}, as the pooling of the model in --init has "
            f"{'a classifier' if own.crop_level else 'no classifier'} for tiles, got "
            f"{changed.crop_level}. Leave it out."
        )
    return changed


def _value(value: object) -> str:
    return repr(value) if value == "" else str(value)


def _nested_model(settings: dict[str, Any]) -> dict[str, Any]:
    own = {name: value for name, value in settings.items() if "." not in name}
    released = {name.partition(".")[2]: value for name, value in settings.items() if "." in name}
    return {"model": own | {"released": released}}


def _resized(info: ModelInfo, settings: Model) -> BackboneSpec:
    """The backbone's description, for the views and the pixels of other settings."""
    spec = info.backbone
    if "img_size" in spec.options and settings.view_size != info.model.view_size:
        spec = replace(spec, options={**spec.options, "img_size": settings.view_size})
    if settings.pixel_statistics == info.model.pixel_statistics:
        return spec
    if settings.pixel_statistics != "backbone":
        return spec.normalised_by(settings.pixel_statistics)
    own = describe_backbone(settings.backbone, settings.view_size, settings.channels)
    return replace(spec, mean=own.mean, std=own.std)


# Weights


def _head_options(info: ModelInfo, places: Places) -> dict[str, Any]:
    options = dict(info.head_options)
    if info.model.head == "ml_decoder":
        groups = options.get("groups", 100)
        wanted = groups_for(len(info.labels), groups, places)
        if wanted != min(groups, len(places)):
            options["groups"] = wanted
    return options


def _carried_over(
    model: Classifier,
    before: ModelInfo,
    after: ModelInfo,
    places: Places,
    config: Config,
    known: Statistics,
) -> Classifier:
    """A model as `after` says, with the weights of `model` where it has them."""
    try:
        with within_memory():
            new = build_model(
                replace(after.model, pretrained=False),
                len(after.labels),
                spec=after.backbone,
                prior=graph_prior(after.model, known),
                vectors=_vectors(model, before, after, places),
                shares=torch.from_numpy(known.shares()),
                head_options=after.head_options,
            )
        carry_over(new, model, places)
        if after.model != before.model:
            check_forward(after.model, new)
    except TooLarge as error:
        raise ConfigError(f"--init: {error}, with {len(after.labels):,} labels.") from None
    except (ConfigError, Misfit) as error:
        if after.model.view_size == before.model.view_size:
            raise
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        raise ConfigError(
            f"model.view_size: expected {before.model.view_size}, since the model in --init, with "
            f"{before.model.backbone}, cannot be changed to another ({reason_of(cause)}), got "
            f"{after.model.view_size}. Leave it out."
        ) from None
    if part := starts_anew(new, len(after.labels), len(before.labels)):
        tell(f"warning: {part}, start anew")
    return new.train()


def _vectors(
    model: Classifier, before: ModelInfo, after: ModelInfo, places: Places
) -> torch.Tensor | None:
    """The label vectors that a model was built with, and from the file those of new labels."""
    weights = model.state_dict()
    own = weights.get("head.vectors" if before.model.head == "ml_gcn" else "graph.vectors")
    if own is None or not before.model.label_vectors:
        return None
    vectors = torch.zeros(len(places), own.shape[1])
    new = [label for label, was in zip(after.labels, places, strict=True) if was is None]
    if new:
        read = torch.from_numpy(_read_new(after, new))
        if read.shape[1] != own.shape[1]:
            raise ConfigError(
                f"model.label_vectors: expected vectors of length {own.shape[1]}, as those of the "
                f"model in --init, got {read.shape[1]}. Give the file that it was trained with."
            )
        vectors[[index for index, was in enumerate(places) if was is None]] = read
    return vectors


def _read_new(after: ModelInfo, labels: Sequence[str]) -> NDArray[np.float32]:
    """Vectors of new labels, by their names. Raises ConfigError if the file has no names."""
    file, names = Path(after.model.label_vectors), _listing(labels)
    if not file.is_file() or file.suffix == ".npy":
        what = f"{file}, which has no names" if file.is_file() else f"no file {file}"
        raise ConfigError(
            f"model.label_vectors: expected a text file with vectors of the new labels ({names}), "
            f"since the model in --init has label vectors, got {what}. "
            "Set --model.label_vectors FILE."
        )
    return read_vectors(file, labels)


# What is printed


def _label_lines(before: Sequence[str], after: Sequence[str]) -> list[str]:
    new = [label for label in after if label not in set(before)]
    dropped = [label for label in before if label not in set(after)]
    kept = len(after) - len(new)
    parts = [f"{kept or 'none'} kept"]
    parts += [f"{len(new)} new ({_listing(new)})"] if new else []
    parts += [f"{len(dropped)} dropped ({_listing(dropped)})"] if dropped else []
    line = f"labels: {', '.join(parts)}"
    if not kept:
        line += "; the backbone is kept, and what all labels share"
    lines = [line]
    plain_of = {plain(label): label for label in dropped}
    alike = [(plain_of[plain(label)], label) for label in new if plain(label) in plain_of]
    if alike:
        pairs = ", ".join(f"{was!r} and {now!r}" for was, now in alike[:SHOWN])
        lines.append(
            f"warning: dropped and new labels that differ in spelling alone: {pairs}. Write them "
            "alike to keep what the model knows of them"
        )
    return lines


def _listing(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _setting_lines(before: Model, after: Model) -> list[str]:
    was, now = by_name(asdict(before)), by_name(asdict(after))
    changed = [f"{name} {now[name]} (was {was[name]})" for name in ALL if now[name] != was[name]]
    how = f"but {', '.join(changed)}" if changed else "all of them"
    return [f"model settings: those of the model in --init, {how}"]


def _dropped(info: ModelInfo) -> str:
    """What a run does not take over from the model that it starts from, in a line."""
    fitted = []
    if info.calibration:
        fitted.append("calibration")
    if any(threshold != 0.5 for threshold in info.thresholds):
        fitted.append("thresholds")
    start = "the optimizer and the average of the weights start anew"
    if not fitted:
        return f"not carried over: {start}"
    return f"not carried over: {' and '.join(fitted)}, as the weights change; {start}"
