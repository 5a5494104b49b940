"""A frozen backbone's feature maps of a split, kept in the folder `train.cache_features`."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import Tensor

from lcnet.compute import HALVES, autocast, usual_device
from lcnet.config import Config, Data
from lcnet.data.dataset import ImageLabels, Split
from lcnet.data.feature_cache import CachedMaps, cached_maps, network_key
from lcnet.data.loading import Pictures, eval_loader
from lcnet.data.pictures import eval_pictures
from lcnet.data.transforms import Normalize, eval_transform
from lcnet.model.classifier import Classifier
from lcnet.model_folder import ModelInfo
from lcnet.progress import track
from lcnet.run_folder import RunFolder


def in_float32(config: Config) -> Config:
    """The config whose features are those that a model is measured on, which are kept apart."""
    return replace(config, train=replace(config.train, precision="fp32"))


def kept_features(run: Path, model: Classifier, info: ModelInfo, split: Split) -> CachedMaps | None:
    """The features of a split in float32, in which models are measured; None if a run keeps none.

    A run in half precision keeps them beside its own.
    """
    folder = RunFolder(run)
    config = folder.config() if folder.is_run else None
    if config is None or not config.train.cache_features:
        return None
    return frozen_features(in_float32(config), model, info, split)


def kept_or_opened(
    kept: CachedMaps | None, split: Split, data: Data, info: ModelInfo, *, quiet: bool
) -> Pictures:
    """The kept features of a split; without them its pictures, as the model is to see them."""
    return eval_pictures(split, data, info.preprocessing, quiet=quiet) if kept is None else kept


def frozen_features(
    config: Config, model: Classifier, info: ModelInfo, split: Split, *, mirrored: bool = False
) -> CachedMaps:
    """A frozen backbone's feature maps of a split, read from the cache or computed and kept.

    With `mirrored` also those of the mirror images. They are computed in the run's precision, on
    the accelerator if there is one.
    """
    recipe = config.train
    device = usual_device()
    model, normalize = model.to(device).eval(), Normalize(info.preprocessing).to(device)
    weights = model.backbone.state_dict()

    def images(some: Split, *, flip: bool) -> Iterator[Tensor]:
        pictures = ImageLabels(some, eval_transform(info.preprocessing))
        loader = eval_loader(pictures, batch_size=recipe.batch, workers=config.data.workers)
        what = f"Features of {split.name}{', mirrored' * flip}, batches"
        for batch, _ in track(loader, what, len(loader)):
            yield normalize(batch.flip(-1) if flip else batch)

    def maps_of(batch: Tensor) -> Tensor:
        with autocast(device, recipe.precision):
            return model.maps(batch)

    folder, half = Path(recipe.cache_features), HALVES[recipe.precision]
    sees = (info.backbone, info.preprocessing, model.crops.settings, tuple(model.backbone.stages))
    cached = []
    for flip in (False, True) if mirrored else (False,):
        network = network_key(weights, *sees, half, flip)
        cached.append(cached_maps(folder, network, split, partial(images, flip=flip), maps_of))
    return CachedMaps([maps.versions[0] for maps in cached], cached[0].targets)
