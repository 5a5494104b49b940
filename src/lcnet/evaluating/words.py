"""What the words of `lcnet evaluate` name: models, files of predictions, a data set."""

from collections.abc import Sequence
from pathlib import Path

from lcnet.errors import ConfigError
from lcnet.evaluating.reading_predictions import READERS, is_rows_folder, peeked
from lcnet.hub import is_shared
from lcnet.model_folder import ModelFolder


def divided(words: Sequence[Path]) -> tuple[list[Path], Path | None]:
    """What is to be measured, and the data set to measure on if the last of several words is one.

    A folder with a model is no data set, nor is a file of predictions. A table of 1 and 0 can be
    both: after predictions without targets it is the labels. Raises ConfigError if it is not clear.
    """
    *others, last = words
    if is_shared(last) or ModelFolder.find(last):
        return list(words), None
    if not names_predictions(words[0]):
        return list(others), last
    kind = peeked(last).kind
    if kind == "predictions":
        return list(words), None
    if kind == "either" and peeked(words[0]).has_targets:
        raise ConfigError(
            f"{last}: expected predictions or labels, got a table of 1 and 0, which can be both, "
            f"and {words[0]} has targets of its own. Leave {last} out, or name the data set by "
            "--data flags."
        )
    return list(others), last


def names_predictions(word: Path) -> bool:
    """Whether it is a file of predictions, there or not, or a folder of `lcnet predict`."""
    if is_shared(word):
        return False
    return is_rows_folder(word) if word.is_dir() else word.suffix.lower() in READERS
