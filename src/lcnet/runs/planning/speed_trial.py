"""A short trial of a backbone: how fast this machine reads pictures, sees them and learns."""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lcnet.compute import autocast, usual_device
from lcnet.config import Config, Train
from lcnet.config.recipe import UNCHANGED
from lcnet.data.dataset import ImageLabels, Split, evenly
from lcnet.data.loading import stack_images
from lcnet.data.pixel_range import pixel_kinds
from lcnet.data.transforms import Normalize, Preprocessing, eval_transform
from lcnet.errors import ConfigError
from lcnet.metrics import Targets
from lcnet.model.classifier import Classifier
from lcnet.model_folder import ModelInfo
from lcnet.runs.new_model import new_model
from lcnet.runs.planning.backbones_at_hand import AtHand, made_for
from lcnet.runs.planning.facts import DataFacts
from lcnet.runs.planning.recipes import LAST_STAGE, RANDOM, frozen_recipe, in_the_way_of_stage
from lcnet.runs.planning.rules import (
    STRIDE,
    Case,
    Speed,
    head_work,
    hows_to_try,
    picture_side,
    views_of,
    views_to_try,
)
from lcnet.runs.start import with_precision
from lcnet.training.averaging import Average
from lcnet.training.objective import Objective
from lcnet.training.optimizers import optimizer_for

VIEWS = 16
"""Views that are looked at, in as many pictures as have them; at least two pictures."""
LEARNT = 8
"""Pictures of a step that trains the whole network."""
KEPT = 32
"""Pictures of a step that trains a head on kept features."""
REPEATS = 6
"""Times that something is measured at most; the median counts."""
RANDOM_VIEW = 128
"""Largest side in pixels of a view for a network that learns from random weights."""

Step = Callable[[Tensor, Tensor], None]


@dataclass(frozen=True)
class Stopwatch:
    """Measures work for some seconds."""

    seconds: float

    def of(self, work: Callable[[], object], share: float) -> float:
        """The seconds that some work takes once it runs; it may repeat in a share of the time."""
        until, taken = time.monotonic() + share * self.seconds, list[float]()
        while len(taken) < REPEATS and (len(taken) < 2 or time.monotonic() < until):
            started = time.perf_counter()
            work()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            taken.append(time.perf_counter() - started)
        return median(taken[1:])  # the first one warms up


def view_for(at_hand: AtHand, data: DataFacts) -> tuple[int, bool]:
    """The side of a view for a backbone, and whether it takes no other.

    It is that of its pretraining, but no larger than the pictures.
    """
    side, is_fixed = made_for(at_hand.backbone)
    if is_fixed:
        return side, True
    usual = side // STRIDE * STRIDE if at_hand.is_pretrained else RANDOM_VIEW
    return max(STRIDE, min(usual, picture_side(data))), False


def speed_of(
    at_hand: AtHand, case: Case, config: Config, training: Split, *, seconds: float
) -> Speed:
    """What a backbone takes on this machine, measured in about so many seconds.

    Raises ConfigError if the backbone cannot be built, DataError if a picture cannot be read.
    """
    view, is_fixed = view_for(at_hand, case.data)
    view = int(case.given.get("model.view_size", view))
    how = hows_to_try(case, is_pretrained=at_hand.is_pretrained)[0]
    level = views_to_try(case, how, view, is_fixed=is_fixed)[0][1]
    config = _config(at_hand, case, config, view, level, learns=how == "tuned")
    split = training.chosen(evenly(len(training), max(2, VIEWS // views_of(level))))
    model, info = _model(config, training)
    preprocessing = _with_range(info.preprocessing, config, split)
    watch, views = Stopwatch(seconds), views_of(level)
    skips = config.data.broken == "skip"
    pictures = ImageLabels(split, eval_transform(preprocessing), skip_broken=skips)
    decode_s = watch.of(lambda: [pictures[index] for index in range(len(split))], 0.2)
    batch = stack_images([pictures[index][0] for index in range(len(split))])
    view_s, maps = _seeing(model, preprocessing, batch, config.train.precision, watch)
    learn_s = head_s = stage_s = 0.0
    if how != "frozen":
        learnt = batch[:LEARNT], split.targets
        learn_s = _learning(model, config.train, preprocessing, *learnt, 0.3, watch)
    if at_hand.is_pretrained:
        kept = maps.repeat(-(-KEPT // len(maps)), 1, 1, 1, 1)[:KEPT], split.targets
        head_s = _learning(model, kept_recipe(config.train), preprocessing, *kept, 0.1, watch)
        if how == "frozen" and not level and not in_the_way_of_stage(case.given):
            stage_s = _learning_stage(model, config, preprocessing, batch, split.targets, watch)
    return Speed(
        backbone=at_hand.backbone,
        name=at_hand.name,
        source=at_hand.source,
        weights=sum(weight.numel() for weight in model.backbone.parameters()) / 1e6,
        view_size=view,
        decode_s=decode_s / len(split),
        view_s=view_s / len(split) / views,
        head_s=head_s / head_work(views),
        learn_view_s=learn_s / views,
        view_bytes=2 * maps[0, 0].numel(),
        learn_stage_s=stage_s,
        has_stages=bool(model.backbone.stages),
        is_pretrained=at_hand.is_pretrained,
        is_fixed=is_fixed,
    )


def kept_recipe(recipe: Train) -> Train:
    """The recipe for kept features, wherever they are kept."""
    still: dict[str, Any] = {**UNCHANGED, "backbone_lr_factor": 0.0, "backbone_stages": 0}
    return replace(recipe, **still, cache_features=recipe.cache_features or "features")


def learner(model: Classifier, recipe: Train, preprocessing: Preprocessing) -> Step:
    """A step of training on a batch and its targets, with a copy of the model.

    The batch is of images (uint8 B 3 H W), or of kept maps if the recipe keeps features.
    """
    device = usual_device()
    objective = Objective(copy.deepcopy(model).to(device), recipe, preprocessing).to(device).train()
    optimizer = optimizer_for(objective.model, recipe)
    average = Average(objective, recipe.ema_decay, warmup=True) if recipe.ema_decay else None

    def step(batch: Tensor, targets: Tensor) -> None:
        with autocast(device, recipe.precision):
            loss = objective(batch.to(device), targets.to(device))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if average:  # with many small weights it takes a third of the step
            average.update(objective)

    return step


def _config(
    at_hand: AtHand, case: Case, config: Config, view: int, level: int, *, learns: bool
) -> Config:
    recipe = frozen_recipe(case.given) if at_hand.is_pretrained else RANDOM
    if learns:
        recipe = recipe | {"train.backbone_lr_factor": 1.0}
    settings = recipe | {
        "model.backbone": at_hand.backbone,
        "model.pretrained": at_hand.is_pretrained,
        "model.earlier_stages": at_hand.is_pretrained,
        "model.view_size": view,
        "model.crop_level": level,
        "train.precision": "auto",
    }
    return with_precision(config.changed(settings | dict(case.given)))


def _model(config: Config, training: Split) -> tuple[Classifier, ModelInfo]:
    """The model, without the earlier stages of a backbone that has none."""
    try:
        return new_model(
            config.model, training.labels, targets=training.targets, unknown=config.train.unknown
        )
    except ConfigError as error:
        if not (config.model.earlier_stages and str(error).startswith("model.earlier_stages")):
            raise
        settings = replace(config.model, earlier_stages=False)
        return _model(replace(config, model=settings), training)


def _with_range(expected: Preprocessing, config: Config, split: Split) -> Preprocessing:
    """The preprocessing with some values of black and white for deep pictures."""
    found = config.data.given_range
    if found is None:
        channels = config.model.channels
        found = pixel_kinds(split, channels=channels, workers=0, quiet=True).checked()
    return replace(expected, pixel_range=found)


def _seeing(
    model: Classifier, expected: Preprocessing, batch: Tensor, precision: str, watch: Stopwatch
) -> tuple[float, Tensor]:
    """The seconds for the maps of a batch, and these as they are kept."""
    device = usual_device()
    model, normalize = model.to(device).eval(), Normalize(expected).to(device)
    with torch.inference_mode(), autocast(device, precision):
        seconds = watch.of(lambda: model.maps(normalize(batch.to(device))).cpu(), 0.4)
        maps = model.maps(normalize(batch.to(device)))
    return seconds, maps.to("cpu", torch.float16).clone()


def _learning(
    model: Classifier,
    recipe: Train,
    expected: Preprocessing,
    batch: Tensor,
    targets: Targets,
    share: float,
    watch: Stopwatch,
) -> float:
    """The seconds for a picture in a step of training; the targets are repeated as needed."""
    step = learner(model, recipe, expected)
    rows = torch.from_numpy(np.resize(targets, (len(batch), targets.shape[1])))
    return watch.of(lambda: step(batch, rows), share) / len(batch)


def _learning_stage(
    model: Classifier,
    config: Config,
    expected: Preprocessing,
    batch: Tensor,
    targets: Targets,
    watch: Stopwatch,
) -> float:
    """The seconds for a picture in a step of head and last stage; 0 for a backbone without."""
    recipe = config.changed(LAST_STAGE).train
    try:
        return _learning(model, recipe, expected, batch[:LEARNT], targets, 0.2, watch)
    except ConfigError:
        return 0.0
