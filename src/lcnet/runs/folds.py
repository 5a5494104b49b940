"""`lcnet train --folds`: a run for each fold, and the mean of their models as one model."""

import json
import os
import shutil
from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from lcnet.config import Config, parse_config
from lcnet.data.dataset import Split
from lcnet.data.folds import fold_name, write_folds
from lcnet.data.readers import read_both, record_parts
from lcnet.errors import CheckpointError, ConfigError, quoted
from lcnet.evaluating.after_training import fitted_by_itself
from lcnet.evaluating.ensemble_folder import write_data
from lcnet.evaluating.measuring import Measured, judge, measure
from lcnet.evaluating.metrics_file import keep_metrics
from lcnet.evaluating.out_of_fold import score_out_of_fold
from lcnet.files import AnyPath, is_free, write_text
from lcnet.model.members import MOST_MEMBERS
from lcnet.model_folder import ModelFolder
from lcnet.model_folder.joined import join
from lcnet.progress import tell
from lcnet.run_folder import RunFolder
from lcnet.runs.run import begin, go_on, report_if_possible

ROLES = ("train", "val", "test")
FIGURES = ("mAP", "CF1", "OF1")


def begin_folds(
    config: Config,
    run: RunFolder,
    count: int,
    *,
    overwrite: bool,
    init: AnyPath | None,
    given: Collection[str],
) -> RunFolder:
    """The folder of the folds, trained; arguments and errors are those of `train.train`."""
    _check(config, count)
    _check_free(run, overwrite=overwrite)
    _check_apart(config, run, init)
    whole = read_both(config.data)
    with TemporaryDirectory() as place:  # what cannot be divided is refused before the old goes
        write_folds(Path(place, run.folds_file.name), whole, config.data, count)
    is_new = is_free(run.path)
    try:
        with run.locked():
            run.clear_folds(keep=config.data.splits)
            _write_plan(config, run, count, whole, init, given)
        return go_on_with_folds(run)
    except Exception:
        if is_new and not run.folds():
            shutil.rmtree(run.path)  # it failed before there was anything to keep
        raise


def _check_apart(config: Config, run: RunFolder, init: AnyPath | None) -> None:
    """Raises ConfigError if the folds would replace what they are made of.

    The folder's own list of splits stays, so that the same pictures can be divided again.
    """
    data, model = config.data, config.model
    needed = {
        "--data.root": data.root,
        **{f"--data.{role}": Path(data.root, getattr(data, role)) for role in ROLES},
        "--data.splits": data.splits,
        "--data.rules": data.rules,
        "--model.backbone": model.backbone.partition("local-dir:")[2],
        "--model.backbone_weights": model.backbone_weights,
        "--model.label_vectors": model.label_vectors,
        "--init": init or "",
    }
    replaced = [path.resolve() for path in run.of_folds() if path != run.splits_file]
    for flag, place in needed.items():
        path = Path(place).resolve()
        if str(place) and any(path.is_relative_to(one) for one in replaced):
            raise ConfigError(
                f"{flag} {place}: expected a place outside {run}, which --overwrite replaces, got "
                "one in it. Choose another --out, or copy it first."
            )


def _write_plan(
    config: Config,
    run: RunFolder,
    count: int,
    whole: Split,
    init: AnyPath | None,
    given: Collection[str],
) -> None:
    """Divide the pictures, and write all that the folds are trained with."""
    config = replace(config, data=record_parts(config.data, run.splits_file.absolute()))
    sizes = write_folds(run.folds_file, whole, config.data, count)
    plan = {
        "count": count,
        "init": _named(init),
        "given": sorted(given),
        "config": asdict(config),
    }
    write_text(run.plan_file, json.dumps(plan, indent=1))  # from here on `resume` knows it
    shown = ", ".join(f"{size:,}" for size in sizes)
    tell(f"{len(whole):,} training and validation pictures in {count} folds: {shown}")


def _named(init: AnyPath | None) -> str:
    """The model to start from, wherever the folds are continued."""
    if init is None:
        return ""
    return str(Path(init).absolute()) if Path(init).exists() else str(init)


def go_on_with_folds(run: RunFolder) -> RunFolder:
    """Train what is unfinished of the folds, and make one model of them."""
    count, config, init, given = _plan(run)
    with run.locked():
        if run.metrics_file.is_file() and ModelFolder(run.model).is_complete:
            tell(f"{run}: already finished")
            return run
        for number in range(1, count + 1):
            fold = RunFolder(run.path / fold_name(number))
            tell(f"fold {number} of {count}: {fold}")
            data = replace(config.data, folds=str(run.folds_file.absolute()), fold=number)
            if not fold.is_run:
                begin(replace(config, data=data), fold, overwrite=False, init=init, given=given)
            elif not fold.is_finished:
                go_on(fold)
        _finish(run, config)
    return run


def _plan(run: RunFolder) -> tuple[int, Config, str | None, list[str]]:
    try:
        plan = json.loads(run.plan_file.read_text(encoding="utf-8"))
        config = parse_config(plan["config"], str(run.plan_file))
        return int(plan["count"]), config, plan["init"] or None, list(plan["given"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{run.plan_file}: not the plan of folds ({error}). Start again with --overwrite."
        ) from None


def _check(config: Config, count: int) -> None:
    if not 2 <= count <= MOST_MEMBERS:
        raise ConfigError(f"--folds: expected 2 to {MOST_MEMBERS}, got {count}.")
    if not config.data.val or config.data.val == config.data.train:
        raise ConfigError(
            "--folds: expected a training and another validation split, which are divided "
            f"together, got {config.data.train!r} and {config.data.val!r}. Name both."
        )
    if config.data.fold:
        raise ConfigError("--folds: expected no --data.fold, as each fold gets its own.")
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise ConfigError(
            "--folds: expected one process, got several that something else has started. Start it "
            "plainly, with --train.devices."
        )


def _check_free(run: RunFolder, *, overwrite: bool) -> None:
    first = (run.lock_file, run.splits_file, run.folds_file)
    if is_free(run.path) or (
        run.path.is_dir()
        and all(file in first or file.suffix == ".part" for file in run.path.iterdir())
    ):
        return  # or killed before it began
    if not run.has_folds:
        raise ConfigError(
            f"--out {run}: already there, and not a folder of folds. Choose another folder."
        )
    if not overwrite:
        raise ConfigError(
            f"--out {run}: already there. Choose another folder, replace it with --overwrite, or "
            f"continue it with: lcnet train --resume {quoted(run)}"
        )


def _finish(run: RunFolder, config: Config) -> None:
    """Make one model of the folds, calibrate it on unseen pictures, measure it and report."""
    one = join([fold.path for fold in run.folds()])
    ModelFolder(run.model).save(one.load(), one.info)
    write_data(run.path, config.data)
    tell(f"model: {run.model}, the mean of {len(one.paths)} models")
    scored = score_out_of_fold(run.path, use_cache=True, quiet=True)
    if config.train.calibrate:
        scored = fitted_by_itself(scored)
    measured, each = judge(scored), []
    if config.data.test:
        measured = measure(run.path, split=config.data.test, quiet=True)
        each = [
            measure(fold.path, split=config.data.test, use_cache=True, quiet=True)
            for fold in run.folds()
        ]
    more = _of_folds(measured, each)
    for line in _lines(measured, more):
        tell(line)
    report_if_possible(run, measured)
    keep_metrics(run, measured, more={"folds": more})


def _of_folds(measured: Measured, each: Sequence[Measured]) -> dict[str, object]:
    """What the figures are of: the mean of the models, and beside it each model; or single ones."""
    if not each:
        return {"of": "each picture by the model that has not seen it, as there is no test split"}
    figures = {name: [_figure(one, name) for one in each] for name in FIGURES}
    means = {name: sum(values) / len(values) for name, values in figures.items()}
    return {"of": "the mean of the models", "each": figures, "mean_of_each": means}


def _figure(measured: Measured, name: str) -> float:
    verification = measured.verification
    value = verification.mAP if name == "mAP" else getattr(verification.at_threshold, name)
    return round(float(value), 4)


def _lines(measured: Measured, more: dict[str, object]) -> list[str]:
    of_all = ", ".join(f"{name} {_figure(measured, name):.2f}" for name in FIGURES)
    lines = [f"{measured.samples.name}: {of_all}"]
    if means := more.get("mean_of_each"):
        assert isinstance(means, dict)
        of_each = ", ".join(f"{name} {value:.2f}" for name, value in means.items())
        lines.append(f"the models by themselves, on average: {of_each}")
    return lines
