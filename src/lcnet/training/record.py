"""run.json: with what a run was made, so that it can be made again."""

import json
import platform
import sys
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lcnet.files import write_text

PACKAGES = (
    "lcnet",
    "torch",
    "torchvision",
    "timm",
    "lightning",
    "numpy",
    "pillow",
    "safetensors",
)
"""Those whose code the numbers of a run depend on."""


def surroundings(device: str) -> dict[str, str]:
    """Versions, platform and device, by name, as they are now."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found | {"platform": platform.platform(), "device": device}


def write_record(
    run: Path, *, device: str, seed: int, init: str, data: Mapping[str, Mapping[str, Any]]
) -> None:
    """Write run.json; `data` is a fingerprint's summary by split, `init` what it trains on from."""
    record = {
        "command": sys.argv,
        "started": _now(),
        "seed": seed,
        "init": init,
        "surroundings": surroundings(device),
        "data": data,
        "resumed": [],
    }
    _write(run, record)


def read_record(run: Path) -> dict[str, Any]:
    """What run.json says; empty if there is none or it cannot be read."""
    try:
        record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def add_resumption(run: Path, *, device: str, at: str) -> list[str]:
    """Note in run.json that the run goes on; what is unlike its start, as `torch 2.9, was 2.8`."""
    record = read_record(run)
    before, now = record.get("surroundings", {}), surroundings(device)
    if record:
        entry = {"started": _now(), "from": at, "surroundings": now}
        record["resumed"] = [*record.get("resumed", []), entry]
        _write(run, record)
    return [
        f"{name} {value}, was {before[name]}"
        for name, value in now.items()
        if before.get(name, value) != value
    ]


def _write(run: Path, record: Mapping[str, Any]) -> None:
    write_text(run / "run.json", json.dumps(record, indent=1, ensure_ascii=False))


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
