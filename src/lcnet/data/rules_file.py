"""Reads `data.rules`: a YAML file with rules between labels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lcnet.config.plain_yaml import read_yaml
from lcnet.errors import ConfigError
from lcnet.metrics.label_rules import LabelRules

LARGEST = 2_000_000
"""Most bytes in the file; a tree of 8,000 labels has about 400,000."""


def read_rules(file: Path, labels: Sequence[str]) -> LabelRules:
    """The rules in a YAML file, for these labels; whole numbers there are names.

    Raises ConfigError if the file cannot be read, names other labels, or contradicts itself.
    """
    if not file.is_file():
        raise ConfigError(f"label rules: no such file {file}. Correct the path.")
    content = read_yaml(file, largest=LARGEST)
    try:
        return LabelRules.from_dict(_with_names(content or {}), labels)
    except ValueError as error:
        reason = str(error).replace("got bool", "got yes, no, true or false without quotes")
        raise ConfigError(f"{file}: {reason}.") from None


def _with_names(content: Any) -> Any:
    """The same with whole numbers as text, since labels can be called 1 and 2."""
    if isinstance(content, Mapping):
        return {_with_names(name): _with_names(value) for name, value in content.items()}
    if isinstance(content, list):
        return [_with_names(value) for value in content]
    is_number = isinstance(content, int) and not isinstance(content, bool)
    return str(content) if is_number else content
