"""Gathers all that is known of a run for its page."""

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
import torch

from lcnet.compute import package_versions
from lcnet.config import Config, Data
from lcnet.data.readers import load_split_for
from lcnet.data.statistics import Statistics, count_labels
from lcnet.errors import LCNetError
from lcnet.evaluating.measuring import Measured, mean_ap_text, measure
from lcnet.evaluating.part_files import beside, part_of, part_of_other, place
from lcnet.evaluating.threshold_support import read_fitting
from lcnet.evaluating.trained_on import trained_on
from lcnet.files import AnyPath
from lcnet.metrics.bootstrap import RESAMPLES
from lcnet.model.graph_matrices import GraphMatrices
from lcnet.model_folder import load_model, local_model
from lcnet.progress import tell
from lcnet.reporting.report_page import model_of_page, split_of_page, write_report
from lcnet.reporting.run_report import RunReport
from lcnet.run_folder import RunFolder

FITTED = ("at 0.5", "fitted", "cross-fitted")
"""The rows of calibration.json."""
FEWEST_RESAMPLES = 200
"""The fewest resamples for the intervals, however large the split."""
LARGE = 200_000
"""Entries (pictures x labels) above which a split gets fewer resamples, since they get slow."""


def report_model(
    model: AnyPath,
    *,
    split: str,
    root: str,
    data: Data | AnyPath | None,
    protocol: str,
    batch_size: int | None,
    out: Path | None,
    quiet: bool,
) -> Path:
    """Measure a model on a split, write the page, and return its file; `report` has the details."""
    run = local_model(model)
    measured = measure(
        run,
        split=split,
        root=root,
        data=data,
        protocol=protocol,
        batch_size=batch_size,
        quiet=quiet,
    )
    if out is None:
        is_own = data is None or RunFolder(run).data() is None
        file = keep_report(run, measured, is_own=is_own, quiet=quiet)
    else:
        report_on(run, measured, file := out)
    if not quiet:
        tell(f"{mean_ap_text(measured.verification)} on {measured.samples.name} -> {file}")
    return file


def keep_report(run: Path, measured: Measured, *, is_own: bool = True, quiet: bool = False) -> Path:
    """Write the page into the folder of the model, and return its file.

    This is report.html; but where that is of the same model's test split, another split's page is
    written beside it (report-val.html), and the page that the test split replaces is kept there.
    The page of another data set than the run's (not `is_own`) is always beside it.
    """
    file, data = RunFolder(run).report_file, measured.data
    if not is_own:
        other = beside(file, part_of_other(data, measured.samples.name))
        report_on(run, measured, other)
        return other
    split, model = split_of_page(file), model_of_page(file)
    before = part_of(data, split) if split and model == measured.fingerprint else ""
    part = part_of(data, measured.samples.name)
    written = place(file, part, before)
    report_on(run, measured, written)
    if written == file:
        beside(file, part).unlink(missing_ok=True)  # an older one of the same split
    if not quiet and before not in ("", part):
        kept = f"; that of {split} is {beside(file, before).name} now" if written == file else ""
        stays = "" if written == file else f"; {file.name} stays that of {split}"
        tell(f"{written.name} shows {measured.samples.name}{kept}{stays}")
    return written


def report_on(run: Path, measured: Measured, file: Path) -> None:
    """Write the page of a model's measurements; `run` is its run or model folder."""
    config, folder = _config(run, measured), RunFolder(run)
    statistics, notes = _statistics(measured)
    history = folder.history() if folder.history_file.is_file() else []
    resamples = resamples_of(measured.probabilities.size)
    write_report(
        file,
        RunReport(
            name=run.resolve().name,
            folder=in_commands(run),
            measured=measured,
            intervals=measured.intervals(resamples),
            resamples=resamples,
            statistics=statistics,
            history=history,
            config=config,
            graph=_graph(run) if measured.info.model.head == "lcnet" else None,
            cautions=tuple(_cautions(run, measured)),
            notes=tuple(notes),
            environment=_environment(run, measured, config),
            fitting=_fitting(run, measured),
            trackers=folder.tracker_pages(),
            has_own_data=folder.data() == measured.data,
            resumable_epochs=_resumable_epochs(folder, history),
        ),
    )


def in_commands(run: Path) -> str:
    """A run as commands on a page name it: as it was given, but never with a machine's own path."""
    is_below = not run.is_absolute() and ".." not in run.parts
    return str(run) if is_below and run.name else run.resolve().name


def _config(run: Path, measured: Measured) -> Config:
    """The run's own config; for a model folder, its model settings and the data of the flags."""
    if (folder := RunFolder(run)).is_run:
        return folder.config()
    return Config(model=measured.info.model, data=measured.data)


def _resumable_epochs(folder: RunFolder, history: Sequence[Mapping[str, float]]) -> int:
    """The epochs of a run, if all are done and its checkpoint is there to go on from."""
    if not (history and folder.is_run and folder.has_checkpoint):
        return 0
    epochs = folder.config().train.epochs
    return epochs if history[-1]["epoch"] == epochs else 0


def resamples_of(entries: int) -> int:
    """How many resamples intervals take: the more entries, the fewer."""
    return max(FEWEST_RESAMPLES, min(RESAMPLES, RESAMPLES * LARGE // entries))


def _statistics(measured: Measured) -> tuple[dict[str, Statistics], list[str]]:
    """The counts of labels in each split, and a note for each split without them.

    The counts of training are in the model folder, and the measured split is already in memory.
    """
    data, notes = measured.data, []
    counts: dict[str, Statistics] = {}
    if measured.info.statistics is None:
        notes.append("The model folder does not say which labels it was trained on.")
    else:
        counts["training"] = measured.info.statistics
    own = measured.samples.name
    wanted = dict.fromkeys(name for name in (data.val, own, data.test) if name)
    for name in wanted:
        if name == own:
            counts[name] = count_labels(measured.targets)
            continue
        try:
            samples = load_split_for(data, name, measured.info.labels)
            counts[name] = count_labels(samples.targets)
        except (LCNetError, OSError):
            notes.append(f"The split {name} could not be read.")
    return counts, notes


def _fitting(run: Path, measured: Measured) -> dict[str, Any] | None:
    """The content of calibration.json, if it is of the model that was measured."""
    stored = read_fitting(run, measured.fingerprint)
    return stored if stored and all(name in stored for name in FITTED) else None


def _graph(run: Path) -> GraphMatrices | None:
    """The label graph of an LCNet. ML-GCN's is on another scale, and `lcnet graph` draws it."""
    return load_model(run).graph_matrices()


def _cautions(run: Path, measured: Measured) -> Iterator[str]:
    """Warnings for a split that measures nothing, or that the model has seen in training."""
    name, data = measured.samples.name, measured.data
    if np.isnan(measured.verification.mAP):
        yield (
            f"No label has both present and absent pictures in {name}, so it cannot be measured "
            "how good the model is. Mark absent labels with 0."
        )
    is_other = RunFolder(run).data() not in (None, data)
    if is_other and (seen := trained_on(run, measured.samples, data.root)):
        yield (
            f"The model was trained on {seen:,} of these {len(measured.samples):,} pictures. It "
            "knows them, so expect less on new ones."
        )
    elif name == data.train:
        yield (
            f"{name} is the split that the model was trained on. It knows these pictures, so "
            "expect less on new ones."
        )
    elif name == data.val and name != data.test:
        yield (
            f"{name} is the split on which the best epoch is picked and thresholds are fitted, so "
            "expect a little less on new pictures. "
            f"For another split: lcnet report RUN --split {quote(data.test or 'SPLIT')}"
        )


def _environment(run: Path, measured: Measured, config: Config) -> dict[str, str]:
    """Versions, machine, seed, commands and date, without the path to the folder."""
    name, folder = in_commands(run), RunFolder(run)
    command = f"lcnet report {quote(name)} --split {quote(measured.samples.name)}"
    if measured.protocol:
        command += f" --protocol {measured.protocol}"
    if not folder.is_run:
        command += f" --data.format {measured.data.format} --data.root {measured.data.root}"
    origin = {"this page again": command}
    if folder.is_run:
        origin["this training again"] = (
            f"lcnet train --config {quote(f'{name}/{folder.config_file.name}')} --out FOLDER"
        )
        origin["seed"] = str(config.train.seed)
    return with_environment(origin)


def with_environment(origin: Mapping[str, str]) -> dict[str, str]:
    """How a page came to be, between its date and the machine and versions that wrote it."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {
        "written": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        **origin,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "accelerator": device,
        "Python": platform.python_version(),
        **package_versions(),
    }
