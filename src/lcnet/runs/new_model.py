"""A new model for a data set: from settings, label names and training targets."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from lcnet import config
from lcnet.data.statistics import Statistics, assume_absent, count_labels
from lcnet.data.vectors import read_vectors
from lcnet.errors import ConfigError, reason_of
from lcnet.metrics import Targets
from lcnet.model.backbone import describe_backbone
from lcnet.model.build import build_model, needs_pairs
from lcnet.model.classifier import Classifier
from lcnet.model.label_edges import Edges
from lcnet.model.size import TooLarge, within_memory
from lcnet.model_folder import ModelInfo
from lcnet.published.backbone_weights import load_backbone_weights

ABSENT = ("negative", "reject_large_losses")
"""Treatments of unknown labels that begin by taking each of them as absent."""


def new_model(
    settings: config.Model,
    labels: Sequence[str],
    *,
    targets: Targets,
    unknown: config.Unknown = "ignore",
) -> tuple[Classifier, ModelInfo]:
    """A model to be trained, and what its model folder says of it.

    The label graph starts from how often the labels occur together in `targets`, those of the
    training pictures: N x L, 1 present, 0 absent, -1 unknown. `unknown` is that of the training
    recipe: with `negative` and `reject_large_losses` unknown entries count as absent there. The
    random numbers are torch's, so seed them before. Raises ConfigError if the settings cannot be
    built.
    """
    labels = tuple(labels)
    counted, filled = count_labels(targets), assume_absent(targets, everywhere=unknown in ABSENT)
    known = counted if np.array_equal(filled, targets) else count_labels(filled)
    vectors = None
    if settings.backbone_weights and settings.pretrained:
        settings = replace(settings, pretrained=False)
    if settings.label_vectors:
        _check_vectors_are_used(settings)
        vectors = torch.from_numpy(read_vectors(Path(settings.label_vectors), labels))
    spec = describe_backbone(settings.backbone, settings.view_size, settings.channels)
    spec = spec.normalised_by(settings.pixel_statistics)
    try:
        with within_memory():
            model = build_model(
                settings,
                len(labels),
                spec=spec,
                prior=graph_prior(settings, known),
                vectors=vectors,
                shares=torch.from_numpy(known.shares()),
            )
    except TooLarge as error:
        raise ConfigError(f"--model: {error}. Set smaller widths, or fewer layers.") from None
    if settings.backbone_weights:
        load_backbone_weights(model.backbone.features, Path(settings.backbone_weights))
    check_forward(settings, model)
    thresholds = (0.5,) * len(labels)
    return model, ModelInfo(labels, settings, spec, thresholds, counted)


def _check_vectors_are_used(settings: config.Model) -> None:
    """Raises ConfigError for a model without a part that starts from label vectors."""
    if settings.head == "ml_gcn" or (settings.head == "lcnet" and settings.graph != "none"):
        return
    if settings.head == "lcnet":
        without, instead = "a model without a label graph", "set --model.graph learned"
    else:
        without, instead = f"the head {settings.head}", "set --model.head lcnet or ml_gcn"
    raise ConfigError(
        f"model.label_vectors: expected none with {without}, which would not use them, got "
        f"{settings.label_vectors!r}. Leave it out, or {instead}."
    )


def graph_prior(settings: config.Model, known: Statistics) -> torch.Tensor | Edges | None:
    """How often label B is present when label A is, as far as a model is built from it."""
    edges = needs_pairs(settings, len(known.positives))
    if edges is None:
        return torch.from_numpy(known.conditional_probability())
    return Edges(*map(torch.from_numpy, known.most_probable(edges))) if edges else None


def check_forward(settings: config.Model, model: Classifier) -> None:
    """Raises ConfigError if the model fails on a picture, as the backbone has no feature map."""
    size = settings.view_size
    try:
        with torch.inference_mode():
            model.eval()(torch.zeros(1, settings.channels, size, size))
    except (RuntimeError, AssertionError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"model.backbone: {settings.backbone!r} gives no feature map for views of {size} px "
            f"({reason_of(error)}). Choose another --model.backbone or --model.view_size."
        ) from error
    model.train()
