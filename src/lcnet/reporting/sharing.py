"""Uploads a model and its card to a hub as one commit."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from lcnet.config import Model
from lcnet.errors import ConfigError, DataError, quoted
from lcnet.files import is_free, written_whole
from lcnet.hub import Repository, require_token, upload
from lcnet.model_folder import ModelFolder, ModelInfo, load_model, model_fingerprint, read_info
from lcnet.progress import tell
from lcnet.reporting.cost import measure_cost
from lcnet.reporting.model_card import Card
from lcnet.run_folder import RunFolder

CARD = "README.md"
DATA_SETS = {"coco": "COCO", "voc": "Pascal VOC", "digits": "lcnet digits", "rope": "Rope damage"}
"""Names of data sets by format. The other formats can hold any data set."""


def share(
    run: Path,
    name: str,
    *,
    license: str,
    dataset: str,
    private: bool,
    message: str,
    with_report: bool,
    with_metrics: bool,
    dry_run: Path | None,
) -> str:
    """Upload a model with its card as one commit and return the address; `push` has the details."""
    repository = Repository.parse(name)
    info, folder = read_info(run), ModelFolder.at(run)
    metrics = read_metrics(run)
    if dry_run is None:
        require_token(repository)
    elif not is_free(dry_run):
        raise ConfigError(
            f"--dry_run {dry_run}: already there, and not empty. Choose another folder."
        )
    extra = _extra(run, metrics, with_report=with_report, with_metrics=with_metrics)
    card = Card(
        repository.name,
        repository.revision,
        info,
        metrics,
        measure_cost(load_model(run), info.model.image_size, info.model.channels),
        folder.weights_file.stat().st_size / 1e6,
        dataset or DATA_SETS.get(metrics["format"], f"the owner's own ({metrics['format']})"),
        license,
    )
    files: dict[str, Path | bytes] = {file.name: file for file in folder.files}
    files |= {CARD: card.text().encode(), **extra}
    for line in _warnings(info):
        tell(line)
    if dry_run is not None:
        _write(files, dry_run)
        tell(f"not sent to {repository}: {', '.join(files)} -> {dry_run}")
        return str(dry_run)
    address = upload(
        repository,
        files,
        private=private,
        message=message or f"Share {run.resolve().name}, mAP {metrics['mAP']:.2f}",
    )
    tell(f"{repository}: {', '.join(files)} -> {address}")
    return address


def read_metrics(run: Path) -> dict[str, Any]:
    """The content of metrics.json in a model's folder.

    Raises DataError if there is no such file, it has no intervals, or the model has changed since.
    """
    file = RunFolder(run).metrics_file
    again = f"Measure it with: lcnet evaluate {quoted(run)} --intervals"
    if not file.is_file():
        raise DataError(f"{file}: not there, but a model is shared with its metrics. {again}")
    try:
        metrics = json.loads(file.read_text(encoding="utf-8"))
        measured = metrics.get("model")
    except (ValueError, AttributeError):
        raise DataError(f"{file}: damaged. {again}") from None
    if measured != model_fingerprint(run):
        raise DataError(
            f"{file}: measured on another model, or before this model's weights, thresholds or "
            f"calibration changed. {again}"
        )
    if metrics.get("mAP") is None:
        raise DataError(
            f"{file}: expected a mAP, got none, since no label has both present and absent "
            "pictures in the measured split. Measure the model on another split with: "
            f"lcnet evaluate {quoted(run)} --split SPLIT --intervals"
        )
    if not metrics.get("intervals"):
        raise DataError(f"{file}: expected metrics with intervals, got none. {again}")
    return dict(metrics)


def _extra(
    run: Path, metrics: dict[str, Any], *, with_report: bool, with_metrics: bool
) -> dict[str, Path | bytes]:
    """The files that are shared only on request."""
    extra: dict[str, Path | bytes] = {}
    if with_report:
        report = RunFolder(run).report_file
        if not report.is_file():
            raise DataError(f"{report}: not there. Write it with: lcnet report {quoted(run)}")
        extra[report.name] = report
    if with_metrics:
        shared = {name: value for name, value in metrics.items() if name != "root"}
        text = json.dumps(shared, indent=1, ensure_ascii=False)
        extra[RunFolder(run).metrics_file.name] = text.encode()
    return extra


def _warnings(info: ModelInfo) -> list[str]:
    """A warning for each setting in model.json that names a path on this machine."""
    models = {info.model, *(member.model for member in info.members)}
    settings = {
        f"model.{setting.name} {getattr(model, setting.name)}"
        for model in models
        for setting in fields(Model)
    }
    sources = {f"members.source {member.source}" for member in info.members}
    return [
        f"note: model.json names a path on this machine: {named}"
        for named in sorted(settings | sources)
        if "/" in named
    ]


def _write(files: dict[str, Path | bytes], folder: Path) -> None:
    for name, content in files.items():
        with written_whole(folder / name) as unfinished:
            unfinished.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
