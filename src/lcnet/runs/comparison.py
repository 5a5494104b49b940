"""Trains heads or settings on equal terms, and compares them with intervals."""

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lcnet.compute import usual_device
from lcnet.config import Config
from lcnet.config.plain_yaml import read_yaml
from lcnet.data.judgement import lines
from lcnet.data.label_faults import judge_targets
from lcnet.data.readers import load_split
from lcnet.errors import ConfigError, DataError
from lcnet.evaluating.measuring import score_split
from lcnet.files import write_text, written_whole
from lcnet.metrics import predict_at, rates
from lcnet.metrics.bootstrap import Interval, mean_ap, paired_difference
from lcnet.metrics.calibration import to_probabilities
from lcnet.model_folder import load_model, read_info
from lcnet.progress import tell
from lcnet.run_folder import RunFolder, seconds_of
from lcnet.runs.many_runs import Run, RunQueue
from lcnet.runs.start import with_precision

Settings = Mapping[str, Any]
"""The settings that a contestant changes: from a flag's name, such as `model.head`, to a value."""


@dataclass(frozen=True)
class Row:
    """The results of one contestant on the test split: means over the seeds."""

    name: str
    settings: Settings
    lr: float
    """The learning rate that was best in validation."""
    mAP: float
    mAP_of_seeds: tuple[float, ...]
    CF1: float
    OF1: float
    parameters: int
    """Weights outside the backbone."""
    minutes: float
    """Training time of a seed, validation included."""
    images_per_second: float
    """From image tensor to logits on this machine, at the config's batch size."""
    difference: Interval | None
    """The first contestant's mAP minus this one's, with a 95 % interval; None for the first."""


def compare_all(
    config: Config,
    contestants: Mapping[str, Settings],
    seeds: Sequence[int],
    out: Path,
    *,
    lr_factors: Sequence[float],
    jobs: int,
) -> list[Row]:
    """A row per contestant; writes comparison.json, comparison.md and comparison.png to `out`.

    Arguments and errors are those of `compare`, with heads and variants in `contestants`. With
    several `jobs`, a row's minutes are those on a share of the machine.
    """
    configs = _check(config, contestants, seeds, out, jobs)
    queue = RunQueue(len(configs) * (len(lr_factors) + len(seeds) - 1), jobs)
    tried = {
        name: [_run(out, name, own, own.train.lr * factor, seeds[0]) for factor in lr_factors]
        for name, own in configs.items()
    }
    queue.train([run for runs in tried.values() for run in runs])
    best = {name: max(runs, key=lambda run: run.best) for name, runs in tried.items()}
    other_seeds = {
        name: [_run(out, name, configs[name], run.config.train.lr, seed) for seed in seeds[1:]]
        for name, run in best.items()
    }
    queue.train([run for runs in other_seeds.values() for run in runs])
    chosen = {name: [run.folder for run in (best[name], *other_seeds[name])] for name in configs}
    rows = _rows(configs, contestants, chosen)
    _write(out, config, rows, seeds)
    return rows


def read_variants(file: Path) -> dict[str, Settings]:
    """The contestants of a YAML file, by name: each a mapping from flags to values.

    Raises ConfigError if the file cannot be read or has another form.
    """
    try:
        content = read_yaml(file)
    except ConfigError as error:
        raise ConfigError(f"--variants {error}") from None
    if not isinstance(content, Mapping) or not all(
        isinstance(settings, Mapping) and all("." in str(flag) for flag in settings)
        for settings in content.values()
    ):
        raise ConfigError(
            f"--variants {file}: expected names with settings, such as 'no graph: "
            "{model.graph: none}'. Correct the file."
        )
    return {str(name): dict(settings) for name, settings in content.items()}


def _check(
    config: Config,
    contestants: Mapping[str, Settings],
    seeds: Sequence[int],
    out: Path,
    jobs: int,
) -> dict[str, Config]:
    """Each contestant's config. Raises ConfigError if one cannot be trained or compared.

    Raises DataError if the test split cannot be read, or if nothing can be measured on it.
    """
    if jobs < 1:
        raise ConfigError(f"--jobs: expected at least 1, got {jobs}.")
    if config.train.processes > 1:
        raise ConfigError(
            f"train.devices: expected 1, as lcnet compare trains each run on one device, got "
            f"{config.train.processes} in all. Set --jobs to train several runs at once."
        )
    if len(contestants) < 2 or not seeds:
        raise ConfigError(
            "compare: expected two contestants or more and at least one seed, got "
            f"{len(contestants)} and {len(seeds)}. Name them in --heads or --variants."
        )
    configs = {}
    for name, settings in contestants.items():
        configs[name] = with_precision(config.changed(settings, f"contestant {name!r}"))
        if configs[name].train.batch_size == "auto":
            raise ConfigError(
                f"contestant {name!r}: train.batch_size: auto would give contestants unequal "
                "batches. Set a number."
            )
    if not config.data.test:
        raise ConfigError("data.test: expected a split to compare on, got none. Set --data.test.")
    tested = load_split(config.data, config.data.test)
    for line in lines(
        one for one in judge_targets(tested, ["test"]) if one.kind == "nothing-measurable"
    ):
        raise DataError(line)
    common = out / "comparison.yaml"
    if common.is_file() and Config.load(common) != config:
        raise ConfigError(
            f"--out {out}: holds runs with other settings. Choose another folder, or continue "
            "with the same settings."
        )
    out.mkdir(parents=True, exist_ok=True)
    config.save(common)
    return configs


def _run(out: Path, name: str, config: Config, lr: float, seed: int) -> Run:
    own = replace(config, train=replace(config.train, lr=lr, seed=seed))
    return Run(f"{name}, lr {lr:.3g}, seed {seed}", own, folder_of(out, name, lr, seed))


def folder_of(out: Path, name: str, lr: float, seed: int) -> RunFolder:
    """The run of a contestant in a comparison's folder."""
    return RunFolder(out / "runs" / name.replace("/", "_") / f"lr{lr:.3g}" / f"seed{seed}")


def _rows(
    configs: Mapping[str, Config],
    contestants: Mapping[str, Settings],
    chosen: Mapping[str, Sequence[RunFolder]],
) -> list[Row]:
    predictions = {
        name: [predictions_of_test(run) for run in runs] for name, runs in chosen.items()
    }
    first, rows = next(iter(chosen)), []
    for name, runs in chosen.items():
        of_name = [probabilities for probabilities, _ in predictions[name]]
        targets = predictions[name][0][1]
        of_seeds = tuple(mean_ap(probabilities, targets) for probabilities in of_name)
        at_threshold = [rates(predict_at(values, 0.5), targets) for values in of_name]
        model = load_model(runs[0].path)
        difference = None
        if name != first:
            of_first = [probabilities for probabilities, _ in predictions[first]]
            difference = paired_difference(of_first, of_name, targets)
        rows.append(
            Row(
                name=name,
                settings=dict(contestants[name]),
                lr=runs[0].config().train.lr,
                mAP=statistics.mean(of_seeds),
                mAP_of_seeds=of_seeds,
                CF1=statistics.mean(seed.CF1 for seed in at_threshold),
                OF1=statistics.mean(seed.OF1 for seed in at_threshold),
                parameters=sum(
                    weight.numel()
                    for part, weight in model.named_parameters()
                    if not part.startswith("backbone.")
                ),
                minutes=statistics.mean(seconds_of(run.history()) for run in runs) / 60,
                images_per_second=_speed(model, configs[name]),
                difference=difference,
            )
        )
    return rows


def predictions_of_test(run: RunFolder) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and targets (N x L each) of a run's best model on its test split.

    They are kept in the run folder and read from there the next time.
    """
    file = run.test_predictions_file
    if file.is_file():
        with np.load(file) as kept:
            return kept["probabilities"], kept["targets"]
    config, info = run.config(), read_info(run.path)
    split = load_split(config.data, config.data.test, info.labels)
    logits, targets = score_split(
        run.path, split, info, config.data, config.train.batch, quiet=True, use_cache=True
    )
    probabilities = to_probabilities(logits)
    with written_whole(file) as unfinished, unfinished.open("wb") as opened:
        np.savez_compressed(opened, probabilities=probabilities, targets=targets)
    return probabilities, targets


def _speed(model: torch.nn.Module, config: Config) -> float:
    """Images per second from tensor to logits: the median of 3 batches after one to warm up."""
    device = usual_device()
    size = config.train.batch
    images = torch.randn(
        size,
        config.model.channels,
        config.model.image_size,
        config.model.image_size,
        device=device,
    )
    model, times = model.to(device).eval(), []
    with torch.inference_mode():
        for _ in range(4):
            started = time.perf_counter()
            model(images)
            if device.type == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - started)
    return size / statistics.median(times[1:])


def _write(out: Path, config: Config, rows: Sequence[Row], seeds: Sequence[int]) -> None:
    content = {
        "config": asdict(config),
        "seeds": list(seeds),
        "rows": [asdict(row) for row in rows],
    }
    write_text(out / "comparison.json", json.dumps(content, indent=1, ensure_ascii=False))
    text = _table(rows, seeds)
    write_text(out / "comparison.md", text + "\n")
    _plot(out / "comparison.png", rows)
    tell(text)
    tell(f"comparison: {out}/comparison.md, .json and .png")


def _table(rows: Sequence[Row], seeds: Sequence[int]) -> str:
    """The rows as a markdown table."""
    first = rows[0].name
    lines = [
        f"| | mAP (mean of {len(seeds)} seeds) | lowest to highest | {first} minus this (95 %) | "
        "CF1 | OF1 | lr | head weights | minutes | images/s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        difference = row.difference.as_difference if row.difference else ""
        lines.append(
            f"| {row.name} | {row.mAP:.2f} | {min(row.mAP_of_seeds):.2f} to "
            f"{max(row.mAP_of_seeds):.2f} | {difference} | {row.CF1:.1f} | {row.OF1:.1f} | "
            f"{row.lr:.2g} | {row.parameters / 1e6:.2f} M | {row.minutes:.1f} | "
            f"{row.images_per_second:.1f} |"
        )
    return "\n".join(lines)


def _plot(file: Path, rows: Sequence[Row]) -> None:
    """Draw a dot per seed and a bar at their mean, the best contestant on top."""
    from matplotlib.figure import Figure

    ranked = sorted(rows, key=lambda row: row.mAP)
    figure = Figure(figsize=(7, 0.8 + 0.45 * len(ranked)), layout="constrained")
    axes = figure.subplots()
    for height, row in enumerate(ranked):
        axes.plot(row.mAP_of_seeds, [height] * len(row.mAP_of_seeds), "o", color="0.6", ms=5)
        axes.plot(row.mAP, height, "|", color="tab:blue", ms=18, mew=3)
        axes.annotate(
            f"{row.mAP:.1f}", (row.mAP, height), (0, 10), textcoords="offset points", ha="center",
            fontsize=8,
        )  # fmt: skip
    axes.set_yticks(range(len(ranked)), [row.name for row in ranked])
    axes.set_ylim(-0.6, len(ranked) - 0.2)
    axes.set_xlabel("test mAP: seeds (dots) and their mean (bar)")
    axes.spines[["top", "right"]].set_visible(False)
    with written_whole(file) as unfinished:
        figure.savefig(unfinished, format="png", dpi=150)
