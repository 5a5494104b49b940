"""The settings that `lcnet tune` can search, and in which range around the values given."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lcnet.config import Config, by_name
from lcnet.errors import ConfigError

DECIMALS = 3
"""Digits of a searched number, so that a config can be read."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`; the given value is among them."""

    low: float
    high: float
    is_log: bool = False
    is_whole: bool = False

    def around(self, value: float) -> "Range":
        """The range, made wider where it leaves out a value."""
        low, high = min(self.low, value), max(self.high, value)
        return Range(low, high, self.is_log and low > 0, self.is_whole)


@dataclass(frozen=True)
class Choice:
    """One of a few values; the given value is among them."""

    values: tuple[Any, ...]

    def around(self, value: Any) -> "Choice":
        """The choice, with a value that it leaves out."""
        return self if value in self.values else Choice((*self.values, value))


def _factors(low: float, high: float, *, is_whole: bool = False) -> Callable[[float], Range]:
    """Numbers from the given one times `low` to the given one times `high`."""

    def of(value: float) -> Range:
        least, most = value * low, value * high
        if is_whole:
            least, most = max(1, round(least)), round(most)
        return Range(least, most, is_log=True, is_whole=is_whole)

    return of


def _is_lcnet(config: Config) -> bool:
    return config.model.head == "lcnet"


def _sees_pictures(config: Config) -> bool:
    """Whether the images of an epoch may be others than those of the epoch before."""
    return not config.train.cache_features


@dataclass(frozen=True)
class Setting:
    """A setting that can be searched."""

    range: Callable[[Any], Range | Choice]
    """From the value that is given to those that are tried."""
    has_effect: Callable[[Config], bool] = lambda config: True
    """Whether a config uses the setting."""


SETTINGS: Mapping[str, Setting] = {
    "train.lr": Setting(_factors(0.1, 10)),
    "train.weight_decay": Setting(Range(1e-3, 10, is_log=True).around),
    "train.epochs": Setting(_factors(0.5, 2, is_whole=True)),
    "train.gamma_neg": Setting(Range(0, 6).around),
    "train.loss_clip": Setting(Range(0, 0.2).around),
    "train.label_smoothing": Setting(Range(0, 0.2).around),
    "train.ema_decay": Setting(Choice((0.99, 0.997, 0.9997)).around),
    "train.decoder_lr_factor": Setting(
        Range(0.1, 3, is_log=True).around,
        lambda config: _is_lcnet(config) and config.model.pooling != "none",
    ),
    "train.backbone_lr_factor": Setting(
        Range(0.03, 1, is_log=True).around, lambda config: config.train.backbone_lr_factor > 0
    ),
    "train.mixup": Setting(
        Range(0, 0.5).around,
        lambda config: _sees_pictures(config) and config.train.unknown in ("ignore", "negative"),
    ),
    "train.randaugment": Setting(
        Range(0, 15, is_whole=True).around,
        lambda config: _sees_pictures(config) and config.model.channels in (1, 3),
    ),
    "train.cutout": Setting(Range(0, 0.6).around, _sees_pictures),
    "train.min_scale": Setting(Range(0.3, 1).around, _sees_pictures),
    "model.depth": Setting(Range(1, 2, is_whole=True).around, _is_lcnet),
    "model.width": Setting(
        Choice((64, 128, 256)).around,
        lambda config: _is_lcnet(config) and 64 % config.model.heads == 0,
    ),
    "model.dropout": Setting(Range(0, 0.5).around, _is_lcnet),
}
"""By the setting's name, in the order in which they are shown."""


def space(config: Config, names: Sequence[str]) -> dict[str, Range | Choice]:
    """What is tried of each setting named; of all that the config uses if none is named.

    Raises ConfigError for a name that cannot be searched, or that has no effect in this config.
    """
    for name in names:
        if name not in SETTINGS:
            raise ConfigError(
                f"--settings: expected of {', '.join(SETTINGS)}, got {name!r}. Leave it out, or "
                "compare some values of it with: lcnet compare --variants"
            )
        if not SETTINGS[name].has_effect(config):
            raise ConfigError(
                f"--settings: {name} cannot be searched with the other settings given, as it has "
                "no effect or does not go with them. Leave it out."
            )
    given = given_values(config)
    chosen = names or [name for name in SETTINGS if SETTINGS[name].has_effect(config)]
    return {name: SETTINGS[name].range(given[name]) for name in chosen}


def given_values(config: Config) -> dict[str, Any]:
    """The values that the config gives to all that can be searched."""
    values = by_name(asdict(config))
    return {name: values[name] for name in SETTINGS}


def shortened(value: float) -> float:
    """A number with few digits."""
    return float(f"{value:.{DECIMALS}g}")
