"""Which settings of a model a command gives, whatever their values."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from lcnet.config import Config, Model, by_name, config_file, with_new_names
from lcnet.config.plain_yaml import read_yaml

FLAG = "--model"


def model_settings(words: Sequence[str]) -> set[str]:
    """The names of the model's settings in the flags and config files of a command.

    A config file with nothing but defaults of the model gives none of them, since a config that was
    written whole has them all.
    """
    usual = by_name(asdict(Model()))
    given: set[str] = set()
    for flag, value in flags_of(words):
        if flag == FLAG:  # all of them at once
            given |= usual.keys()
        elif flag.startswith(f"{FLAG}."):
            name = flag.removeprefix(f"{FLAG}.")
            given |= {one for one in usual if one == name or one.startswith(f"{name}.")}
        elif flag == "--config":
            content = with_new_names(read_yaml(config_file(value)) or {})
            settings = by_name(content.get("model") or {})
            if any(setting != usual.get(name) for name, setting in settings.items()):
                given |= settings.keys()
    return given


def settings_given(words: Sequence[str]) -> set[str]:
    """The names of all settings in the flags of a command, such as `train.lr`.

    Of a config file they are those that differ from the defaults, since a config that was written
    whole has them all.
    """
    usual = by_name(asdict(Config()))
    given: set[str] = set()
    for flag, value in flags_of(words):
        name = flag.removeprefix("--")
        given |= {one for one in usual if one == name or one.startswith(f"{name}.")}
        if flag == "--config":
            settings = by_name(with_new_names(read_yaml(config_file(value)) or {}))
            given |= {one for one in settings if one in usual and settings[one] != usual[one]}
    return given


def flags_of(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each flag with what is joined to it by =, or else with the next word."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word.startswith("--"):
            flag, is_joined, value = word.partition("=")
            yield flag, value if is_joined else following
