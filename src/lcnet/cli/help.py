"""What `--help` shows: flags by subject, and in words what each takes."""

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
    *("train.cache_features", "train.precision", "train.devices", "train.seed"),
)
"""The settings that a user meets first, after the flags of the verb itself."""
SUBJECTS = {
    "data.images": "More about the data set",
    "model.backbone_weights": "More about backbone and views",
    "model.width": "The head of LCNet",
    "train.decoder_lr_factor": "Optimizer and schedule",
    "train.early_stop": "Stopping and saving",
    "train.gamma_neg": "Loss",
    "train.flip": "Augmentation",
    "train.nodes": "Several machines, and speed",
    "model.released.layer": "Parts of LCNet as released, only to reproduce it",
}
"""The other settings by subject: each begins here and goes on in the order of the fields."""
METAVARS = {int: "INT", float: "FLOAT", str: "TEXT", Path: "PATH"}
LONGEST_USAGE = 12
"""With more flags than these the usage does not list them."""


class Help(DefaultHelpFormatter):
    """Help in words: `(0 to 32, default: 2)` in place of types."""

    def add_usage(
        self, usage: str | None, actions: Iterable[Action], *arguments: Any, **named: Any
    ) -> None:
        """Show the usage, with `[flags]` where there are many."""
        actions = list(actions)
        self._prog = self._prog.replace(" [options]", "")
        if usage is None and len(actions) > LONGEST_USAGE:
            needed = [one for one in actions if one.option_strings and one.required]
            given = [one for one in actions if not one.option_strings and one.help != SUPPRESS]
            flags = [f"{one.option_strings[0]} {self._metavar(one)}" for one in needed]
            places = [self._format_args(one, one.dest) for one in given]
            usage = " ".join([self._prog, *flags, "[flags]", *places]).replace("%", "%%")
        super().add_usage(usage, actions, *arguments, **named)

    def _get_help_string(self, action: Action) -> str:
        """The help of a flag, and what it takes."""
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

    def _get_default_metavar_for_optional(self, action: Action) -> str:
        return self._metavar(action)

    def _metavar(self, action: Action) -> str:
        """What stands for a flag's value: `INT`, or `INT|auto`."""
        if action.metavar is not None:
            return str(action.metavar)
        shown = [_metavar_of(one) for one in members(type_of(action)) if one is not NoneType]
        return "|".join(filter(None, shown)) or action.dest.rpartition(".")[2].upper()

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)


def by_subject(actions: Sequence[Action]) -> list[Any]:
    """The flags of a parser with settings as groups: what matters most, then by subject."""
    settings = {action.dest: action for action in actions if "." in action.dest}
    own = [one for one in actions if "." not in one.dest and one.dest != "print_config"]
    rest = [one for one in actions if one.dest == "print_config"]
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
        return "|".join(map(str, get_args(hint)))
    return METAVARS.get(hint, "LIST" if get_origin(hint) is list else "")


def _default(value: Any) -> str:
    """A default in words; empty if there is none, or it is to do nothing."""
    if value is None or value is SUPPRESS or value in ("", []):
        return ""
    if isinstance(value, Mapping):
        pairs = [f"{key}: {_plain(one)}" for key, one in value.items()]
        return f"default: {{{', '.join(pairs)}}}"
    if isinstance(value, list):
        return f"default: [{', '.join(map(_plain, value))}]"
    return f"default: {_plain(value)}"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
