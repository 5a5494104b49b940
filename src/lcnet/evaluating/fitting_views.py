"""`lcnet calibrate --views needed`: which tiles a model looks at, fitted, measured and written."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor

from lcnet.compute import usual_device
from lcnet.config import Data
from lcnet.data.dataset import Split
from lcnet.data.loading import eval_loader
from lcnet.data.readers import load_split_for
from lcnet.data.transforms import Normalize
from lcnet.errors import ConfigError
from lcnet.evaluating.frozen_features import kept_features, kept_or_opened
from lcnet.evaluating.measuring import data_set
from lcnet.evaluating.needed_tiles import (
    FOLDS,
    above,
    crossfitted,
    fit_need,
    thresholds,
    with_threshold,
)
from lcnet.files import AnyPath
from lcnet.metrics import Targets
from lcnet.metrics.bootstrap import mean_ap
from lcnet.metrics.calibration import Calibration, fit_calibration, to_probabilities
from lcnet.metrics.expected_ap import expected_mean_ap
from lcnet.model.classifier import Classifier
from lcnet.model.filled_views import filled
from lcnet.model.needed_views import blended, statistics_of
from lcnet.model_folder import (
    ModelFolder,
    ModelInfo,
    for_data,
    load_model,
    read_info,
    require_single,
)
from lcnet.model_folder.views_saved import ViewsSaved
from lcnet.progress import tell, track

MOST_BYTES = 2**31
"""Bytes of feature maps that are kept in half precision; of more pictures some are drawn."""
SHARES = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 18, 20, 24, 28, 32]) / 32
"""Shares of the tiles that are tried."""
WORTH = 0.9
"""Share of all views above which it is not worth while to choose."""


@dataclass(frozen=True)
class Seen:
    """What a model makes of a split's pictures with all tiles, with none and with others."""

    maps: Tensor
    """Feature maps of all views in half precision, N V C h w."""
    statistics: Tensor
    """What `needed_views.statistics_of` gives of them, N V-1 3C."""
    all: Tensor
    """Logits of all views, N L."""
    none: Tensor
    """Logits of the whole image, N L."""
    alone: Tensor
    """Logits of the whole image and one tile, N V-1 L."""
    without: Tensor
    """Logits of all views but one tile, N V-1 L."""
    targets: Targets
    """N L: 1, 0 and -1 (unknown)."""

    @cached_property
    def calibration(self) -> Calibration:
        """How the logits of all views become probabilities, fitted to these pictures."""
        return fit_calibration(self.all.numpy(), self.targets, "platt")


@dataclass(frozen=True)
class Rung:
    """What looking at so many tiles gives."""

    threshold: float
    """Need above which a tile is looked at."""
    views: float
    """Views a picture, the whole image among them."""
    measured: float
    """Points of mAP below all views, by the targets."""
    expected: float
    """The same, to be expected if the probabilities with all views are right. It is never below 0,
    and depends less on which pictures there are."""

    @property
    def lost(self) -> float:
        """Points of mAP that are to be feared lost: the larger of both."""
        return max(self.measured, self.expected)


def fit_views(
    run: Path,
    *,
    within: float,
    most: float | None,
    split: str,
    root: str,
    data: Data | AnyPath | None,
    batch_size: int | None,
    quiet: bool,
) -> ViewsSaved | None:
    """Fit which tiles a model needs to look at, and write it; arguments are those of `calibrate`.

    It takes the fewest tiles whose mAP is `within` points of that of all views, or with `most` so
    many views a picture. If that saves too little, the model looks at all views and the result is
    None. Raises ConfigError for a model without tiles and for an ensemble, and
    DataError for too few pictures.
    """
    info = read_info(run)
    require_single(info, run, "--views needed")
    _check(info, most)
    data, batch_size = data_set(run, data, root, batch_size, quiet=quiet)
    samples = load_split_for(data, split or data.val, info.labels)
    model = load_model(run)
    model.needed = None
    seen = look(run, model, for_data(info, data), samples, data, batch_size, quiet=quiet)
    change = changes(seen)
    rungs = ladder(model, seen, crossfitted(seen.statistics, change))
    chosen = choose(rungs, within=within, most=most)
    if not quiet:
        show(rungs, chosen, within=within, most=most)
    if most is None and chosen.views > WORTH * model.crops.views:
        drop_views(run)
        if not quiet:
            tell("that saves too little, so the model looks at all views")
        return None
    saved = ViewsSaved(
        mean=round(chosen.views, 4),
        all=model.crops.views,
        lost=round(chosen.lost, 4),
        source=f"cross-fitted on {len(seen.all):,} pictures of {samples.name}",
    )
    model.needed = with_threshold(fit_need(seen.statistics, change), chosen.threshold)
    ModelFolder.at(run).save(model.cpu(), replace(info, views=saved, rounding=None))
    return saved


def drop_views(run: Path) -> None:
    """Let a model look at all views again."""
    info = read_info(run)
    if info.views is not None:
        model = load_model(run)
        model.needed = None
        ModelFolder.at(run).save(model, replace(info, views=None, rounding=None))


def _check(info: ModelInfo, most: float | None) -> None:
    level = info.model.crop_level
    if level == 0:
        raise ConfigError(
            "--views needed: expected a model that cuts pictures into tiles, got one with "
            "--model.crop_level 0. Leave it out."
        )
    if info.test_time:
        raise ConfigError(
            "--views needed: expected a model without test-time augmentation, got one with "
            f"{', '.join(info.test_time)}. Take it out first: lcnet calibrate MODEL --tta none"
        )
    if most is not None and not 1 <= most <= level**2 + 1:
        raise ConfigError(
            f"--most_views: expected 1 to {level**2 + 1}, the views of this model, got {most:g}."
        )


# What the model sees


@torch.inference_mode()
def look(
    run: Path,
    model: Classifier,
    info: ModelInfo,
    samples: Split,
    data: Data,
    batch_size: int,
    *,
    quiet: bool,
) -> Seen:
    """What a model makes of a split, or of as many of its pictures as fit into the memory."""
    device = usual_device()
    normalize = Normalize(info.preprocessing).to(device)
    model.to(device).eval()
    some = _sampled(model, info, samples)
    features = kept_features(run, model, info, some)
    kept = features is not None
    pictures = kept_or_opened(features, some, data, info, quiet=quiet)
    loader = eval_loader(pictures, batch_size=batch_size, workers=0 if kept else data.workers)
    parts, targets = [], []
    for images, of_batch in track(loader, f"Looking at {samples.name}", len(loader), quiet=quiet):
        images = images.to(device)
        shown = images.float() if kept else model.maps(normalize(images))
        parts.append([each.cpu() for each in _with_each_tile(model, shown)])
        targets.append(of_batch.to(torch.int8))
    maps, statistics, every, none, alone, without = (
        torch.cat(each) for each in zip(*parts, strict=True)
    )
    return Seen(maps, statistics, every, none, alone, without, torch.cat(targets).numpy())


def _sampled(model: Classifier, info: ModelInfo, samples: Split) -> Split:
    channels, side = info.model.channels, info.preprocessing.size
    image = torch.zeros(1, channels, side, side, device=next(model.parameters()).device)
    most = max(1, MOST_BYTES // (2 * model.maps(image).numel()))
    if len(samples) <= most:
        return samples
    return samples.chosen(np.sort(np.random.default_rng(0).permutation(len(samples))[:most]))


def _with_each_tile(model: Classifier, maps: Tensor) -> Iterator[Tensor]:
    """The fields of `Seen` for the maps of some pictures (B V C h w)."""
    whole, seen = maps[:, -1], maps[:, :-1]
    tiles = filled(whole, model.crops.level)

    def score(of_tiles: Tensor) -> Tensor:
        return model.scored(torch.cat([of_tiles, whole[:, None]], dim=1))

    def changed(before: Tensor, after: Tensor, tile: int) -> Tensor:
        return torch.cat([before[:, :tile], after[:, tile : tile + 1], before[:, tile + 1 :]], 1)

    yield maps.half()
    yield statistics_of(tiles, whole)
    yield score(seen)
    yield score(tiles)
    count = range(tiles.shape[1])
    yield torch.stack([score(changed(tiles, seen, tile)) for tile in count], dim=1)
    yield torch.stack([score(changed(seen, tiles, tile)) for tile in count], dim=1)


def changes(seen: Seen) -> Tensor:
    """How much a look at each tile changes the labels' probabilities, N V-1.

    The sum over labels of the change by the tile alone and by the last tile, each in shares of how
    often the model expects the label, so that a rare label counts as much as a frequent one.
    """

    def probabilities(logits: Tensor) -> Tensor:
        return torch.from_numpy(to_probabilities(logits.numpy(), seen.calibration))

    every, none = probabilities(seen.all), probabilities(seen.none)
    alone = (probabilities(seen.alone) - none[:, None]).abs()
    last = (every[:, None] - probabilities(seen.without)).abs()
    return ((alone + last) / 2 / every.mean(dim=0).clamp_min(1e-6)).mean(dim=-1)


# How many tiles


@torch.inference_mode()
def ladder(model: Classifier, seen: Seen, need: Tensor) -> list[Rung]:
    """What the most needed tiles give, for more and more of them. `need` is N V-1."""
    tiles = SHARES * (model.crops.views - 1)
    tried = thresholds(need.numpy(), tiles)
    parts = [
        _at_thresholds(model, maps.float(), some, tried)
        for maps, some in zip(seen.maps.split(32), need.split(32), strict=True)
    ]
    truth = calibrated(seen)
    whole = _mean_ap(seen.all, seen.targets)
    ideal = expected_mean_ap(seen.all.numpy(), truth)
    return [
        Rung(
            threshold,
            1 + float((need > threshold).sum()) / len(need),
            whole - _mean_ap(logits, seen.targets),
            ideal - expected_mean_ap(logits.numpy(), truth),
        )
        for threshold, logits in zip(tried, torch.cat(parts, dim=1), strict=True)
    ]


def _at_thresholds(model: Classifier, maps: Tensor, need: Tensor, tried: Sequence[float]) -> Tensor:
    """The logits with each threshold, K B L."""
    device = next(model.parameters()).device
    maps, need = maps.to(device), need.to(device)
    whole = maps[:, -1:]
    tiles = filled(whole[:, 0], model.crops.level)
    logits = []
    for threshold in tried:
        shown = blended(tiles, maps[:, :-1], above(need, threshold))
        logits.append(model.scored(torch.cat([shown, whole], dim=1)).cpu())
    return torch.stack(logits)


def calibrated(seen: Seen) -> NDArray[np.float32]:
    """The probabilities with all views (N L), calibrated on these pictures."""
    return to_probabilities(seen.all.numpy(), seen.calibration)


def _mean_ap(logits: Tensor, targets: Targets) -> float:
    return mean_ap(to_probabilities(logits.numpy()), targets)


def choose(rungs: Sequence[Rung], *, within: float, most: float | None) -> Rung:
    """The fewest views that lose at most `within` points, as do all numbers of views above it.

    With `most`, the most views that are not more than it.
    """
    if most is not None:
        return max((one for one in rungs if one.views <= most + 1e-9), key=lambda one: one.views)
    chosen = rungs[-1]
    for rung in reversed(rungs):
        if rung.lost > within:
            break
        chosen = rung
    return chosen


def show(rungs: Sequence[Rung], chosen: Rung, *, within: float, most: float | None) -> None:
    """Print what each number of views gives."""
    table = Table("views a picture", "mAP against all", "expected")
    for column in table.columns:
        column.justify = "right"
    for rung in rungs:
        style = "bold" if rung is chosen else ""
        row = (f"{rung.views:.2f}", f"{-rung.measured:+.2f}", f"{-rung.expected:+.2f}")
        table.add_row(*row, style=style)
    console = Console(highlight=False, markup=False)
    console.print(table)
    aim = f"within {within:g} mAP" if most is None else f"at most {most:g} views"
    console.print(
        f"{aim}: {chosen.views:.2f} of {rungs[-1].views:.0f} views a picture, mAP "
        f"{-chosen.measured:+.2f} against all on these pictures, to be expected "
        f"{-chosen.expected:+.2f} of new ones (needs by what {FOLDS - 1} of {FOLDS} parts gave)",
        soft_wrap=True,
    )
