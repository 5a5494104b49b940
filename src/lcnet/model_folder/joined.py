"""Several trained models as one, whose logits are the mean of theirs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from lcnet.errors import ConfigError
from lcnet.model.classifier import Classifier
from lcnet.model.ensemble import Ensemble
from lcnet.model.members import MOST_MEMBERS, Member
from lcnet.model_folder import ModelInfo, load_model, read_info

SHOWN = 5
"""Most labels that a message names."""
WORDS = {
    "size": "side in pixels (crop_level times view_size)",
    "mean": "mean of the pixels",
    "std": "standard deviation of the pixels",
    "interpolation": "interpolation",
    "fit": "fit",
    "pixel_range": "pixel range",
}
"""The fields of `Preprocessing` in words."""
_SAME = "Leave one out, or train it with the same --model.pixel_statistics."
ADVICE = {"mean": _SAME, "std": _SAME}
"""What to do if models differ in a field, where more than leaving one out helps."""


@dataclass(frozen=True)
class Joined:
    """Models that can be one; `join` makes it."""

    paths: tuple[Path, ...]
    infos: tuple[ModelInfo, ...]
    info: ModelInfo
    """The description of the ensemble, which is not calibrated."""

    def load(self) -> Classifier:
        """The ensemble, on the CPU and in evaluation mode. Raises as `load_model` does."""
        members = [load_model(path) for path in self.paths]
        for member in members:
            member.evidence = member.needed = None  # fitted to its own logits
        orders = [member.order(self.info.labels) for member in self.info.members]
        ensemble = Ensemble(members, orders)
        ensemble.see(self.info.test_time)
        return ensemble.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def join(paths: Sequence[Path]) -> Joined:
    """The description of the models' mean.

    Raises ConfigError if they have other labels or see other pictures, and CheckpointError if one
    cannot be read.
    """
    if not 2 <= len(paths) <= MOST_MEMBERS:
        raise ConfigError(
            f"ensemble: expected 2 to {MOST_MEMBERS} models, got {len(paths)}. Name each run."
        )
    for number, path in enumerate(paths):
        if path.resolve() in [other.resolve() for other in paths[:number]]:
            raise ConfigError(f"ensemble: {path} is given twice. Name each model once.")
    infos = tuple(map(read_info, paths))
    for path, info in zip(paths, infos, strict=True):
        if info.members:
            raise ConfigError(
                f"ensemble: {path} is an ensemble itself. Name the models that it was made of."
            )
        _check(paths[0], infos[0], path, info)
    return Joined(tuple(paths), infos, _described(paths, infos))


def _described(paths: Sequence[Path], infos: Sequence[ModelInfo]) -> ModelInfo:
    first = infos[0].uncalibrated()
    members = tuple(
        Member(
            info.model,
            info.backbone,
            info.head_options,
            () if info.labels == first.labels else info.labels,
            str(path),
        )
        for path, info in zip(paths, infos, strict=True)
    )
    counts = {(info.labels, info.statistics) for info in infos}
    statistics = first.statistics if len(counts) == 1 else None
    ways = {info.test_time for info in infos}
    test_time = ways.pop() if len(ways) == 1 else ()
    rules = first.rules if all(info.rules == first.rules for info in infos) else None
    return replace(first, members=members, statistics=statistics, rules=rules, test_time=test_time)


def _check(first: Path, one: ModelInfo, second: Path, other: ModelInfo) -> None:
    """Raises ConfigError, naming what differs, if two models cannot be one."""
    own, others = set(one.labels), set(other.labels)
    if own != others:
        parts = [
            f"{path} has {_listed(names)}, which the other lacks"
            for path, names in ((first, own - others), (second, others - own))
            if names
        ]
        raise ConfigError(
            f"ensemble: expected models with the same labels, but {'; '.join(parts)}. Leave one of "
            f"{first} and {second} out."
        )
    mine, theirs = asdict(one.preprocessing), asdict(other.preprocessing)
    for name, value in mine.items():
        if value != theirs[name]:
            raise ConfigError(
                f"ensemble: expected models that see pictures alike, but the {WORDS[name]} is "
                f"{_shown(value)} in {first} and {_shown(theirs[name])} in {second}. "
                + ADVICE.get(name, "Leave one out.")
            )


def _listed(names: set[str]) -> str:
    shown = ", ".join(sorted(names)[:SHOWN])
    return shown + (f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else "")


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return "/".join(f"{number:g}" for number in value)
    return "not set" if value is None else str(value)
