"""A model made from a published checkpoint, and the steps that all layouts share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from lcnet.config import Model
from lcnet.model.backbone import BackboneSpec, describe_backbone
from lcnet.model.classifier import Classifier
from lcnet.model_folder import ModelInfo
from lcnet.published.backbone_weights import load_exactly, to_timm
from lcnet.published.reading import Published


@dataclass(frozen=True)
class Import:
    """A model made from a published checkpoint."""

    model: Classifier
    info: ModelInfo
    report: tuple[str, ...]
    """What was read, dropped and assumed, a line each."""


def dropped_line(names: Sequence[str], why: str, published: Published) -> str:
    """The report's line on what was not used: the weights `names`, and all other entries."""
    parts = [f"{len(names)} weights {why}"] if names else []
    others = [name for name in published.others if name not in ("idx_to_class", "num_classes")]
    return f"dropped: {'; '.join([*parts, *others]) or 'nothing'}"


def published_spec(settings: Model, options: Mapping[str, Any]) -> BackboneSpec:
    """The backbone's spec, with the preprocessing of its publisher instead of timm's."""
    spec = describe_backbone(settings.backbone, settings.view_size, settings.channels)
    return replace(
        spec.normalised_by(settings.pixel_statistics),
        options={**spec.options, **options},
        interpolation="bilinear",
    )


def fill(
    model: Classifier, features: Mapping[str, Tensor], others: Mapping[str, Tensor], file: Path
) -> None:
    """Give a model its published weights. Raises CheckpointError if they do not fit exactly."""
    load_exactly(model.backbone.features, to_timm(features, model.backbone.features), file)
    whole = model.state_dict()
    kept = {name: whole[name] for name in whole if name.startswith("backbone.features.")}
    load_exactly(model, {**kept, **others}, file)
