"""run.json: how a run was made, so that it can be repeated, and when it resumed and finished."""

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from lcnet.compute import surroundings
from lcnet.config import Config
from lcnet.data.changes import remember
from lcnet.data.dataset import Split
from lcnet.errors import CheckpointError
from lcnet.files import write_text
from lcnet.progress import tell
from lcnet.run_folder import RunFolder
from lcnet.training.checkpoints import Progress

IN_MEMORY = "a model in memory"
"""The entry for an `init` that was not read from a path."""


def record_start(
    run: RunFolder, config: Config, training: Split, validation: Split, *, init: object
) -> None:
    """Write run.json and the fingerprints of the data; `init` is a path, a model or None."""
    record = {
        "command": sys.argv,
        "started": _now(),
        "seed": config.train.seed,
        "init": str(init.resolve()) if isinstance(init, Path) else IN_MEMORY if init else "",
        "surroundings": surroundings(_device()),
        "data": remember(run.fingerprints_file, config.data, training, validation),
        "resumed": [],
        "finished": None,
    }
    _write(run, record)


def record_resumption(run: RunFolder, progress: Progress | None) -> None:
    """Note in run.json that a run is resumed; print from where, and what differs from its start."""
    position = progress.describe() if progress else "the beginning, as there is no checkpoint yet"
    tell(f"continuing from {position}")
    record, now = run.record(), surroundings(_device())
    before = record.get("surroundings", {})
    if record:
        entry = {"started": _now(), "from": position, "surroundings": now}
        record["resumed"] = [*record.get("resumed", []), entry]
        record["finished"] = None
        _write(run, record)
    differences = [
        f"{name} {value}, was {before[name]}"
        for name, value in now.items()
        if before.get(name, value) != value
    ]
    if differences:
        tell(
            f"warning: changed since the start of the run: {'; '.join(differences)}. "
            "The weights may not be exactly the same in the end."
        )


def record_finish(run: RunFolder) -> None:
    """Note in run.json that a run was trained to its end and measured."""
    if record := run.record():
        _write(run, record | {"finished": _now()})


def has_init(run: RunFolder) -> bool:
    """Whether a run started from a model, which may have been in memory only."""
    return bool(run.record().get("init"))


def init_of(run: RunFolder) -> Path | None:
    """The model that a run started from; None if it started from its seed.

    Raises CheckpointError if that model was in memory only.
    """
    init = run.record().get("init", "")
    if init == IN_MEMORY:
        raise CheckpointError(
            f"{run}: stopped before its first checkpoint, and the model that it started from was "
            "in memory only. Start the run again with --overwrite."
        )
    return Path(init) if init else None


def _write(run: RunFolder, record: Mapping[str, Any]) -> None:
    write_text(run.record_file, json.dumps(record, indent=1, ensure_ascii=False))


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _device() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
