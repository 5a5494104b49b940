"""From a checkpoint of the released LCNet to a model of this project."""

from collections.abc import Callable
from functools import cache, partial

import torch
from torch import Tensor

from lcnet.data.arrays import read_matrix
from lcnet.data.dataset import Split
from lcnet.data.statistics import count_labels
from lcnet.evaluating.protocols import PROTOCOLS
from lcnet.model.build import build_model
from lcnet.model.size import as_large_as
from lcnet.model_folder import ModelInfo
from lcnet.published.backbone_weights import describe_weights
from lcnet.published.choices import Assumed, ImportChoices
from lcnet.published.datasets import ReleasedSet, released_correlation, released_set
from lcnet.published.imported import Import, dropped_line, fill, published_spec
from lcnet.published.label_names import label_names, training_split
from lcnet.published.naming import under
from lcnet.published.reading import Published
from lcnet.published.released_layout import BACKBONE, UNUSED, convert_released, released_sizes
from lcnet.published.settings import VIEW_SIZE, released_model

RELEASED_BACKBONES = {"tresnet_v2_l": "TResnetL_V2"}
"""Backbones that the release builds differently from timm: with leaky slopes of 1e-6."""


def import_released(published: Published, choices: ImportChoices) -> Import:
    """The model in a checkpoint of the released LCNet.

    Raises KeyError, ValueError, IndexError or RuntimeError if weights are missing or of odd shapes.
    """
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
        pixel_statistics=assumed.pixel_statistics(choices, default="imagenet"),
    )
    spec = published_spec(settings, options)
    # Names and correlations may both need the split: read it at most once, and only if needed.
    training = cache(partial(training_split, choices.data, sizes.labels))
    correlation = _correlation(choices, data, sizes.labels, training, assumed)
    with as_large_as(weights, sizes.labels):
        model = build_model(settings, sizes.labels, spec=spec, prior=correlation)
    # The band follows from the correlations, so the checkpoint does not give it.
    band = {"graph.band": model.state_dict()["graph.band"]}
    fill(model, features, {**convert_released(weights, sizes), **band}, file)
    labels = label_names(choices, data.labels, sizes.labels, training, assumed)
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
            dropped_line(unused, "that the release never uses", published),
            assumed.line(),
        ),
    )


def _correlation(
    choices: ImportChoices,
    data: ReleasedSet,
    labels: int,
    training: Callable[[], Split],
    assumed: Assumed,
) -> Tensor:
    """The label correlations (L L): from the user's file or data set, else the release's."""
    if choices.correlation is None and choices.data is not None and not data.labels:
        assumed.add(f"label correlations counted in {choices.data.train}")
        targets = training().targets
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
