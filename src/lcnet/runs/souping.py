"""The greedy average of several runs' weights ("model soup"), measured on their validation split.

Source: Wortsman et al. 2022, arXiv 2203.05482, recipe 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lcnet.config import Data
from lcnet.data.dataset import Split
from lcnet.data.loading import eval_loader
from lcnet.data.pictures import eval_pictures
from lcnet.data.readers import load_split_for
from lcnet.errors import ConfigError
from lcnet.evaluating.after_training import fitted_by_itself
from lcnet.evaluating.measuring import Scored, score_batches
from lcnet.files import is_free
from lcnet.metrics.bootstrap import mean_ap
from lcnet.metrics.calibration import to_probabilities
from lcnet.model.classifier import Classifier
from lcnet.model_folder import ModelFolder, ModelInfo, for_data, load_model, model_of, read_info
from lcnet.progress import tell
from lcnet.run_folder import RunFolder
from lcnet.runs.record import IN_MEMORY

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Soup:
    """What `lcnet soup` has made."""

    runs: tuple[Path, ...]
    """The runs whose weights are in the model; a single one if no average was better."""
    mAP: float
    """The model's validation mAP, 0 to 100. It is a little too good: the runs were chosen by it."""
    best_single: float
    """That of the best single run."""


@dataclass(frozen=True)
class Ingredient:
    """A run's model and how good it is by itself."""

    run: Path
    weights: Weights
    mAP: float


def average_runs(runs: Sequence[Path], out: Path, *, root: str = "") -> Soup:
    """Write the greedy average of runs; arguments and errors are those of `soup.soup`."""
    if not is_free(out):
        raise ConfigError(f"--out {out}: already there. Choose another folder.")
    info = _common(runs)
    config = RunFolder(runs[0]).config()
    data = replace(config.data, root=root or config.data.root)
    info = for_data(info, data)
    validation = load_split_for(data, data.val, info.labels)
    kitchen = _Kitchen(info, data, validation, config.train.batch)
    ingredients = [_measured(kitchen, run) for run in runs]
    ingredients.sort(key=lambda one: one.mAP, reverse=True)  # equal ones stay in the given order
    chosen, mean, value = _greedy(kitchen, ingredients)
    best = ingredients[0]
    if len(chosen) == 1:
        # Its own description: it may be calibrated.
        model, info = load_model(best.run), read_info(best.run)
        tell(
            f"no average is better than the best single run, {best.run} ({best.mAP:.2f}), so that "
            "is what was written"
        )
    else:
        model = model_of(info, mean)
        info = info.uncalibrated()
        tell(
            f"average of {len(chosen)} of {len(runs)} runs: validation mAP {value:.2f}, the best "
            f"single run {best.mAP:.2f}. Both are a little too good, as they were picked on "
            f"{data.val}."
        )
    ModelFolder(out).save(model, info)
    if len(chosen) > 1:
        kitchen.calibrate(out, model)
    tell(f"model folder: {out}")
    return Soup(tuple(one.run for one in chosen), value, best.mAP)


@dataclass(frozen=True)
class _Kitchen:
    """What measures weights: the architecture and the validation pictures."""

    info: ModelInfo
    data: Data
    validation: Split
    batch_size: int

    def measure(self, model: Classifier) -> float:
        """The validation mAP of a model, 0 to 100."""
        logits, targets = self._scores(model)
        return mean_ap(to_probabilities(logits), targets)

    def calibrate(self, folder: Path, model: Classifier) -> None:
        """Fit probabilities and thresholds of the model in a folder, as training does."""
        fitted_by_itself(
            Scored(folder, self.info, self.data, self.validation, *self._scores(model))
        )

    def _scores(self, model: Classifier) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
        pictures = eval_pictures(self.validation, self.data, self.info.preprocessing, quiet=True)
        loader = eval_loader(pictures, batch_size=self.batch_size, workers=self.data.workers)
        return score_batches(model.eval(), loader, self.info.preprocessing)


def _measured(kitchen: _Kitchen, run: Path) -> Ingredient:
    model = load_model(run)
    model.see(())
    model.evidence = model.needed = model.class_means = None  # fitted to one run
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    value = kitchen.measure(model)
    tell(f"{run}: validation mAP {value:.2f}")
    return Ingredient(run, weights, value)


def _greedy(
    kitchen: _Kitchen, ingredients: Sequence[Ingredient]
) -> tuple[list[Ingredient], Weights, float]:
    """The runs that are taken, their mean weights, and its validation mAP."""
    chosen, mean, value = [ingredients[0]], ingredients[0].weights, ingredients[0].mAP
    for one in ingredients[1:]:
        tried = mean_weights([each.weights for each in (*chosen, one)])
        found = kitchen.measure(model_of(kitchen.info, tried))
        is_better = found > value
        tell(f"with {one.run}: {found:.2f}, {'taken' if is_better else 'left out'}")
        if is_better:
            chosen, mean, value = [*chosen, one], tried, found
    return chosen, mean, value


def mean_weights(models: Sequence[Weights]) -> dict[str, Tensor]:
    """The mean of models' weights and buffers by name; whole numbers are those of the first.

    Running statistics of batch norms are averaged too, and not computed again.
    """
    means = {}
    for name, first in models[0].items():
        if first.is_floating_point():
            total = torch.stack([weights[name].double() for weights in models])
            means[name] = total.mean(dim=0).to(first.dtype)
        else:
            means[name] = first
    return means


def _common(runs: Sequence[Path]) -> ModelInfo:
    """What the runs' models have in common. Raises ConfigError if they cannot be averaged."""
    if len({run.resolve() for run in runs}) < max(2, len(runs)):
        raise ConfigError(
            f"runs: expected two different runs or more, got {' '.join(map(str, runs))}. "
            "Name more runs."
        )
    for run in runs:
        if not (folder := RunFolder(run)).is_run:
            raise ConfigError(f"{run}: expected the folder of a run, got none. Leave it out.")
        if not folder.is_finished:
            raise ConfigError(f"{run}: this run is not finished. {folder.continuation}")
    facts = [_facts(run) for run in runs]
    for run, found in zip(runs[1:], facts[1:], strict=True):
        for what, value in facts[0].items():
            if found[what] != value:
                raise ConfigError(
                    f"{run}: expected {what} as in {runs[0]}, since only such runs can be "
                    f"averaged{_shown(value, found[what])}. Leave it out."
                )
    return read_info(runs[0]).uncalibrated()


def _facts(run: Path) -> dict[str, object]:
    """What must be the same in all runs, from words to values."""
    info, record, config = read_info(run), RunFolder(run).record(), RunFolder(run).config()
    init, seen = record.get("init"), record.get("data", {})
    if init is None or init == IN_MEMORY:
        raise ConfigError(
            f"{run}: its run.json does not say from which weights it started, so it cannot be "
            "averaged with others. Leave it out."
        )
    names = (config.data.train, config.data.val)
    start: object = init or f"train.seed {config.train.seed}"
    return {
        "the labels": info.labels,
        "the model's settings": info.model,
        "the model's head": dict(info.head_options),
        "the backbone": info.backbone,
        "the preparation of pictures": info.preprocessing,
        "the training and validation pictures": [seen.get(name) for name in names],
        "the start": start,
    }


def _shown(expected: object, got: object) -> str:
    """Both values, if they are short texts."""
    both = isinstance(expected, str) and isinstance(got, str)
    return f" (expected {expected}, got {got})" if both else ""
