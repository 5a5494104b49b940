"""From a published checkpoint to a model of this project."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor

from lcnet import config
from lcnet.data.arrays import read_matrix
from lcnet.data.dataset import Split
from lcnet.data.readers import load_split, unnamed
from lcnet.data.readers.coco import COCO_LABELS
from lcnet.data.statistics import count_labels
from lcnet.errors import CheckpointError, ConfigError, DataError, reason_of
from lcnet.evaluating.protocols import PROTOCOLS
from lcnet.files import is_free
from lcnet.hub import Repository, is_shared
from lcnet.model.backbone import BackboneSpec, describe_backbone
from lcnet.model.build import build_model
from lcnet.model.classifier import Classifier
from lcnet.model.size import as_large_as
from lcnet.model_folder import ModelFolder, ModelInfo, load_model, local_model, read_info
from lcnet.progress import tell
from lcnet.published.backbone_weights import describe_weights, load_exactly, to_timm
from lcnet.published.datasets import ReleasedSet, released_correlation, released_set
from lcnet.published.naming import under
from lcnet.published.reading import Published, read_published
from lcnet.published.released_layout import (
    BACKBONE,
    UNUSED,
    convert_released,
    is_released,
    released_sizes,
)
from lcnet.published.rival_layouts import RivalLayout, rival_layout
from lcnet.published.settings import VIEW_SIZE, released_model

RELEASED_BACKBONES = {"tresnet_v2_l": "TResnetL_V2"}
"""Backbones that the release builds otherwise than timm: leaky slopes of 1e-6."""
VIEW_SIZES = {
    "swin_base_patch4_window7_224": 224,
    "swin_base_patch4_window12_384": 384,
    "swin_large_patch4_window7_224": 224,
    "swin_large_patch4_window12_384": 384,
    "cvt_w24": 384,
}
"""Side in pixels of the pictures that Query2Label's backbones saw, where it is not 448."""


@dataclass(frozen=True)
class ImportChoices:
    """What the user says of a checkpoint; None and "" leave it to the file or to the layout."""

    labels: str = ""
    """A text file with a label name per line, or the names separated by commas."""
    correlation: Path | None = None
    """A .npy file with the label correlations, L x L, that the released graph starts from."""
    crop_level: int | None = None
    """Crop-Forwarding level."""
    view_size: int | None = None
    """Side of a view in pixels."""
    heads: int | None = None
    """Attention heads of the decoder."""
    unnormalised: bool = False
    """Pictures go in as values from 0 to 1, with no mean and std."""
    data: config.Data | None = None
    """The data set it was trained on: gives label names, and LCNet's label correlations, as how
    often a label is there when another is, unless a file or the release gives them."""


@dataclass(frozen=True)
class Import:
    """A model made from a published checkpoint."""

    model: Classifier
    info: ModelInfo
    report: tuple[str, ...]
    """What was read, dropped and assumed, a line each."""


def import_checkpoint(file: Path, out: Path, choices: ImportChoices) -> Import:
    """Write a model folder from a published checkpoint and print what was read and assumed.

    `file` is the checkpoint, a folder that holds model_best.pth.tar, or hf://user/name, whose model
    is copied as it is. Raises CheckpointError if
    it cannot be used and ConfigError if `out` is taken or a choice does not fit; nothing is written
    then.
    """
    if not is_free(out):
        raise ConfigError(f"--out {out}: already there. Choose another folder.")
    made = _shared(file, choices) if is_shared(file) else read_model(file, choices)
    write_import(made, out)
    return made


def write_import(made: Import, out: Path) -> None:
    """Write the model folder, in place of one that is there, and print what was read."""
    ModelFolder(out).save(made.model, made.info)
    for line in (*made.report, f"model folder: {out}"):
        tell(line)


def _shared(model: Path, choices: ImportChoices) -> Import:
    """A model that lcnet push shared."""
    repository = Repository.parse(str(model))
    if choices != ImportChoices():
        raise ConfigError(
            f"{repository}: knows its labels and settings, so that --data, --labels and the like "
            "say nothing. Leave them out."
        )
    folder = local_model(model)
    return Import(
        load_model(folder), read_info(folder), (f"{repository}: commit {folder.name[:12]}",)
    )


def read_model(file: Path, choices: ImportChoices) -> Import:
    """The model in a published checkpoint. Raises CheckpointError, ConfigError or DataError."""
    published = read_published(file)
    try:
        if is_released(published.tensors):
            return _released(published, choices)
        layout = rival_layout(published.tensors)
        if layout is not None:
            return _rival(published, layout, choices)
    except KeyError as error:
        raise CheckpointError(
            f"{published.file}: has no weights {error}, as its layout does. "
            "Give the whole checkpoint."
        ) from None
    except (ValueError, IndexError, RuntimeError) as error:  # shapes that no layout has
        raise CheckpointError(
            f"{published.file}: weights of a shape that its layout does not have "
            f"({reason_of(error)}). Give a checkpoint of the layout, such as no zero-shot one."
        ) from None
    names = ", ".join(list(published.tensors)[:3])
    raise CheckpointError(
        f"{published.file}: a layout that lcnet does not know (weights such as {names}; expected "
        "LCNet's, ML-Decoder's, ASL's or Query2Label's). Give a checkpoint of one of them."
    )


def _released(published: Published, choices: ImportChoices) -> Import:
    """A checkpoint of the released LCNet."""
    file, weights, said = published.file, published.tensors, published.settings
    sizes = released_sizes(weights)
    data = released_set(sizes.labels, str(said.get("dataname", "")))
    assumed = Assumed(said)
    features = under(weights, BACKBONE)
    backbone, options = describe_weights(features, file)
    backbone = RELEASED_BACKBONES.get(backbone, backbone)
    settings = released_model(
        backbone=backbone,
        pretrained=False,
        crop_level=assumed.choose("crop level", choices.crop_level, "CropLevels", data.crop_level),
        view_size=assumed.choose("view size", choices.view_size, "img_size", VIEW_SIZE),
        width=sizes.width,
        heads=assumed.choose("decoder heads", choices.heads, "nheads", 4),
        depth=sizes.depth,
        mlp_width=sizes.mlp_width,
        share_layers=sizes.shared,
        graph_width=sizes.graph_width,
        graph_low=data.graph_low,
    )
    plain = assumed.unnormalised(choices, default=False)
    spec = _spec(backbone, options, settings.view_size, normalised=not plain)
    # Read at most once, and only if names or correlations are wanted of it.
    training = cache(partial(_training, choices.data, sizes.labels))
    correlation = _correlation(choices, data, sizes.labels, training, assumed)
    with as_large_as(weights, sizes.labels):
        model = build_model(settings, sizes.labels, spec=spec, prior=correlation)
    band = {"graph.band": model.state_dict()["graph.band"]}
    _fill(model, features, {**convert_released(weights, sizes), **band}, file)
    labels = _labels(choices, data.labels, sizes.labels, training, assumed)
    unused = [name for name in weights if name.startswith(UNUSED)]
    shared = " that share one set of weights" if sizes.shared else ""
    return Import(
        model=model.eval().requires_grad_(False),
        info=ModelInfo(
            labels, settings, spec, thresholds=(PROTOCOLS["lcnet"].threshold,) * sizes.labels
        ),
        report=(
            f"{file}: LCNet as released, {sizes.labels} labels",
            f"read: {backbone}, width {sizes.width}, {sizes.depth} decoder layers{shared}; "
            f"{len(weights) - len(unused)} of {len(weights)} weights",
            _dropped(unused, "that the release never uses", published),
            assumed.line(),
        ),
    )


def _rival(published: Published, layout: RivalLayout, choices: ImportChoices) -> Import:
    """A checkpoint of ML-Decoder, ASL or Query2Label."""
    file, said = published.file, published.settings
    assumed = Assumed(said)
    backbone, options = describe_weights(layout.backbone, file)
    settings = config.Model(
        backbone=backbone,
        pretrained=False,
        head=layout.head,
        crop_level=choices.crop_level or 0,
        view_size=assumed.choose(
            "view size", choices.view_size, "img_size", VIEW_SIZES.get(backbone, VIEW_SIZE)
        ),
    )
    plain = assumed.unnormalised(choices, default="tresnet" in backbone)
    head_options = dict(layout.options)
    if layout.heads:
        head_options["heads"] = assumed.choose(
            "attention heads", choices.heads, "nheads", layout.heads
        )
        _check_heads(head_options["heads"], layout.width)
    elif choices.heads is not None:
        raise ConfigError(f"--heads: {layout.title} has no attention. Leave it out.")
    if choices.correlation is not None:
        raise ConfigError(f"--correlation: {layout.title} has no label graph. Leave it out.")
    spec = _spec(backbone, options, settings.view_size, normalised=not plain)
    with as_large_as(published.tensors, layout.labels):
        model = build_model(settings, layout.labels, spec=spec, head_options=head_options)
    _fill(model, layout.backbone, layout.weights, file)
    known = _listed_names(published.others, layout.labels)
    if not known and layout.labels == len(COCO_LABELS):
        known = COCO_LABELS
        if choices.data is None and not choices.labels:
            assumed.add("COCO's label names")
    training = partial(_training, choices.data, layout.labels)
    info = ModelInfo(
        labels=_labels(choices, known, layout.labels, training, assumed),
        model=settings,
        backbone=spec,
        thresholds=(layout.threshold,) * layout.labels,
        head_options=head_options,
    )
    return Import(
        model=model.eval().requires_grad_(False),
        info=info,
        report=(
            f"{file}: {layout.title}, {layout.labels} labels",
            f"read: {backbone} and the head {layout.head}; "
            f"{len(published.tensors) - len(layout.dropped)} of {len(published.tensors)} weights",
            _dropped(layout.dropped, "that are constants", published),
            assumed.line(),
        ),
    )


def _check_heads(heads: int, width: int) -> None:
    if heads < 1 or width % heads:
        raise ConfigError(
            f"--heads: expected a divisor of the width {width}, got {heads}. Correct it."
        )


class Assumed:
    """What an import takes for granted because neither the user nor the file says it."""

    def __init__(self, said: Mapping[str, Any]) -> None:
        self.said = said
        self.things: list[str] = []

    def add(self, thing: str) -> None:
        """Note one more."""
        self.things.append(thing)

    def choose(self, name: str, chosen: int | None, in_file: str, default: int) -> int:
        """What the user chose, else what the file says, else the default, which is noted."""
        if chosen is not None:
            return chosen
        if isinstance(self.said.get(in_file), int):
            return int(self.said[in_file])
        self.add(f"{name} {default}")
        return default

    def unnormalised(self, choices: ImportChoices, *, default: bool) -> bool:
        """Whether pictures go in from 0 to 1, without ImageNet's mean and std; chosen likewise."""
        if choices.unnormalised:
            return True
        if "orid_norm" in self.said:
            return bool(self.said["orid_norm"])
        self.add("pictures from 0 to 1" if default else "pictures normalised as ImageNet's")
        return default

    def line(self) -> str:
        """All of them in one line."""
        return f"assumed: {'; '.join(self.things) or 'nothing'}"


def _dropped(names: Sequence[str], why: str, published: Published) -> str:
    parts = [f"{len(names)} weights {why}"] if names else []
    others = [name for name in published.others if name not in ("idx_to_class", "num_classes")]
    return f"dropped: {'; '.join([*parts, *others]) or 'nothing'}"


def _spec(
    backbone: str, options: Mapping[str, Any], view_size: int, *, normalised: bool
) -> BackboneSpec:
    """The backbone's spec, with the preprocessing of its publisher instead of timm's."""
    spec = describe_backbone(backbone, view_size)
    return replace(
        spec,
        options={**spec.options, **options},
        mean=IMAGENET_DEFAULT_MEAN if normalised else (0.0, 0.0, 0.0),
        std=IMAGENET_DEFAULT_STD if normalised else (1.0, 1.0, 1.0),
        interpolation="bilinear",
    )


def _fill(
    model: Classifier, features: Mapping[str, Tensor], others: Mapping[str, Tensor], file: Path
) -> None:
    """Give a model its published weights. Raises CheckpointError if they do not fit exactly."""
    load_exactly(model.backbone.features, to_timm(features, model.backbone.features), file)
    whole = model.state_dict()
    kept = {name: whole[name] for name in whole if name.startswith("backbone.features.")}
    load_exactly(model, {**kept, **others}, file)


def _listed_names(others: Mapping[str, Any], number: int) -> tuple[str, ...]:
    """The label names in the file, as ML-Decoder and ASL keep them; empty if it has none."""
    names = others.get("idx_to_class")
    if isinstance(names, Mapping) and len(names) == number:
        return tuple(str(name) for name in names.values())
    return ()


def _correlation(
    choices: ImportChoices,
    data: ReleasedSet,
    labels: int,
    training: Callable[[], Split],
    assumed: Assumed,
) -> Tensor:
    if choices.correlation is None and choices.data is not None and not data.labels:
        assumed.add(f"label correlations counted in {choices.data.train}")
        targets = training().targets()
        return torch.from_numpy(count_labels(targets).conditional_probability()).float()
    if choices.correlation is None:
        if data.name == "coco14":
            assumed.add(
                "COCO's released label correlations, in alphabetical order as the release has them "
                "(its labels are not)"
            )
        elif data.labels:
            assumed.add("VOC's released label correlations")
        else:
            assumed.add("a graph without edges, as released for rope (--correlation gives one)")
        return released_correlation(data, labels)
    return torch.from_numpy(read_matrix(choices.correlation, labels, columns=labels))


def _training(data: config.Data | None, number: int) -> Split:
    """The training split that the user named. Raises DataError if it has other labels."""
    assert data is not None
    split = load_split(data, data.train)
    if len(split.labels) != number:
        raise DataError(
            f"{data.train}: expected {number} labels, as many as the checkpoint has, got "
            f"{len(split.labels)}. Choose the data set that it was trained on."
        )
    return split


def _labels(
    choices: ImportChoices,
    known: tuple[str, ...],
    number: int,
    training: Callable[[], Split],
    assumed: Assumed,
) -> tuple[str, ...]:
    if choices.data is not None and not choices.labels:
        return training().labels
    if not choices.labels:
        if len(known) == number:
            return known
        assumed.add(f"label names label_1 to label_{number} (--labels gives others)")
        return unnamed(number)
    file = Path(choices.labels)
    try:
        text = file.read_text(encoding="utf-8-sig") if file.is_file() else None
    except (OSError, ValueError) as error:
        raise DataError(
            f"--labels {file}: expected a UTF-8 text file, got: {reason_of(error)}. Save it anew."
        ) from None
    parts = choices.labels.split(",") if text is None else text.splitlines()
    names = tuple(name for part in parts if (name := part.strip()))
    if len(names) != number or len(set(names)) != number:
        raise DataError(
            f"--labels: expected {number} different names, as many as the checkpoint has labels, "
            f"got {len(names)} ({len(set(names))} different). Correct the names."
        )
    return names
