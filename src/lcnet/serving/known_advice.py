"""How a model learns what known labels say of the others: a quiet line for a page without it."""

from pathlib import Path

from lcnet.errors import ConfigError, quoted
from lcnet.files import AnyPath
from lcnet.hub import is_shared
from lcnet.predicting.predictor import Predictor
from lcnet.run_folder import RunFolder

DATA = "--data.format FORMAT and the other --data flags of labelled pictures"
"""What a folder needs that names no data set."""


def advice_on_known(model: AnyPath, predictor: Predictor, verb: str) -> str:
    """What to run so that known labels move the others; empty if they do, or if there are none.

    `model` is what the user named, and `verb` the command that runs, which is to be started again.
    Commands are in backticks.
    """
    if predictor.takes_known or len(predictor.info.labels) == 1:
        return ""
    commands = _commands(model)
    lets = "lets" if len(commands) == 1 else "let"
    shown = " and ".join(f"`{command}`" for command in commands)
    return (
        f"Optional: {shown} {lets} a label that you mark change the others, where that helps. "
        f"Then start `lcnet {verb}` again."
    )


def _commands(model: AnyPath) -> tuple[str, ...]:
    if is_shared(model):
        fetch = f"lcnet import {quoted(model)} --out FOLDER"
        return fetch, f"lcnet calibrate FOLDER --evidence {DATA}"
    path = Path(model)
    if path.is_file():
        return "lcnet calibrate RUN --evidence", "lcnet export RUN"
    command = f"lcnet calibrate {quoted(path)} --evidence"
    return (command if _names_data(RunFolder(path)) else f"{command} {DATA}",)


def _names_data(folder: RunFolder) -> bool:
    try:
        return folder.has_folds or folder.data() is not None
    except ConfigError:  # its settings cannot be read, which serving does not need
        return False
