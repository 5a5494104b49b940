"""`--train.class_means`: class means of a trained model, and how much they count, by validation."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lcnet.compute import autocast, usual_device
from lcnet.config import Config
from lcnet.data.dataset import Split
from lcnet.data.loading import eval_loader
from lcnet.data.pictures import eval_pictures
from lcnet.data.readers import load_split_for
from lcnet.data.transforms import Normalize
from lcnet.evaluating.frozen_features import frozen_features, in_float32
from lcnet.metrics.bootstrap import mean_ap
from lcnet.metrics.calibration import to_probabilities
from lcnet.model.class_means import ClassMeans, Moments, pooled
from lcnet.model.classifier import Classifier
from lcnet.model_folder import ModelFolder, ModelInfo, load_model, read_info
from lcnet.progress import tell, track
from lcnet.run_folder import RunFolder

Logits = NDArray[np.float32]
STRENGTHS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
"""How much class means may count beside the head's logits."""


def fit_class_means(run: RunFolder, config: Config) -> None:
    """Give a run's model class means, as strong as validation wants them, and say what they give.

    One pass over the training pictures without augmentation, or over their kept features. Where no
    strength is better in validation than none, nothing is written.
    """
    model, info = load_model(run.path), read_info(run.path)
    device = usual_device()
    model = model.to(device).eval()
    last = model.backbone.last_channels
    moments = Moments(len(info.labels), model.backbone.channels)
    for maps, targets in _maps(config, model, info, config.data.train, mirrored=True):
        is_read = (targets >= 0).any(dim=1)  # nothing is known of a picture that cannot be read
        moments.update(pooled(maps, last).cpu()[is_read], targets[is_read])
    means = moments.class_means(last).to(device)
    logits, scores, truth = _in_validation(config, model, info, means)
    strength, without, best = _best_strength(logits, scores, truth)
    if not strength:
        tell(
            "each label's mean picture (class means) is left out, since it makes nothing better in "
            "validation"
        )
        return
    means.weight *= strength
    means.bias *= strength
    means.bias -= _shift(logits, logits + strength * scores)
    model.class_means = means
    ModelFolder.at(run.path).save(model, info)
    tell(
        "each label's mean picture counts too, beside what was learned (class means, times "
        f"{strength:g}): validation mAP {without:.1f} -> {best:.1f}"
    )


def _in_validation(
    config: Config, model: Classifier, info: ModelInfo, means: ClassMeans
) -> tuple[Logits, Logits, NDArray[np.int8]]:
    """The head's logits, the class means' scores and the targets in validation, N x L each."""
    found: list[tuple[Tensor, Tensor, Tensor]] = [
        (model.score(maps).float().cpu(), means(maps).cpu(), targets)
        for maps, targets in _maps(config, model, info, config.data.val)
    ]
    logits, scores, truth = (torch.cat(parts).numpy() for parts in zip(*found, strict=True))
    return logits, scores, truth.astype(np.int8)


def _best_strength(
    logits: Logits, scores: Logits, truth: NDArray[np.int8]
) -> tuple[float, float, float]:
    """The best strength, or 0, and the mAP without and with it."""
    reached = {
        strength: mean_ap(to_probabilities(logits + strength * scores), truth)
        for strength in (0.0, *STRENGTHS)
    }
    best = max(reached, key=lambda strength: reached[strength])
    return best, reached[0.0], reached[best]


def _shift(before: Logits, after: Logits) -> float:
    """What to take from all logits, so that as many are above 0 as before."""
    is_above = float((before > 0).mean())
    return float(np.quantile(after, 1 - is_above))


@torch.inference_mode()
def _maps(
    config: Config, model: Classifier, info: ModelInfo, name: str, *, mirrored: bool = False
) -> Iterator[tuple[Tensor, Tensor]]:
    """The feature maps (B V C h w, float32) and targets (B L) of a split; mirror images too."""
    split: Split = load_split_for(config.data, name, info.labels)
    device = next(model.parameters()).device
    if not mirrored:
        # Features that were kept in bfloat16 can rank few pictures otherwise; so what decides, and
        # is said, is computed as the model will be measured. Training's own are but averaged.
        config = in_float32(config)
    recipe = config.train
    if recipe.cache_features:
        kept = frozen_features(config, model, info, split, mirrored=mirrored and recipe.flip)
        for version in kept.versions:
            for first in range(0, len(split), recipe.batch):
                rows = range(first, min(first + recipe.batch, len(split)))
                yield (
                    torch.stack([version[row] for row in rows]).to(device).float(),
                    kept.targets[first : rows.stop],
                )
        return
    normalize = Normalize(info.preprocessing).to(device)
    pictures = eval_pictures(split, config.data, info.preprocessing, quiet=True)
    loader = eval_loader(pictures, batch_size=recipe.batch, workers=config.data.workers)
    for images, targets in track(loader, f"Class means of {split.name}, batches", len(loader)):
        with autocast(device, recipe.precision):
            maps = model.maps(normalize(images))
        yield maps.float(), targets
