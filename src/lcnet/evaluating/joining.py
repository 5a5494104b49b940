"""Joins the predictions of several models for the same pictures: a mean, or fitted weights."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.special import expit

from lcnet.errors import ConfigError, DataError
from lcnet.evaluating.kept_rows import mapped
from lcnet.evaluating.matching import match
from lcnet.evaluating.picture_names import in_both
from lcnet.evaluating.predictions import Predictions, named
from lcnet.metrics import Floats, Targets
from lcnet.metrics.array_checks import with_both
from lcnet.metrics.blocks import row_blocks
from lcnet.metrics.bootstrap import mean_ap
from lcnet.metrics.calibration import to_probabilities
from lcnet.metrics.crossfit import Fitted, fit
from lcnet.metrics.stacking import Stacking, cross_fitted, fit_stacking, log_loss
from lcnet.metrics.thresholds import Goal, logits_of

Mean = Literal["", "probabilities", "logits"]
SHRINKAGE = 1.0
"""Of thresholds, as `lcnet calibrate` has it."""


@dataclass(frozen=True)
class Joined:
    """One set of predictions from one or several files, and how it was made."""

    predictions: Predictions
    said: tuple[str, ...]
    """A line each."""


@dataclass(frozen=True)
class _Fit:
    """What was fitted to the validation files."""

    fitted: Fitted
    stacking: Stacking | None
    said: tuple[str, ...]


def joined(files: Sequence[Predictions], mean: Mean) -> Joined:
    """The mean of the files' predictions; of one file, itself.

    Files whose thresholds differ have none together. Raises DataError if they are not of the same
    pictures and labels or their targets differ.
    """
    files = aligned(files)
    first = files[0]
    if len(files) == 1:
        return Joined(first, ())
    how = mean or "probabilities"
    values = _mean(files, how)
    thresholds = {file.thresholds for file in files}
    calibrated = sum(bool(file.calibrated) for file in files)
    said = f"the mean of the {how} of {len(files)} files"
    if calibrated:
        said += f", of which {calibrated} are calibrated"
    one = replace(
        first,
        probabilities=values,
        logits=None,
        thresholds=thresholds.pop() if len(thresholds) == 1 else None,
        fingerprint="",
        calibrated=None,
    )
    lines: tuple[str, ...] = (said,)
    if one.thresholds is None and any(file.thresholds for file in files):
        lines = (*lines, "the files' thresholds differ, so 0.5 is taken; --fit fits others")
    return Joined(one, lines)


def fitted_to(tests: Sequence[Predictions], fits: Sequence[Predictions], mean: Mean) -> Joined:
    """The test files' predictions, joined, calibrated and with thresholds as the fit files teach.

    Several files are joined with weights per label, unless a mean is asked for or the weights do
    not help in a cross-validation on the fit files. Raises DataError if the files do not belong
    together, the fit files have no targets, or share pictures with the test files.
    """
    _check_pairs(tests, fits)
    tests, fits = aligned(tests), aligned([file.in_order_of(tests[0].labels) for file in fits])
    _check_apart(tests[0], fits[0])
    targets = fits[0].targets
    assert targets is not None
    has_raw = all(file.logits is not None for file in [*tests, *fits])
    found = _fit(fits, targets, mean, has_raw=has_raw)
    if found.stacking:
        values = _stacked(found.stacking, tests, has_raw=has_raw)
    else:
        scores = _mean_logits(tests, mean, has_raw=has_raw)
        calibration = found.fitted.calibration
        values = mapped(
            lambda block: to_probabilities(block, calibration), scores, place=tests[0].place
        )
    one = replace(
        tests[0],
        probabilities=values,
        logits=None,
        thresholds=found.fitted.thresholds.values,
        fingerprint=tests[0].fingerprint if len(tests) == 1 else "",
        calibrated=True,
    )
    return Joined(one, found.said)


def aligned(files: Sequence[Predictions], what: str = "files") -> list[Predictions]:
    """The files with the pictures and labels of the first, in its order.

    Raises DataError if a file has others, or other targets; `what` they are is said in it.
    """
    first, *others = files
    others = [_aligned(first, other, what) for other in others]
    known = next((file.targets for file in (first, *others) if file.targets is not None), None)
    return [replace(first, targets=known), *others]


def _aligned(first: Predictions, other: Predictions, what: str) -> Predictions:
    if odd := sorted(set(first.labels) ^ set(other.labels)):
        raise DataError(
            f"{other.source}: expected the {len(first.labels):,} labels of {first.source}, got "
            f"{len(other.labels):,}, of which {len(odd):,} are in one of the two alone: "
            f"{named(odd)}. Name {what} of the same labels."
        )
    other = other.in_order_of(first.labels)
    if other.pictures != first.pictures:
        where = f"{other.source} and {first.source}"
        found = match(first.pictures, other.pictures, where)
        alone = len(first) + len(other) - 2 * len(found.ours)
        if alone:
            raise DataError(
                f"{where}: expected the same pictures, got {len(first):,} and {len(other):,}, of "
                f"which {alone:,} are in one of the two alone. Name {what} of the same pictures."
            )
        other = other.chosen(found.theirs)
    if first.targets is not None and other.targets is not None:
        differing = sum(
            int((ours != theirs).any(axis=1).sum())
            for ours, theirs in row_blocks(first.targets, other.targets)
        )
        if differing:
            raise DataError(
                f"{other.source} and {first.source}: expected the same truth, got other targets "
                f"for {differing:,} pictures. Name {what} of the same data set."
            )
    return other


# The fit


def _fit(fits: Sequence[Predictions], targets: Targets, mean: Mean, *, has_raw: bool) -> _Fit:
    images = len(targets)
    on = f"fitted on {images:,} pictures of {named([file.source for file in fits])}"
    scores = _mean_logits(fits, mean, has_raw=has_raw)
    plain = fit(scores, targets, method="platt", goal=Goal(), shrinkage=SHRINKAGE)
    common = f"{on}: a slope and a bias per label, thresholds for the best F1"
    if len(fits) == 1:
        return _Fit(plain, None, (common,))
    how = f"the mean of the {mean or 'probabilities'} of {len(fits)} files"
    if mean:
        return _Fit(plain, None, (how, common))
    of_all = _scores(fits, has_raw=has_raw)
    held_out = cross_fitted(of_all, targets)
    numbers, helps = _compared(held_out, plain, targets)
    if not helps:
        return _Fit(plain, None, (f"{how}: weights did not help, {numbers}", common))
    stacking = fit_stacking(of_all, targets)
    fitted = fit(held_out, targets, method="none", goal=Goal(), shrinkage=SHRINKAGE)
    shown = ", ".join(f"{weight:.2f}" for weight in stacking.common)
    said = (
        f"{on}: weights per label of {len(fits)} files' logits (common ones {shown}), thresholds "
        "for the best F1"
    )
    return _Fit(fitted, stacking, (said, f"weights against the calibrated mean: {numbers}"))


def _compared(held_out: Floats, plain: Fitted, targets: Targets) -> tuple[str, bool]:
    """The cross-validated numbers of weights and of the mean, and whether weights are better."""
    losses = [
        log_loss(logits, targets) for logits in (held_out, logits_of(plain.expected_probabilities))
    ]
    values = [
        mean_ap(probabilities, targets)
        for probabilities in (expit(held_out), plain.expected_probabilities)
    ]
    said = (
        f"cross-validated mAP {values[0]:.2f} against {values[1]:.2f}, log loss {losses[0]:.4f} "
        f"against {losses[1]:.4f}"
    )
    return said, losses[0] < losses[1] and not values[0] < values[1]


def _check_pairs(tests: Sequence[Predictions], fits: Sequence[Predictions]) -> None:
    if len(tests) != len(fits):
        raise ConfigError(
            f"--fit: expected a file of each model, as many as are measured ({len(tests)}), in "
            f"their order, got {len(fits)}. Name them all."
        )
    for test, fitting in zip(tests, fits, strict=True):
        if odd := sorted(set(test.labels) ^ set(fitting.labels)):
            raise DataError(
                f"{fitting.source}: expected the labels of {test.source}, got {len(odd):,} that "
                f"are in one of the two alone: {named(odd)}. Name files of the same labels."
            )
        known = {test.fingerprint, fitting.fingerprint} - {""}
        if len(known) > 1:
            raise DataError(
                f"{fitting.source}: expected predictions of the model of {test.source}, got those "
                "of another, or of the same before it was calibrated. Give the files in one order, "
                "or write both again."
            )
        if fitting.targets is None:
            raise DataError(
                f"{fitting.source}: expected targets to fit to, got none. Write the file with "
                "lcnet evaluate RUN --split val --predictions FILE, or add columns target:LABEL."
            )
        if not with_both(fitting.targets).any():
            raise DataError(
                f"{fitting.source}: expected a label with present and absent pictures to fit to, "
                "got none. Choose another split."
            )


def _check_apart(test: Predictions, fitting: Predictions) -> None:
    """Raise DataError if pictures are in both: what is fitted to them cannot be tested on them."""
    if both := sorted(in_both(test.pictures, fitting.pictures)):
        raise DataError(
            f"{fitting.source}: expected other pictures than in {test.source}, got {len(both):,} "
            f"that are in both: {named(both)}. Fit on the validation split."
        )


# Scores


def _scores(files: Sequence[Predictions], *, has_raw: bool) -> Floats:
    """The logits of each file, M x N x L: those of the models, if all files have them."""
    return _as_doubles([_own_scores(file, has_raw=has_raw) for file in files])


def _stacked(stacking: Stacking, files: Sequence[Predictions], *, has_raw: bool) -> Floats:
    """The probabilities that weights make of the files' scores, N x L."""

    def stacked(*blocks: Floats) -> Floats:
        each = [block.astype(np.float64, copy=False) for block in blocks]
        return np.asarray(expit(stacking.logits(np.stack(each))))

    scores = [_own_scores(file, has_raw=has_raw) for file in files]
    return mapped(stacked, *scores, place=files[0].place)


def _own_scores(file: Predictions, *, has_raw: bool) -> Floats:
    """The logits of a file, N x L: those of the model, if all files have them."""
    if has_raw and file.logits is not None:
        return file.logits
    return mapped(logits_of, file.probabilities, place=file.place)


def _mean_logits(files: Sequence[Predictions], mean: Mean, *, has_raw: bool) -> Floats:
    """The logits of the mean, N x L; of one file its own."""
    if len(files) == 1:
        return _own_scores(files[0], has_raw=has_raw)
    if mean == "logits":
        return mapped(
            lambda *blocks: np.asarray(_as_doubles(blocks).mean(axis=0)),
            *(_own_scores(file, has_raw=has_raw) for file in files),
            place=files[0].place,
        )
    return mapped(logits_of, _mean(files, "probabilities"), place=files[0].place)


def _mean(files: Sequence[Predictions], how: str) -> Floats:
    """The mean of the probabilities, or the probabilities of the mean of the logits, N x L."""

    def mean(*blocks: Floats) -> Floats:
        values = _as_doubles(blocks).mean(axis=0)
        return np.asarray(values if how == "probabilities" else expit(values))

    arrays = [file.probabilities if how == "probabilities" else file.scores() for file in files]
    return mapped(mean, *arrays, place=files[0].place)


def _as_doubles(blocks: Sequence[Floats]) -> Floats:
    return np.stack([block.astype(np.float64) for block in blocks])
