"""`lcnet --print_completion SHELL`: a script with which a shell completes verbs, flags and values.

The script holds all of them, so that no Python starts when a user presses Tab.
"""

from argparse import SUPPRESS, Action, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from jsonargparse import ArgumentParser

from lcnet.bounds import members
from lcnet.config import type_of

SHELLS = ("bash", "zsh", "fish", "tcsh")
PATHS = ("data.root", "data.train", "data.val", "data.test")
"""Settings that are texts, and mostly paths."""


class PrintCompletion(Action):
    """Prints the script for a shell, and ends the command."""

    def __init__(self, *arguments: Any, whole: Callable[[], ArgumentParser], **named: Any) -> None:
        super().__init__(*arguments, **{**named, "choices": SHELLS, "default": SUPPRESS})
        self._whole = whole

    def __call__(
        self, parser: Any, namespace: Namespace, shell: Any, flag: str | None = None
    ) -> None:
        """Print the script of the parser with all verbs' flags."""
        print(completion_script(self._whole(), shell))
        parser.exit()


def completion_script(parser: ArgumentParser, shell: str) -> str:
    """The script for a shell. Changes the parser, which must not parse afterwards."""
    import shtab  # here, since no other command needs it

    _prepare(parser)
    script: str = shtab.complete(parser, shell)
    return script


def _prepare(parser: ArgumentParser) -> None:
    """Say of each flag which values the shell may offer: files, or the few allowed ones."""
    import shtab

    for action in parser._actions:
        # Without the form that adds to a list, which nobody types.
        action.option_strings = [flag for flag in action.option_strings if flag[-1] != "+"]
        kinds = members(type_of(action))
        if action.dest == "config" or Path in kinds or action.dest in PATHS:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.choices is None and (words := _words(kinds)):
            action.choices = words
    verbs = parser._subcommands_action
    for verb in verbs.choices.values() if verbs else ():
        _prepare(verb)


def _words(kinds: Any) -> list[str]:
    """The values that a type allows, where it names them."""
    named = [word for kind in kinds if _is_literal(kind) for word in get_args(kind)]
    flags = ["true", "false"] if bool in kinds else []
    return [str(word) for word in named if word != ""] + flags


def _is_literal(kind: Any) -> bool:
    return get_origin(kind) is Literal
