"""`lcnet import`: from a checkpoint that others published to a model folder."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import rich
import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor

from lcnet import config
from lcnet.checkpoint import ModelInfo, save_model
from lcnet.errors import CheckpointError, ConfigError, DataError, reason_of
from lcnet.model.backbone import BackboneSpec, describe_backbone
from lcnet.model.classifier import Classifier
from lcnet.model.lcnet import build_model
from lcnet.published.backbones import describe_weights, load_exactly, to_timm
from lcnet.published.datasets import (
    THRESHOLD,
    VIEW_SIZE,
    ReleasedSet,
    released_correlation,
    released_set,
)
from lcnet.published.reading import Published, read_published
from lcnet.published.release import (
    BACKBONE,
    UNUSED,
    ReleasedSizes,
    convert_released,
    is_released,
    released_sizes,
)


@dataclass(frozen=True)
class Choices:
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


@dataclass(frozen=True)
class Import:
    """A model made from a published checkpoint."""

    model: Classifier
    info: ModelInfo
    report: tuple[str, ...]
    """What was read, dropped and assumed, a line each."""


def import_model(file: Path, out: Path, choices: Choices) -> Import:
    """Write a model folder from a published checkpoint and print what was read and assumed.

    `file` is the checkpoint, or a folder that holds model_best.pth.tar. Raises CheckpointError if
    it cannot be used and ConfigError if `out` is taken or a choice does not fit; nothing is written
    then.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"--out {out}: already there. Choose another folder.")
    made = read_model(file, choices)
    save_model(out, made.model, made.info)
    for line in (*made.report, f"model folder: {out}"):
        rich.get_console().print(line, markup=False, highlight=False, soft_wrap=True)
    return made


def read_model(file: Path, choices: Choices) -> Import:
    """The model in a published checkpoint. Raises CheckpointError or ConfigError."""
    published = read_published(file)
    if is_released(published.tensors):
        return _released(published, choices)
    names = ", ".join(list(published.tensors)[:3])
    raise CheckpointError(
        f"{published.file}: a layout that lcnet does not know (weights such as {names}; expected "
        "LCNet's). Give a checkpoint of the release."
    )


def _released(published: Published, choices: Choices) -> Import:
    file, weights, said = published.file, published.tensors, published.settings
    sizes = released_sizes(weights, file)
    data = released_set(sizes.labels, str(said.get("dataname", "")))
    assumed: list[str] = []

    def choose(name: str, chosen: int | None, in_file: str, default: int) -> int:
        if chosen is not None:
            return chosen
        if isinstance(said.get(in_file), int):
            return int(said[in_file])
        assumed.append(f"{name} {default}")
        return default

    level = choose("crop level", choices.crop_level, "CropLevels", data.crop_level)
    view_size = choose("view size", choices.view_size, "img_size", VIEW_SIZE)
    features = _under(weights, BACKBONE)
    backbone, spec = _released_backbone(features, said, view_size, file)
    settings = config.Model(
        backbone=backbone,
        pretrained=False,
        crop_level=level,
        view_size=view_size,
        antialias=False,
        width=sizes.width,
        heads=choose("decoder heads", choices.heads, "nheads", 4),
        depth=sizes.depth,
        mlp_width=sizes.mlp_width,
        share_layers=sizes.shared,
        layer="released",
        graph="released",
        graph_tokens="feature",
        graph_width=sizes.graph_width,
        graph_low=data.graph_low,
        label_tokens="frozen",
        shared_bias=True,
    )
    correlation = _correlation(choices, data, sizes, assumed)
    model = build_model(settings, sizes.labels, spec=spec, prior=correlation)
    load_exactly(model.backbone.features, to_timm(features, model.backbone.features), file)
    converted = convert_released(weights, sizes, file)
    kept = {
        name: value
        for name, value in model.state_dict().items()
        if name.startswith("backbone.features.") or name in ("graph.band",)
    }
    load_exactly(model, {**kept, **converted}, file)
    labels = _labels(choices, data.labels, sizes.labels, assumed)
    info = ModelInfo(labels, settings, spec, thresholds=(THRESHOLD,) * sizes.labels)
    unused = [name for name in weights if name.startswith(UNUSED)]
    report = (
        f"{file}: LCNet as released, {sizes.labels} labels, {len(weights) - len(unused)} of "
        f"{len(weights)} weights read",
        f"read: {spec.architecture}, width {sizes.width}, {sizes.depth} decoder layers"
        + (" that share one set of weights" if sizes.shared else ""),
        f"dropped: {len(unused)} weights that the release never uses"
        + (f"; {', '.join(published.others)}" if published.others else ""),
        f"assumed: {'; '.join(assumed) or 'nothing'}",
    )
    return Import(model.eval().requires_grad_(False), info, report)


def _released_backbone(
    weights: Mapping[str, Tensor], said: Mapping[str, object], view_size: int, file: Path
) -> tuple[str, BackboneSpec]:
    """The published name and the spec of the backbone, told from its weights.

    The release normalises as ImageNet does, whatever timm says, unless it was told `--orid_norm`.
    """
    name, options = describe_weights(weights, file)
    spec = describe_backbone(name, view_size)
    plain = bool(said.get("orid_norm"))
    spec = replace(
        spec,
        options={**spec.options, **options},
        mean=(0.0, 0.0, 0.0) if plain else IMAGENET_DEFAULT_MEAN,
        std=(1.0, 1.0, 1.0) if plain else IMAGENET_DEFAULT_STD,
        interpolation="bilinear",
    )
    return name, spec


def _correlation(
    choices: Choices, data: ReleasedSet, sizes: ReleasedSizes, assumed: list[str]
) -> Tensor:
    labels = sizes.labels
    if choices.correlation is None:
        if data.name == "coco14":
            assumed.append(
                "COCO's released label correlations, in alphabetical order as the release has them "
                "(its labels are not)"
            )
        elif data.labels:
            assumed.append("VOC's released label correlations")
        else:
            assumed.append("a graph without edges, as released for rope (--correlation gives one)")
        return released_correlation(data, labels)
    try:
        matrix = np.load(choices.correlation, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(
            f"--correlation {choices.correlation}: expected a .npy file of numbers, got: "
            f"{reason_of(error)}. Save it with numpy.save."
        ) from None
    if matrix.shape != (labels, labels) or not np.isfinite(matrix.astype(np.float64)).all():
        raise DataError(
            f"--correlation {choices.correlation}: expected {labels} x {labels} finite numbers, "
            f"got shape {matrix.shape}. Give a row and a column for each label."
        )
    return torch.from_numpy(matrix).float()


def _labels(
    choices: Choices, known: tuple[str, ...], number: int, assumed: list[str]
) -> tuple[str, ...]:
    if not choices.labels:
        if len(known) == number:
            return known
        assumed.append(f"label names label_1 to label_{number} (--labels gives others)")
        return tuple(f"label_{place}" for place in range(1, number + 1))
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
        raise ConfigError(
            f"--labels: expected {number} different names, as many as the checkpoint has labels, "
            f"got {len(names)} ({len(set(names))} different). Correct the names."
        )
    return names


def _under(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name[len(prefix) :]: value for name, value in weights.items() if name.startswith(prefix)
    }
