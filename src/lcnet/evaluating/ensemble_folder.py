"""The folder of an ensemble: the model, and the data set if all its models have the same."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import yaml

from lcnet.config import Data, by_name
from lcnet.errors import ConfigError, quoted
from lcnet.files import AnyPath, is_free, write_text
from lcnet.model_folder import ModelFolder, local_model, read_info
from lcnet.model_folder.joined import Joined, join
from lcnet.progress import tell
from lcnet.run_folder import RunFolder

SPEED = ("workers", "cache_images", "shuffle_window", "broken")
"""Settings of a data set that do not say which pictures and labels it has."""


def write_ensemble(models: Sequence[AnyPath], out: Path, *, overwrite: bool) -> Path:
    """Write the folder and say what is in it; arguments and errors are those of `ensemble`."""
    _check_free(out, overwrite=overwrite)
    joined = join([local_model(model) for model in models])
    for path in joined.paths:
        if path.resolve().is_relative_to(out.resolve()):
            raise ConfigError(f"--out {out}: {path} lies in it. Choose another folder.")
    data, reason = common_data(joined.paths)
    network = joined.load()
    _clear(out)
    ModelFolder(out).save(network, joined.info)
    if data is not None:
        write_data(out, data)
    tell(f"model folder: {out}, the mean of {len(joined.paths)} models")
    for line in _lines(joined, out, data, reason):
        tell(line)
    return out


def common_data(paths: Sequence[Path]) -> tuple[Data | None, str]:
    """The data set of runs, if it is the same for all; else None and why."""
    first, *others = paths
    whole = RunFolder(first).data()
    if whole is None:
        return None, f"{first} names no data set"
    for path in others:
        data = RunFolder(path).data()
        if data is None:
            return None, f"{path} names no data set"
        if name := _difference(whole, data):
            return None, f"{first} and {path} differ in data.{name}"
    return whole, ""


def _difference(one: Data, other: Data) -> str:
    """The first setting by which two data sets are not the same; empty if there is none."""
    mine, theirs = (by_name(asdict(data)) for data in (one, other))
    for name, value in mine.items():
        if name == "splits":
            if _content(value) != _content(theirs[name]):
                return name
        elif name not in SPEED and value != theirs[name]:
            return name
    return ""


def _content(splits: str) -> bytes:
    return Path(splits).read_bytes() if splits else b""


def write_data(out: Path, data: Data) -> None:
    """Write the data set's settings, with a copy of the list of its splits, beside a model."""
    run = RunFolder(out)
    if data.splits:
        write_text(run.splits_file, _content(data.splits).decode("utf-8-sig"))
        data = replace(data, splits=run.splits_file.name)
    write_text(run.data_file, yaml.safe_dump({"data": asdict(data)}, sort_keys=False))


def _lines(joined: Joined, out: Path, data: Data | None, reason: str) -> list[str]:
    named = "" if data is not None else " PATH"
    lines = [f"not calibrated, so every threshold is 0.5: lcnet calibrate {quoted(out)}{named}"]
    if joined.info.rules is None and any(info.rules for info in joined.infos):
        lines.append(
            "label rules: none, since the models have different ones. Set them with: "
            f"lcnet calibrate {quoted(out)} --rules FILE"
        )
    if any(info.test_time != joined.info.test_time for info in joined.infos):
        lines.append(
            "test-time augmentation: none, since the models have different ones. Set it with: "
            f"lcnet calibrate {quoted(out)}{named} --tta mirror"
        )
    if data is None:
        lines.append(f"data set: none recorded, since {reason}. Name one as PATH")
    return lines


def _check_free(out: Path, *, overwrite: bool) -> None:
    if is_free(out):
        return
    if not overwrite:
        raise ConfigError(
            f"--out {out}: already there. Choose another folder, or replace the ensemble in it "
            "with --overwrite."
        )
    if not ModelFolder(out).is_complete or not read_info(out).members:
        raise ConfigError(
            f"--out {out}: expected an ensemble to overwrite, got another folder. Choose another."
        )


def _clear(out: Path) -> None:
    """Remove an older ensemble, with what was measured and exported of it."""
    if out.exists():
        shutil.rmtree(out)
