"""A parser with one-line errors, and the --config flag."""

from difflib import get_close_matches
from typing import Any, NoReturn

from jsonargparse import ActionConfigFile, ArgumentParser  # type: ignore[attr-defined]

from lcnet.config import Config
from lcnet.errors import ConfigError


class Parser(ArgumentParser):
    """A parser whose errors are one line and name the nearest flag."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise ConfigError with the message as one line."""
        text = " ".join(message.split()).replace('Parser key "', "--").replace('":', ":")
        head, _, unknown = text.partition("unrecognized arguments: ")
        if unknown and not head:
            near = get_close_matches(unknown.split()[0].split("=")[0], self.flags(), n=1)
            text += f". Did you mean {near[0]}?" if near else "."
        raise ConfigError(f"{text} (lcnet VERB --help lists all)")

    def flags(self) -> list[str]:
        """Every flag of this parser and of its verbs."""
        verbs = self._subcommands_action.choices.values() if self._subcommands_action else ()
        own = [flag for action in self._actions for flag in action.option_strings]
        return own + [flag for verb in verbs for flag in verb.flags()]


class ConfigFile(ActionConfigFile):
    """`--config`: settings as `Config.load` reads them, with its checks and its messages."""

    def __call__(self, *arguments: Any, **named: Any) -> None:
        """Take the settings; raises ConfigError if the file has others or none."""
        Config.load(arguments[2])  # parser, namespace, the file
        super().__call__(*arguments, **named)  # type: ignore[no-untyped-call]
