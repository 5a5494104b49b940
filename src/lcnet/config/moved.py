"""Former names and defaults of settings, so that what an older lcnet wrote can still be read."""

from collections.abc import Mapping
from typing import Any

MOVED = {
    "model.antialias": "model.released.antialias",
    "model.graph_low": "model.released.graph_low",
    "model.graph_tokens": "model.released.graph_tokens",
    "model.graph_width": "model.released.graph_width",
    "model.label_tokens": "model.released.label_tokens",
    "model.layer": "model.released.layer",
    "model.shared_bias": "model.released.shared_bias",
}
"""From a setting's former name to its current one."""
FORMER = {"model.read": "tokens"}
"""How settings were before there was a choice, where that is not the default."""


def with_new_names(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The sections of a config with every setting under its current name.

    A setting that is given by both names is left alone, and so is what is not a section: the checks
    that are made next raise an error for both. Who uses a former name also had no choice where
    `FORMER` says so.
    """
    renamed = dict(fields)
    for former, name in MOVED.items():
        section, setting = former.split(".")
        _, group, new = name.split(".")
        settings = renamed.get(section)
        if not isinstance(settings, Mapping) or setting not in settings:
            continue
        inner = settings.get(group, {})
        if isinstance(inner, Mapping) and new not in inner:
            others = {key: value for key, value in settings.items() if key != setting}
            renamed[section] = {**others, group: {**inner, new: settings[setting]}}
            renamed = with_former_defaults(renamed)
    return renamed


def with_former_defaults(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The sections of a config of which all settings were written, with those that came later.

    What is not a section is left alone, as in `with_new_names`.
    """
    whole = dict(fields)
    for name, value in FORMER.items():
        section, setting = name.split(".")
        settings = whole.get(section)
        if isinstance(settings, Mapping):
            whole[section] = {setting: value, **settings}
    return whole
