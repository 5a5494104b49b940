"""Measures two models on the same pictures, and writes the page that compares them."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from shlex import quote

from lcnet.config import Data, by_name
from lcnet.errors import ConfigError
from lcnet.evaluating.joining import aligned
from lcnet.evaluating.keeping import predictions_of
from lcnet.evaluating.measuring import Measured, measure
from lcnet.evaluating.predictions import Predictions
from lcnet.files import AnyPath
from lcnet.metrics.ap import average_precision
from lcnet.metrics.bootstrap import LEVEL, ap_differences
from lcnet.model_folder import load_model, local_model
from lcnet.progress import tell
from lcnet.reporting.comparison import Comparison, Side
from lcnet.reporting.comparison_page import write_comparison
from lcnet.reporting.cost import measure_cost
from lcnet.reporting.divided_alike import one_data_set
from lcnet.reporting.gather_report import in_commands, resamples_of, with_environment
from lcnet.reporting.summary_facts import role_of
from lcnet.run_folder import RunFolder, seconds_of


def report_against(
    model: AnyPath,
    other: AnyPath,
    *,
    split: str,
    root: str,
    data: Data | AnyPath | None,
    protocol: str,
    batch_size: int | None,
    out: Path | None,
    quiet: bool,
) -> Path:
    """Measure two models on a split, write the page that compares them, and return its file."""
    ours, theirs = local_model(model), local_model(other)
    if ours.resolve() == theirs.resolve():
        raise ConfigError(f"--against {other}: expected another model, got the same. Name another.")
    names = _names((str(model), str(other)), (ours, theirs))
    if data is None and not protocol:
        data = one_data_set((ours, theirs), names, split=split, root=root)
    if data is None and not split and not protocol:
        _check_splits((ours, theirs))
    measured = [
        measure(
            run,
            split=split,
            root=root,
            data=data or _data_for(run, beside),
            protocol=protocol,
            batch_size=batch_size,
            quiet=quiet,
        )
        for run, beside in ((ours, theirs), (theirs, ours))
    ]
    compared = compare_measured((ours, theirs), names, measured)
    file = out or RunFolder(ours).comparison_file(names[1])
    write_comparison(file, compared)
    if not quiet:
        tell(f"{_told(compared)} -> {file}")
    return file


def _told(compared: Comparison) -> str:
    found = compared.differences.mean_ap
    both = (side.measured.verification.mAP for side in (compared.ours, compared.theirs))
    return (
        "mAP {:.2f} and {:.2f}".format(*both)
        + f" on {compared.split}, difference {found.value:+.2f} ({LEVEL} % interval "
        + f"{found.low:+.2f} to {found.high:+.2f})"
    )


def _names(given: tuple[str, str], runs: tuple[Path, Path]) -> tuple[str, str]:
    """A name for each: its folder's, with the one above it if both have the same."""
    parts = [
        Path(word).parts if "://" in word else run.resolve().parts
        for word, run in zip(given, runs, strict=True)
    ]
    length = 1 if parts[0][-1] != parts[1][-1] else 2
    ours, theirs = ("/".join(part[-length:]) for part in parts)
    return (ours, theirs) if ours != theirs else given


def _check_splits(runs: Sequence[Path]) -> None:
    """Raise ConfigError if the test splits that two runs name are not of one name."""
    names = [data.test for run in runs if (data := RunFolder(run).data()) is not None]
    if len(set(names)) > 1:
        raise ConfigError(
            f"--split: expected one split for both, got {' and '.join(names)}, which their data "
            "sets call test. Name the one to measure both on."
        )


def _data_for(run: Path, beside: Path) -> Data | None:
    """The other's data set for a model folder that names none; else None, as it has its own."""
    return None if RunFolder(run).data() is not None else RunFolder(beside).data()


def compare_measured(
    runs: tuple[Path, Path], names: tuple[str, str], measured: Sequence[Measured]
) -> Comparison:
    """The comparison of two measured models.

    Raises DataError if pictures, labels or targets differ, or nothing can be compared, and
    ConfigError if one of the two was trained on these pictures.
    """
    cautions = tuple(_cautions(measured, names))
    ours, theirs = _same_pictures(measured, names)
    targets = ours.targets
    assert targets is not None  # `predictions_of` gives them
    formula = measured[0].verification.ap_formula
    resamples = resamples_of(ours.probabilities.size)
    differences = ap_differences(
        ours.probabilities, theirs.probabilities, targets, formula=formula, resamples=resamples
    )
    our_ap, their_ap = (
        100 * average_precision(one.probabilities, targets, formula=formula)
        for one in (ours, theirs)
    )
    sides = [_side(*side) for side in zip(runs, names, measured, strict=True)]
    return Comparison(
        ours=sides[0],
        theirs=sides[1],
        targets=targets,
        our_ap=our_ap,
        their_ap=their_ap,
        differences=differences,
        resamples=resamples,
        cautions=cautions,
        environment=with_environment({"this page again": _command(runs, names, measured[0])}),
    )


def _same_pictures(measured: Sequence[Measured], names: tuple[str, str]) -> list[Predictions]:
    """Both predictions, with pictures and labels in the order of the first."""
    return aligned(
        [
            replace(predictions_of(one), source=name)
            for one, name in zip(measured, names, strict=True)
        ],
        "models",
    )


def _side(run: Path, name: str, measured: Measured) -> Side:
    folder, info = RunFolder(run), measured.info
    config = {"model": asdict(info.model)}
    if folder.is_run:
        config = asdict(folder.config())
    history = folder.history() if folder.history_file.is_file() else []
    trained = [row for row in history if row["epoch"] > 0]
    return Side(
        name=name,
        measured=measured,
        settings=by_name(config),
        is_run=folder.is_run,
        cost=measure_cost(load_model(run), info.model.image_size, info.model.channels),
        epochs=len(trained) or None,
        minutes=seconds_of(history) / 60 if trained and "seconds" in trained[0] else None,
        trained_on=str(folder.record().get("surroundings", {}).get("device", "")),
    )


def _cautions(measured: Sequence[Measured], names: tuple[str, str]) -> Iterator[str]:
    """What a reader must know. Raises ConfigError if only one learned from the pictures."""
    roles = [role_of(one) for one in measured]
    split = measured[0].samples.name
    learned = [name for name, role in zip(names, roles, strict=True) if role == "train"]
    if len(learned) == 1:
        raise ConfigError(
            f"--split {split}: expected pictures that neither has learned from, got the training "
            f"split of {learned[0]}. Name another split."
        )
    if learned:
        yield f"Both learned from {split}, so expect less of both on new pictures."
    picked = [name for name, role in zip(names, roles, strict=True) if role == "val"]
    if picked:
        yield (
            f"{split} is the split by which the best epoch of {' and '.join(picked)} was picked, "
            "so expect a little less on new pictures."
        )


def _command(runs: tuple[Path, Path], names: tuple[str, str], measured: Measured) -> str:
    ours, theirs = (
        quote(name if run.is_absolute() else in_commands(run))
        for run, name in zip(runs, names, strict=True)
    )
    command = f"lcnet report {ours} --against {theirs} --split {quote(measured.samples.name)}"
    return f"{command} --protocol {measured.protocol}" if measured.protocol else command
