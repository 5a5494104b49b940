"""What `--help` shows: flags by subject, with their allowed values in words."""

import textwrap
from argparse import SUPPRESS, Action
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import NoneType, SimpleNamespace
from typing import Any, Literal, get_args, get_origin

from jsonargparse import ActionConfigFile, DefaultHelpFormatter  # type: ignore[attr-defined]

from lcnet.bounds import allowed, members
from lcnet.config import type_of

FIRST = (
    *("data.format", "data.root", "data.train", "data.val", "data.test"),
    *("model.backbone", "model.pretrained", "model.crop_level", "model.view_size", "model.head"),
    *("train.epochs", "train.batch_size", "train.lr", "train.backbone_lr_factor"),
    *("train.cache_features", "train.seed"),
)
"""The settings that a user meets first, after the flags of the verb itself."""
SUBJECTS = {
    "data.images": "More about the data set",
    "data.table.picture": "How a table of labels is read",
    "model.backbone_weights": "More about backbone and views",
    "model.width": "The head of LCNet",
    "train.decoder_lr_factor": "Optimizer and schedule",
    "train.best_by": "Stopping and saving",
    "train.loss_factor": "Loss",
    "train.flip": "Augmentation",
    "train.nodes": "Several machines, and speed",
    "train.precision": "Several machines, and speed",
    "model.released.layer": "Parts of LCNet as released, only to reproduce it",
}
"""The other settings by subject: each subject starts with this field and goes on in field order."""
METAVARS = {int: "INT", float: "FLOAT", str: "TEXT", Path: "PATH"}
LONGEST_USAGE = 12
"""The usage lists the flags of a verb with at most this many."""


class Help(DefaultHelpFormatter):
    """Help in words: `(0 to 32, default: 2)` in place of types."""

    def add_usage(
        self, usage: str | None, actions: Iterable[Action], *arguments: Any, **named: Any
    ) -> None:
        """Show the usage, with `[flags]` where there are many."""
        actions = list(actions)
        self._prog = self._prog.replace(" [options]", "")
        if usage is None and len(actions) > LONGEST_USAGE:
            needed = [action for action in actions if action.option_strings and action.required]
            flags = [f"{action.option_strings[0]} {self._metavar(action)}" for action in needed]
            positional = [
                self._format_args(action, action.dest)
                for action in actions
                if not action.option_strings and action.help != SUPPRESS
            ]
            usage = " ".join([self._prog, *flags, "[flags]", *positional]).replace("%", "%%")
        super().add_usage(usage, actions, *arguments, **named)

    def _get_help_string(self, action: Action) -> str:
        """A flag's help, with its allowed values and its default."""
        if action.dest == "help":
            return "Show this help and exit."
        if not action.option_strings or isinstance(action, ActionConfigFile):
            return action.help or ""
        text = (action.help or "").replace("%%", "%")
        facts = [
            "required" if action.required else "",
            allowed(type_of(action)),
            "" if action.nargs == 0 else _default(action.default),
        ]
        shown = ", ".join(filter(None, facts))
        return f"{text} ({shown})" if shown else text

    def _format_action_invocation(self, action: Action) -> str:
        """The flag and its value, without the form that adds to a list."""
        shown = super()._format_action_invocation(action)
        if any(flag.endswith("+") for flag in action.option_strings):
            return shown.partition(", --")[0]
        return shown

    def _metavar_formatter(self, action: Action, default_metavar: str) -> Any:
        """The choices of a flag without the empty one and null, which nobody types."""
        shown = super()._metavar_formatter(action, default_metavar)

        def plain(size: int) -> tuple[str, ...]:
            return tuple(
                text and text.replace("{,", "{").replace(",null}", "}") for text in shown(size)
            )

        return plain

    def _get_default_metavar_for_optional(self, action: Action) -> str:
        return self._metavar(action)

    def _metavar(self, action: Action) -> str:
        """The placeholder for a flag's value: `INT`, or `INT|auto`."""
        if action.metavar is not None:
            return str(action.metavar)
        shown = [_metavar_of(kind) for kind in members(type_of(action)) if kind is not NoneType]
        return "|".join(filter(None, shown)) or action.dest.rpartition(".")[2].upper()

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)


def by_subject(actions: Sequence[Action]) -> list[Any]:
    """The flags of a parser with settings, in groups: first the main ones, then by subject."""
    settings = {action.dest: action for action in actions if "." in action.dest}
    own = [action for action in actions if "." not in action.dest and action.dest != "print_config"]
    rest = [action for action in actions if action.dest == "print_config"]
    groups: dict[str, list[Action]] = {title: [] for title in SUBJECTS.values()}
    title = next(iter(groups))
    for name, action in settings.items():
        title = SUBJECTS.get(name, title)
        if name not in FIRST:
            groups[title].append(action)
    first = {"Start with these": own + [settings[name] for name in FIRST]}
    return [
        SimpleNamespace(title=title, description=None, _group_actions=flags)
        for title, flags in (first | groups | {"Other": rest}).items()
    ]


def _metavar_of(hint: Any) -> str:
    if hasattr(hint, "__metadata__"):
        hint = get_args(hint)[0]
    if get_origin(hint) is Literal:
        return "|".join(filter(None, map(str, get_args(hint))))
    return METAVARS.get(hint, "LIST" if get_origin(hint) is list else "")


def _default(value: Any) -> str:
    """A default in words; empty if there is none, or if it is an empty text or list."""
    if value is None or value is SUPPRESS or value in ("", []):
        return ""
    if isinstance(value, Mapping):
        pairs = [f"{key}: {_plain(item)}" for key, item in value.items()]
        return f"default: {{{', '.join(pairs)}}}"
    if isinstance(value, list):
        return f"default: [{', '.join(map(_plain, value))}]"
    return f"default: {_plain(value)}"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
