"""`lcnet evaluate`: the metrics of a model on a split."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from lcnet.bounds import AtLeast, Share, bounded
from lcnet.config import Data
from lcnet.config.known_errors import WrongShare
from lcnet.errors import ConfigError, quoted
from lcnet.evaluating.protocols import ProtocolName
from lcnet.files import AnyPath
from lcnet.hub import require_out
from lcnet.run_folder import RunFolder

if TYPE_CHECKING:
    from lcnet.metrics import Verification


@bounded
def evaluate(
    model: AnyPath | Sequence[AnyPath],
    *,
    split: str = "",
    protocol: ProtocolName = "",
    threshold: Annotated[float, Share()] | None = None,
    intervals: bool = False,
    root: str = "",
    data: Data | AnyPath | None = None,
    batch_size: Annotated[int, AtLeast(1)] | None = None,
    predictions: Path | None = None,
    tta: str = "",
    views: Literal["", "all"] = "",
    known: Sequence[str | float] = (),
    known_errors: WrongShare = 0.0,
    fit: Sequence[AnyPath] = (),
    mean: Literal["", "probabilities", "logits"] = "",
    scores: Literal["", "probabilities", "logits"] = "",
    out: Path | None = None,
    quiet: bool = False,
) -> "Verification":
    """Measure a model on a split, or predictions from files.

    Args:
        model: Run folder. Or a model folder or hf://user/name; these need a data set, and hf://
            needs --out. Or files of predictions (CSV, Parquet, npz, or JSON Lines of lcnet
            predict), with a data set behind them if they have no targets. Several files are
            measured as one: the mean of their probabilities.
        split: Split to measure on; the protocol's or data.test if not given.
        protocol: Measure as a paper does: the same pictures, threshold and AP formula. See
            docs/reference/metrics.md.
        threshold: One threshold for all labels; the protocol's or the model's own if not given.
        intervals: Add 95 % intervals of mAP, CF1 and OF1, from 1,000 resamples of the images.
        root: New folder of the data set, if it has moved; overrides --data.root.
        data: Data set to measure on, or its folder or label file; the run's if not given. These
            flags do not change single settings of the run's data set: they describe a whole one.
        batch_size: Pictures per batch; the run's if not given.
        predictions: Also write each picture's targets, logits and probabilities to this file, which
            ends in .csv, .parquet or .npz. lcnet evaluate FILE measures it again.
        tta: Also measure with test-time augmentation, some of mirror, zoom and shift, such as
            mirror,zoom, and say what it gives and costs. The model stays as it is: lcnet calibrate
            MODEL --tta keeps it.
        views: all: also measure with all views where the model looks at needed ones alone, and say
            what these cost and save (lcnet calibrate --views needed).
        known: Also measure what known labels tell of the others: shares of the labels, `one`
            present label, all `others`, such as '[0.25, 0.5, one, others]'. The figures are of the
            unknown ones, with what is known ignored and used (lcnet calibrate --evidence).
        known_errors: For --known: make this share of the known labels wrong, such as 0.02, and tell
            the model so.
        fit: For files of predictions: files of the same models, in their order, of the validation
            split. They fit calibration and thresholds, and the weights of several files.
        mean: Of several files: the mean of the probabilities or of the logits. If not given, the
            probabilities; with --fit, fitted weights where they help.
        scores: What the numbers are in files of other tools whose columns do not say it. If not
            given, probabilities, and values outside 0 to 1 are refused.
        out: JSON file to write. If not given, MODEL/metrics.json; beside it, such as
            MODEL/metrics-val.json, where that is of the test split or of other data. For FILE,
            its name with the suffix .metrics.json; none for several files.
        quiet: Print nothing.

    Returns:
        All metrics of the split.

    Raises:
        CheckpointError, DataError: if the model, the files or the data cannot be read.
        ConfigError: for an unknown protocol, a model folder without data, or options that do not
            go with what is measured.
    """
    from lcnet.evaluating.words import names_predictions

    given = [model] if isinstance(model, str | os.PathLike) else list(model)
    if predictions is not None:
        from lcnet.evaluating.writing_predictions import check_writable

        check_writable(predictions)
    if given and names_predictions(Path(given[0])):
        for flag, value in {
            "protocol": protocol,
            "root": root,
            "batch_size": batch_size,
            "tta": tta,
            "views": views,
            "known": known,
            "known_errors": known_errors,
        }.items():
            if value:
                raise ConfigError(
                    f"--{flag}: goes with a model, got files of predictions. Leave it out."
                )
        from lcnet.evaluating.from_files import evaluate_files

        return evaluate_files(
            given,
            data=data,
            split=split,
            threshold=threshold,
            fit=fit,
            mean=mean,
            scores=scores,
            with_intervals=intervals,
            predictions=predictions,
            out=out,
            quiet=quiet,
        )
    for flag, is_given in {"fit": bool(fit), "mean": bool(mean), "scores": bool(scores)}.items():
        if is_given:
            raise ConfigError(
                f"--{flag}: goes with files of predictions, got a model. Write them first with "
                "--predictions FILE."
            )
    if len(given) != 1:
        raise ConfigError(
            f"expected one model, and perhaps a data set behind it, got {len(given)} models. Keep "
            "what each predicts with --predictions FILE, and measure the files as one: lcnet "
            "evaluate FILE FILE."
        )
    require_out(given[0], out, "--out FILE.json")
    from lcnet.evaluating.known_labels import (
        evidence_of,
        known_title,
        measure_known,
        print_known,
    )
    from lcnet.evaluating.measuring import measure
    from lcnet.evaluating.metrics_file import keep_metrics, write_metrics
    from lcnet.evaluating.metrics_table import print_metrics
    from lcnet.evaluating.threshold_support import read_fitting, resting_on_few
    from lcnet.evaluating.uncalibrated import gain_of_calibrating
    from lcnet.metrics.known_labels import parse_known
    from lcnet.model.test_time import parse_ways
    from lcnet.model_folder import local_model, read_info
    from lcnet.progress import tell

    folder = local_model(given[0])
    measured_with = partial(
        measure,
        folder,
        split=split,
        root=root,
        threshold=threshold,
        data=data,
        protocol=protocol,
        batch_size=batch_size,
        quiet=quiet,
    )
    ways = parse_ways(tta) if tta else ()
    if tta and not ways:
        raise ConfigError(f"--tta: expected a way to measure, such as mirror, got {tta}.")
    info = read_info(folder)
    info.seen_by(ways)  # fails before anything is measured
    if views and info.views is None:
        raise ConfigError(
            "--views all: expected a model that looks at needed views alone, got one that looks at "
            f"all. Fit them first: lcnet calibrate {quoted(given[0])} --views needed"
        )
    evidence, kinds = None, parse_known(known)
    if kinds:
        evidence = evidence_of(folder, wrong=known_errors)
    elif known_errors:
        raise ConfigError("--known_errors: needs --known, such as --known '[0.5]'. Add it.")
    measured = measured_with()
    ranges = measured.intervals() if intervals else {}
    if predictions is not None:
        from lcnet.evaluating.keeping import predictions_of
        from lcnet.evaluating.writing_predictions import write_predictions

        write_predictions(predictions, predictions_of(measured))
        if measured.rules and not quiet:
            tell(f"{predictions}: knows no label rules, so its rates will differ from these")
    rows = [] if evidence is None else measure_known(measured, evidence, kinds)
    more: dict[str, Any] = {"known_labels": [row.to_dict() for row in rows]} if rows else {}
    if known_errors:
        more["known_errors"] = known_errors
    kept, usual = out, RunFolder(folder).metrics_file
    if kept is None:
        is_own = data is None or RunFolder(folder).data() is None
        kept = keep_metrics(RunFolder(folder), measured, ranges, more=more, is_own=is_own)
    else:
        write_metrics(kept, measured, ranges, more=more)
    if not quiet:
        fitting = read_fitting(folder, measured.fingerprint)
        print_metrics(measured, ranges, resting_on_few(measured, fitting))
        if rows:
            print_known(rows, title=known_title(known_errors))
        if out is None and kept != usual:
            tell(f"kept in {kept}; {usual.name} stays as it is")
        if threshold is None and (gain := gain_of_calibrating(measured, given[0])):
            tell(gain)
    if ways:
        from lcnet.evaluating.test_time_gain import gain_text

        both = (
            measured if seen == measured.info.test_time else measured_with(ways=seen)
            for seen in ((), ways)
        )
        tell(gain_text(folder, *both))
    if views:
        from lcnet.evaluating.needed_views_gain import views_gain_text

        tell(views_gain_text(folder, measured, measured_with(all_views=True)))
    return measured.verification
