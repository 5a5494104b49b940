"""The settings of a whole run, and how they are read from and written to files."""

import re
from argparse import Action, ArgumentError
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from difflib import get_close_matches
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from jsonargparse import ArgumentParser, set_parsing_settings

from lcnet.bounds import LIST, described, require
from lcnet.config.data import Data
from lcnet.config.model import Model
from lcnet.config.moved import MOVED, with_former_defaults, with_new_names
from lcnet.config.named import config_file
from lcnet.config.plain_yaml import read_yaml
from lcnet.config.recipe import Train
from lcnet.errors import ConfigError
from lcnet.files import write_text


@dataclass(frozen=True)
class Config:
    """A whole run: model, data and training recipe."""

    model: Model = field(default_factory=Model)
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=Train)

    def __post_init__(self) -> None:
        require(
            not self.train.randaugment or self.model.channels in (1, 3),
            "train.randaugment",
            expected=f"0 for pictures of {self.model.channels} channels, as it takes 1 or 3",
            got=self.train.randaugment,
        )
        require(
            not self.train.drop_views or self.model.crop_level > 0,
            "train.drop_views",
            expected="0 with --model.crop_level 0, which has no tiles",
            got=self.train.drop_views,
        )

    @classmethod
    def load(cls, file: Path | str, *, of_run: bool = False) -> "Config":
        """The config in a YAML file, with defaults for missing settings.

        With `of_run` all settings were written, and one that is missing is of an older lcnet, which
        had no choice there. `file` may also be the name of one that comes with lcnet, such as
        `digits`. `data.splits` is relative to the file's folder. Raises ConfigError if the file is
        missing, is not YAML, or has an unknown key or a bad value.
        """
        file = config_file(file)
        fields = read_yaml(Path(file)) or {}
        if of_run and isinstance(fields, Mapping):
            fields = with_former_defaults(fields)
        config = parse_config(fields, str(file))
        splits = config.data.splits
        return config._with_splits(str(Path(file).parent / splits)) if splits else config

    def save(self, file: Path) -> None:
        """Write all settings as YAML, for `load`."""
        splits = Path(self.data.splits)
        inside = bool(self.data.splits) and splits.parent.resolve() == file.parent.resolve()
        kept = splits.name if inside else str(splits.absolute()) if self.data.splits else ""
        write_text(file, yaml.safe_dump(asdict(self._with_splits(kept)), sort_keys=False))

    def _with_splits(self, splits: str) -> "Config":
        return replace(self, data=replace(self.data, splits=splits))

    def changed(self, changes: Mapping[str, Any], where: str = "config") -> "Config":
        """The config with other values for some settings, named as their flags: `model.depth`.

        `where` and ConfigError are as for `parse_config`.
        """
        settings = by_name(asdict(self))
        current = {MOVED.get(name, name): value for name, value in changes.items()}
        _check_keys(current, settings, where, "")
        return parse_config(_nested(settings | current), where)


SECTIONS: dict[str, type] = {"model": Model, "data": Data, "train": Train}


def by_name(fields: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one flat dictionary, with flag names such as `model.depth` as keys."""
    flat: dict[str, Any] = {}
    for key, value in fields.items():
        name = f"{prefix}{key}"
        flat |= by_name(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return flat


def _nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `by_name`."""
    whole: dict[str, Any] = {}
    for name, value in settings.items():
        *path, last = name.split(".")
        section = whole
        for key in path:
            section = section.setdefault(key, {})
        section[last] = value
    return whole


def config_parser(kind: type[ArgumentParser] = ArgumentParser) -> ArgumentParser:
    """A parser of the given kind with a flag for every setting."""
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = kind(exit_on_error=False)
    for name, section in SECTIONS.items():
        parser.add_class_arguments(section, name)
    return parser


_plain_parser = cache(config_parser)


MISFIT = re.compile(r'Parser key "([^"]+)": .*(?:Got|Given) value: ?(.*)')


def in_words(message: str, parser: ArgumentParser, *, prefix: str = "") -> str:
    """A parser's error message as one plain line; `prefix` goes before the setting's name."""
    text = " ".join(message.split())
    hints = {action.dest: type_of(action) for action in parser._actions}
    misfit = MISFIT.fullmatch(text)
    if misfit and misfit[1] in hints:
        name, value = misfit.groups()
        expected = described(hints[name])
        one = f". Write '[{value}]'" if expected == LIST and value and value[0] not in "[{" else ""
        return f"{prefix}{name}: expected {expected}, got {value or 'nothing'}{one}"
    return text.replace('Parser key "', prefix).replace('":', ":")


def type_of(action: Action) -> Any:
    """The declared type of a flag's value."""
    return getattr(action, "_typehint", None) or action.type or str


def parse_config(fields: Mapping[str, Any], where: str) -> Config:
    """The config with the given fields; `where` names their source in error messages.

    Settings may have their former names. Raises ConfigError if a key is unknown (the message names
    the nearest known one) or a value does not fit.
    """
    if not isinstance(fields, Mapping):
        raise ConfigError(f"{where}: expected the keys model, data and train, got {fields!r}.")
    fields = with_new_names(fields)
    _check_settings(fields, SECTIONS, where)
    return deepcopy(_parsed(_Fields(repr(fields), fields), where))


@dataclass(frozen=True)
class _Fields:
    """Settings that are the same if they are written the same."""

    text: str
    fields: Mapping[str, Any] = field(compare=False)


@lru_cache(maxsize=32)  # a run reads its config several times, which takes a third of a second each
def _parsed(given: _Fields, where: str) -> Config:
    """What `parse_config` says, of fields that are checked already."""
    parser = _plain_parser()
    try:
        parsed = parser.parse_object(dict(given.fields))
    except ArgumentError as error:
        raise ConfigError(f"{where}: {in_words(str(error), parser)}") from None
    sections = parser.instantiate(parsed)
    return Config(**{name: sections[name] for name in SECTIONS})


def _check_settings(
    settings: Mapping[str, Any], known: Mapping[str, Any], where: str, prefix: str = ""
) -> None:
    """Raises ConfigError for an unknown name, and for a section that holds no settings."""
    _check_keys(settings, known, where, prefix)
    for name, value in settings.items():
        if is_dataclass(kind := known[name]):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{where}: {prefix}{name}: expected settings, got {value!r}.")
            _check_settings(value, get_type_hints(kind), where, f"{prefix}{name}.")


def _check_keys(keys: Iterable[str], known: Iterable[str], where: str, prefix: str) -> None:
    for key in keys:
        if key not in known:
            near = get_close_matches(str(key), known, n=1)
            hint = f"Did you mean {prefix}{near[0]}?" if near else f"Known: {', '.join(known)}."
            raise ConfigError(f"{where}: no setting is called {prefix}{key}. {hint}")
