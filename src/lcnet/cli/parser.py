"""A parser with one-line errors, and the --config flag."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

import yaml
from jsonargparse import ActionConfigFile, ArgumentParser  # type: ignore[attr-defined]

from lcnet.cli.help import Help, by_subject
from lcnet.cli.mistakes import counted, elsewhere, missing_words, too_many_words, unknown_verb
from lcnet.config import MOVED, Config, config_file, in_words, with_new_names
from lcnet.config.plain_yaml import read_yaml
from lcnet.errors import ConfigError


class Parser(ArgumentParser):
    """A parser whose errors are one line and name the nearest flag."""

    words: Sequence[str] = ()
    """The words of the command, to quote them."""
    verb = ""
    """The verb among them; empty if there is none."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **{"formatter_class": Help, **named})

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise ConfigError with the message as one line."""
        verbs = self._subcommands_action.choices if self._subcommands_action else {}
        of_verb = verbs[self.verb]._actions if self.verb in verbs else self._actions
        text = counted(in_words(message, self, prefix="--"))
        head, _, unknown = text.partition("unrecognized arguments: ")
        said = unknown_verb(text, verbs) or missing_words(text, self.verb, of_verb, self.words)
        if unknown and not head:
            said = too_many_words(unknown, self.verb, self.words) or elsewhere(unknown, self.verb)
        if said:
            raise ConfigError(said)
        if unknown and not head:
            near = self._nearest(unknown.split()[0].split("=")[0])
            text += f". Did you mean {near}?" if near else "."
        raise ConfigError(f"{text} (lcnet VERB --help lists all flags)")

    def _nearest(self, flag: str) -> str:
        """The most similar flag, or empty; a setting's former name gives its current flag."""
        if moved := MOVED.get(flag.removeprefix("--")):
            return f"--{moved}"
        return next(iter(get_close_matches(flag, self.flags(), n=1)), "")

    def flags(self) -> list[str]:
        """Every flag of this parser and of its verbs."""
        verbs = self._subcommands_action.choices.values() if self._subcommands_action else ()
        own = [flag for action in self._actions for flag in action.option_strings]
        return own + [flag for verb in verbs for flag in verb.flags()]


class SettingsParser(Parser):
    """A parser with all settings; its help shows the main ones first."""

    def format_help(self, *arguments: Any) -> str:
        """The help with flags by subject; the parser itself stays as it is."""
        groups = self._action_groups
        self._action_groups = by_subject(self._actions)
        try:
            return super().format_help(*arguments)
        finally:
            self._action_groups = groups


class ConfigFile(ActionConfigFile):
    """`--config`: settings as `Config.load` reads them, with its checks and its messages."""

    def __call__(self, parser: Any, namespace: Any, file: Any, flag: str | None = None) -> None:
        """Take the settings; raises ConfigError if the file is missing or has a wrong setting."""
        splits = Config.load(file).data.splits
        settings = with_new_names(read_yaml(config_file(file)) or {})
        if splits:  # beside the file, not where one stands
            settings["data"] = {**settings["data"], "splits": splits}
        super().__call__(parser, namespace, yaml.safe_dump(settings), flag)  # type: ignore[no-untyped-call]
